// In a guest, whose kernel has what this machine's may not: VRFs, and a VLAN on a bond, as telecom hosts have
// them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, describe, test } from "node:test";
import type { FastPath, Flow } from "@holdfast/forwarder/testing";
import {
  arriving,
  type BpfFastPath,
  downFlow,
  ENDPOINTS,
  IPV4,
  interfaceFacts,
  LOCAL,
  leaving,
  macText,
  makeLinks,
  openBpfFastPath,
  openUserspaceFastPath,
  RawProbeChannel,
  until,
  upFlow,
  Wire,
} from "@holdfast/forwarder/testing/fast-path";
import { type Address, PROTOCOL_SCTP } from "@holdfast/model";
import { encodeData } from "@holdfast/sctp";

const REMOTE_PLACE = { protocol: PROTOCOL_SCTP, port: 7_000 };
const data = encodeData({ tsn: 7, data: new Uint8Array(40).fill(0x61) });
const PACKET_COUNT = 50;
const ip = (...lines: string[]) => execFileSync("ip", ["-batch", "-"], { input: `${lines.join("\n")}\n` });

function prepare(fastPath: FastPath, ...flows: Flow[]): void {
  fastPath.setLocal(LOCAL);
  fastPath.setEndpoints(ENDPOINTS);
  fastPath.signOfLife();
  for (const flow of flows) assert.ok(fastPath.install(flow));
}

/**
 * Frames with an IPv4 packet for an address that came out of a link; a VLAN's tag is taken off by the kernel.
 */
function countFor(wire: Wire, destination: Address): number {
  const wanted = destination.split(".").map(Number).join();
  return wire.receivedFrames().filter((frame) => [...frame.subarray(30, 34)].join() === wanted).length;
}

async function comesOut(wire: Wire, destination: Address, send: () => void, count = 1): Promise<void> {
  const first = countFor(wire, destination);
  await until(`packets for ${destination}`, () => {
    send();
    return countFor(wire, destination) >= first + count;
  });
}

describe("a VLAN on a bond", () => {
  test("packets leave by it and come in by it, with native XDP on the other side", async () => {
    const { facts } = makeLinks();
    ip(
      "link add hfbond type bond mode active-backup miimon 100",
      "link set hfcore down",
      "link set hfcore master hfbond",
      "link set hfbond up",
      "link add link hfbond name hfvlan type vlan id 7",
      "link set hfvlan up",
      "addr flush dev hfcore",
      "addr add 10.9.0.2/24 dev hfvlan",
      `neigh replace ${IPV4.endpoint} lladdr ${macText(facts.core0.mac)} dev hfvlan nud permanent`,
    );
    const client = new Wire(facts.client0, facts.hfclient);
    const core = new Wire(facts.core0, interfaceFacts("hfvlan"));
    const [up, down] = [upFlow(IPV4), downFlow(IPV4)];
    const fastPath: BpfFastPath = await openBpfFastPath({
      mode: "xdp",
      interfaces: ["hfclient", "hfvlan"],
      flowCountMax: 4096,
      ringBytes: 1 << 18,
      deadAfterMs: 600_000,
    });
    try {
      prepare(fastPath, up, down);
      // The bond takes a moment to have a link.
      await comesOut(core, IPV4.endpoint, () => client.inject(arriving(up, [data])));
      const first = countFor(core, IPV4.endpoint);
      for (let i = 0; i < PACKET_COUNT; i++) client.inject(arriving(up, [data]));
      await until("all of them", () => countFor(core, IPV4.endpoint) >= first + PACKET_COUNT);
      // 802.1Q: the tag stands behind the MACs.
      const packet = arriving(down, [data]);
      const { mac } = interfaceFacts("hfvlan");
      const frame = Buffer.concat([mac, facts.core0.mac, Buffer.from("810000070800", "hex"), packet]);
      await comesOut(client, IPV4.client, () => core.injectFrame(frame), PACKET_COUNT);
    } finally {
      await fastPath.uninstall();
      client.close();
      core.close();
      ip("link del hfvlan", "link del hfbond", "link set hfcore nomaster", "link set hfcore up");
    }
  });
});

describe("VRFs towards clients and towards endpoints", () => {
  const REMOTE = { client: "192.0.2.50", endpoint: "192.0.2.20" } as const;
  before(() => {
    const { facts } = makeLinks();
    ip(
      "link add hfaccess type vrf table 10",
      "link add hfinside type vrf table 20",
      "link set hfaccess up",
      "link set hfinside up",
      "link set hfclient master hfaccess",
      "link set hfcore master hfinside",
      "addr replace 10.1.0.2/24 dev hfclient",
      "addr replace 10.9.0.2/24 dev hfcore",
      "route add default via 10.1.0.1 vrf hfaccess",
      "route add default via 10.9.0.1 vrf hfinside",
      `neigh replace 10.1.0.1 lladdr ${macText(facts.client0.mac)} dev hfclient nud permanent`,
      `neigh replace 10.9.0.1 lladdr ${macText(facts.core0.mac)} dev hfcore nud permanent`,
    );
  });

  const options = { interfaces: ["hfclient", "hfcore"], towards: { up: ["hfcore"], down: ["hfclient"] } };
  const modes: Readonly<Record<string, () => Promise<FastPath>>> = {
    TC: () =>
      openBpfFastPath({
        ...options,
        mode: "tc",
        flowCountMax: 4096,
        ringBytes: 1 << 18,
        deadAfterMs: 600_000,
      }),
    userspace: () => openUserspaceFastPath(options),
  };
  for (const [mode, open] of Object.entries(modes))
    test(`${mode}: each direction by the routes of its own, rules for a source included`, async () => {
      const { facts } = makeLinks();
      const client = new Wire(facts.client0, facts.hfclient);
      const core = new Wire(facts.core0, facts.hfcore);
      const up = upFlow(IPV4, { newDestination: REMOTE.endpoint });
      const down = downFlow(IPV4, { newDestination: REMOTE.client });
      const fastPath = await open();
      try {
        prepare(fastPath, up, down);
        fastPath.setEndpoints([...ENDPOINTS, { ...REMOTE_PLACE, address: REMOTE.endpoint }]);
        fastPath.start();
        await comesOut(core, REMOTE.endpoint, () => client.inject(arriving(up, [data])));
        await comesOut(client, REMOTE.client, () => core.inject(arriving(down, [data])));
        await comesOut(core, REMOTE.endpoint, () => assert.ok(fastPath.send(leaving(up, [data]))));
        await comesOut(client, REMOTE.client, () => assert.ok(fastPath.send(leaving(down, [data]))));
        // The daemon's own probes: from an address of the VRF.
        const probes = new RawProbeChannel((to) => fastPath.deviceUp?.(to) ?? 0);
        try {
          await comesOut(core, REMOTE.endpoint, () => assert.ok(probes.ping(REMOTE.endpoint, data)));
        } finally {
          probes.close();
        }
        // A rule before those of the VRFs: the VIP's packets to clients go to the other side.
        ip(`rule add pref 500 from ${IPV4.vip} to ${REMOTE.client} lookup 20`);
        try {
          await comesOut(core, REMOTE.client, () => core.inject(arriving(down, [data])));
        } finally {
          ip("rule del pref 500");
        }
        await comesOut(client, REMOTE.client, () => core.inject(arriving(down, [data])));
      } finally {
        await fastPath.uninstall();
        client.close();
        core.close();
      }
    });
});
