import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, PROTOCOL_TCP, type Service, serviceIdOf, type VipDuty } from "@holdfast/model";
import { sourcesByVip, withSources } from "./source-addresses.ts";

const [A, B, SIX] = ["203.0.113.1", "203.0.113.2", "2001:db8::1"] as const;
const service = (vips: Address[], port: number, sourceAddresses?: Address[]): Service => ({
  ...{
    id: serviceIdOf(PROTOCOL_TCP, vips[0] as Address, port),
    name: "",
    protocol: PROTOCOL_TCP,
    vips,
    port,
  },
  ...{ selection: "hash", endpoints: [], idleTimeoutS: 900, restartNewAddresses: "abort" },
  ...{ clientPrefixes: [], withdrawWhenDown: false },
  ...(sourceAddresses !== undefined && { sourceAddresses }),
});
const duty = (vip: Address, owned: boolean): VipDuty => ({
  vip,
  owned,
  rank: owned ? 0 : 1,
  successor: "m1",
});

test("source addresses go with the first VIP of their family, whoever has it", () => {
  const services = [service([A, B, SIX], 80, ["203.0.113.9", "2001:db8::9"])];
  const duties = withSources([duty(A, true), duty(B, false), duty(SIX, false)], services);
  assert.deepEqual(
    duties.map(({ vip, owned }) => [vip, owned]),
    [
      [A, true],
      ["203.0.113.9", true],
      [B, false],
      [SIX, false],
      ["2001:db8::9", false],
    ],
  );
  assert.deepEqual(withSources([duty(A, true)], []), [duty(A, true)]);
});

test("shared by services it stands once; what is a VIP stays one", () => {
  const services = [
    service([A], 80, ["203.0.113.9", B]),
    service([A], 443, ["203.0.113.9"]),
    service([B], 80),
  ];
  assert.deepEqual([...sourcesByVip(services)], [[A, ["203.0.113.9"]]]);
});
