import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "./address.ts";
import { PROTOCOL_SCTP, serviceIdOf } from "./service.ts";
import { type Claim, conflictOf, conflictsOf } from "./service-conflict.ts";

const TCP = 6;
const claim = (protocol: number, port: number, ...vips: readonly Address[]): Claim => ({
  id: serviceIdOf(protocol, vips[0] as Address, port),
  protocol,
  vips,
  port,
});

test("two services of one protocol cannot have one port of one VIP, of two protocols they can", () => {
  const first = claim(PROTOCOL_SCTP, 3868, "203.0.113.1", "203.0.113.2");
  const second = claim(PROTOCOL_SCTP, 3868, "203.0.113.3", "203.0.113.2");
  assert.deepEqual(conflictOf(second, [first]), {
    vip: "203.0.113.2",
    port: 3868,
    protocol: PROTOCOL_SCTP,
    service: first.id,
  });
  assert.equal(conflictOf(claim(TCP, 3868, "203.0.113.1", "203.0.113.2"), [first, second]), undefined);
  assert.equal(conflictOf(claim(PROTOCOL_SCTP, 3869, "203.0.113.1"), [first]), undefined);
});

test("a service is in nobody's way by being there already, and ids of two protocols differ", () => {
  const service = claim(PROTOCOL_SCTP, 3868, "203.0.113.1", "2001:db8::1");
  assert.equal(conflictOf({ ...service, vips: ["203.0.113.1"] }, [service]), undefined);
  assert.notEqual(service.id, claim(TCP, 3868, "203.0.113.1").id);
  assert.equal(serviceIdOf(TCP, "2001:db8::1", 80), "tcp/[2001:db8::1]:80");
  assert.equal(serviceIdOf(200, "203.0.113.1", 80), "200/203.0.113.1:80");
});

test("every VIP that others have is named once, with the first who has it", () => {
  const others = [claim(6, 80, "10.0.0.1"), claim(6, 80, "10.0.0.1", "10.0.0.2")].map((other, i) => ({
    ...other,
    id: `other${i}`,
  }));
  const conflicts = conflictsOf(claim(6, 80, "10.0.0.3", "10.0.0.2", "10.0.0.1"), others);
  assert.deepEqual(
    conflicts.map(({ vip, service }) => [vip, service]),
    [
      ["10.0.0.2", "other1"],
      ["10.0.0.1", "other0"],
    ],
  );
});
