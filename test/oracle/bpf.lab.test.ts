// The same packets through BPF and reference: byte-equal over all vectors and 100,000 generated packets.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { TestProgram } from "@holdfast/forwarder/testing/programs";
import { PROTOCOL_SCTP, seededRandom } from "@holdfast/model";
import { type GeneratedFlow, generatePacket, ipPacket, packetWorld } from "@holdfast/testkit";
import { Oracle } from "./oracle.ts";

const SEED = Number(process.env["SEED"] ?? 1);
/** For each of the two programs, other packets for each: 100,000 together. */
const PACKET_COUNT = Number(process.env["PACKETS"] ?? 50_000);
const ASSOCIATION_COUNT = 200;

const obstacle = process.getuid?.() === 0 ? false : "needs root, to load BPF programs";

describe("BPF against the reference", { skip: obstacle }, () => {
  for (const program of ["xdp", "tc"] as const) {
    test(`${program}: ${PACKET_COUNT} generated packets`, () => {
      const random = seededRandom(program === "xdp" ? SEED : SEED + 1_000_000);
      const world = packetWorld(random, ASSOCIATION_COUNT);
      const oracle = new Oracle(world, { programs: [program] });
      try {
        for (let i = 0; i < PACKET_COUNT; i++) {
          const { kind, bytes } = generatePacket(random, world);
          check(oracle, program, bytes, `seed ${SEED}, packet ${i}, ${kind}`);
        }
        const { reference, bpf } = oracle.drops(program);
        assert.deepEqual(bpf, reference);
        // A comparison of nothing proves nothing.
        for (const [what, count] of Object.entries(oracle.compared)) {
          assert.ok(count > PACKET_COUNT / 500, `only ${count} ${what}`);
        }
      } finally {
        oracle.close();
      }
    });

    test(`${program}: every vector, over IPv4 and IPv6, with and without new ports`, () => {
      const packets = vectors();
      assert.ok(packets.length >= 249);
      for (const changedPorts of [true, false]) {
        const flows = packets.flatMap((packet, i) => vectorFlows(packet, i, changedPorts));
        const addresses = [...new Set(flows.map(({ key }) => key.destination))];
        const local = addresses.map((address) => ({ address, owned: true, ports: [] }));
        const oracle = new Oracle({ local, endpoints: [], flows }, { programs: [program] });
        try {
          for (const [i, flow] of flows.entries()) {
            const payload = packets[i >> 1] as Uint8Array;
            check(oracle, program, ipPacket(flow.key, payload), `vector ${i >> 1}`);
          }
          assert.ok(oracle.compared.forwarded > 200, `only ${oracle.compared.forwarded} forwarded`);
        } finally {
          oracle.close();
        }
      }
    });
  }
});

function check(oracle: Oracle, program: TestProgram, bytes: Uint8Array, label: string): void {
  const difference = oracle.compare(program, bytes);
  if (difference !== undefined) {
    assert.fail(`${label}: ${difference}\npacket ${Buffer.from(bytes).toString("hex")}`);
  }
}

function vectors(): Uint8Array[] {
  const read = (file: string) =>
    JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), "utf8"));
  const captured = read("pcap_packets.json") as { sctp: string }[];
  const inits = Object.values(read("golden_init.json")) as { in: string }[];
  return [...captured.map(({ sctp }) => sctp), ...inits.map((init) => init.in)].map((text) =>
    Buffer.from(text, "hex"),
  );
}

/** A flow of each family for the packet's ports and tag, from a client of its own. */
function vectorFlows(packet: Uint8Array, index: number, changedPorts: boolean): GeneratedFlow[] {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const [sourcePort, destinationPort] = [view.getUint16(0), view.getUint16(2)];
  const addresses = [
    [`10.1.${index >> 8}.${index & 255}`, "203.0.113.1", "10.9.0.20"],
    [`fd00:1::${(index + 1).toString(16)}`, "2001:db8:1::1", "fd00:9::20"],
  ] as const;
  return addresses.map(([source, destination, endpoint]) => ({
    key: { protocol: PROTOCOL_SCTP, source, destination, sourcePort, destinationPort },
    newSource: destination,
    newDestination: endpoint,
    newSourcePort: changedPorts ? sourcePort ^ 0x5a5a : sourcePort,
    newDestinationPort: changedPorts ? 7_000 : destinationPort,
    tag: view.getUint32(4),
    direction: "up",
    pending: false,
    heartbeatOnly: false,
    learn: false,
    session: index + 1,
  }));
}
