// `ip rule from A1 lookup 1`, as every guide to multi-homing has it: packets of each VIP leave by the gateway
// that the kernel's rules name for it, on the fast path and on the slow one, and follow when rules change. In
// a namespace of this process's own, with a gateway behind each of two links.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, describe, test } from "node:test";
import type { FastPath } from "@holdfast/forwarder/testing";
import {
  arriving,
  ENDPOINTS,
  IPV4,
  IPV6,
  interfaceFacts,
  LOCAL,
  labObstacle,
  leaving,
  macText,
  makeLinks,
  openBpfFastPath,
  openUserspaceFastPath,
  until,
  upFlow,
  Wire,
  type WorldFamily,
} from "@holdfast/forwarder/testing/fast-path";
import { type Address, addressBytes } from "@holdfast/model";
import { encodeData } from "@holdfast/sctp";

const obstacle = labObstacle();
const data = encodeData({ tsn: 7, data: new Uint8Array(40).fill(0x61) });
const ip = (...lines: string[]) => execFileSync("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n` });

/** By family: an endpoint behind both gateways, and the gateways. */
const REMOTE = {
  IPv4: { endpoint: "192.0.2.20", gateways: ["10.9.0.1", "10.8.0.1"], option: "-4" },
  IPv6: { endpoint: "2001:db8:2::20", gateways: ["fd00:9::1", "fd00:8::1"], option: "-6" },
} as const;

function makeGateways(): void {
  const { facts } = makeLinks();
  ip(
    "link add hfother mtu 1500 type veth peer name other0 mtu 1500",
    "link set hfother up",
    "link set other0 up",
    "addr add 10.8.0.2/24 dev hfother",
    "addr add fd00:8::2/64 dev hfother nodad",
  );
  const other = interfaceFacts("other0");
  for (const { gateways } of Object.values(REMOTE)) {
    ip(
      `neigh replace ${gateways[0]} lladdr ${macText(facts.core0.mac)} dev hfcore nud permanent`,
      `neigh replace ${gateways[1]} lladdr ${macText(other.mac)} dev hfother nud permanent`,
      `route add default via ${gateways[0]}`,
      `route add default via ${gateways[1]} table 7`,
    );
  }
}

const rule = (verb: "add" | "del", { name, otherVip }: WorldFamily) =>
  execFileSync("ip", [REMOTE[name].option, "rule", verb, "from", otherVip, "lookup", "7"]);

interface Bench {
  readonly fastPath: FastPath;
  readonly client: Wire;
  readonly core: Wire;
  readonly other: Wire;
}

async function withFastPath(
  open: (interfaces: readonly string[]) => Promise<FastPath>,
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  const { facts } = makeLinks();
  const client = new Wire(facts.client0, facts.hfclient);
  const core = new Wire(facts.core0, facts.hfcore);
  const other = new Wire(interfaceFacts("other0"), interfaceFacts("hfother"));
  const fastPath = await open(["hfclient", "hfcore", "hfother"]);
  try {
    fastPath.setLocal(LOCAL);
    fastPath.setEndpoints(ENDPOINTS);
    fastPath.signOfLife();
    fastPath.start();
    await body({ fastPath, client, core, other });
  } finally {
    await fastPath.uninstall();
    for (const wire of [client, core, other]) wire.close();
  }
}

/** Frames of a VIP to the family's remote endpoint that came out of a link. */
function countOn(wire: Wire, source: Address, { name }: WorldFamily): number {
  const size = name === "IPv4" ? 4 : 16;
  const at = name === "IPv4" ? 26 : 22;
  return wire.receivedFrames().filter((frame) => {
    const addresses = [at, at + size].map((from) => textOf(frame.subarray(from, from + size)));
    return (
      addresses[0] === textOf(bytesOf(source)) && addresses[1] === textOf(bytesOf(REMOTE[name].endpoint))
    );
  }).length;
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytesOf = addressBytes;

describe("routes by source", { skip: obstacle ?? false }, () => {
  before(makeGateways);
  const modes: Readonly<Record<string, (interfaces: readonly string[]) => Promise<FastPath>>> = {
    TC: (interfaces) => openBpfFastPath({ mode: "tc", interfaces, flowCountMax: 4096, ringBytes: 1 << 18 }),
    userspace: (interfaces) => openUserspaceFastPath({ interfaces, guardTable: `hf-source-${process.pid}` }),
  };
  for (const [mode, open] of Object.entries(modes))
    for (const family of [IPV4, IPV6])
      test(`${mode}, ${family.name}: each VIP by its own gateway, and by another when the rules change`, async () => {
        await withFastPath(open, async ({ fastPath, client, core, other }) => {
          const { endpoint } = REMOTE[family.name];
          const flowOf = (vip: Address, changes = {}) => {
            const flow = upFlow(family, { newSource: vip, newDestination: endpoint, ...changes });
            return { ...flow, key: { ...flow.key, destination: vip } };
          };
          const first = flowOf(family.vip);
          const second = flowOf(family.otherVip);
          for (const flow of [first, second]) assert.ok(fastPath.install(flow));
          /** Sends until the packet comes out of the link, and asserts that the last ones did so. */
          const leavesBy = async (flow: typeof first, wire: Wire, what: string) => {
            const vip = flow.newSource;
            const count = countOn(wire, vip, family);
            await until(`${vip} ${what}`, () => {
              client.inject(arriving(flow, [data]));
              return countOn(wire, vip, family) > count;
            });
          };
          const slowPathLeavesBy = async (flow: typeof first, wire: Wire, what: string) => {
            const count = countOn(wire, flow.newSource, family);
            assert.ok(fastPath.send(leaving(flow, [data])));
            await until(`${flow.newSource} on the slow path ${what}`, () => {
              return countOn(wire, flow.newSource, family) > count;
            });
          };
          await leavesBy(first, core, "by the default gateway");
          await leavesBy(second, core, "by the default gateway");
          assert.equal(countOn(other, family.otherVip, family), 0);

          rule("add", family);
          try {
            await leavesBy(second, other, "by its own gateway");
            await leavesBy(first, core, "still by the default gateway");
            assert.equal(countOn(other, family.vip, family), 0);
            await slowPathLeavesBy(second, other, "by its own gateway");
            await slowPathLeavesBy(first, core, "by the default gateway");
            // A flow that comes later asks anew.
            const third = flowOf(family.otherVip, { newSourcePort: 41_000 });
            const later = { ...third, key: { ...third.key, sourcePort: 36_001 } };
            assert.ok(fastPath.install(later));
            await leavesBy(later, other, "by its own gateway, a new flow");
          } finally {
            rule("del", family);
          }
          await leavesBy(second, core, "by the default gateway again");
          await slowPathLeavesBy(second, core, "by the default gateway again");
        });
      });
});
