// TCP and UDP through BPF and reference: the same verdicts, punts, bytes, and the same that flows learn.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FlowKey, PlainEntry, PlainFlow } from "@holdfast/forwarder";
import { reverseKey } from "@holdfast/forwarder/testing";
import type { TestProgram } from "@holdfast/forwarder/testing/programs";
import { type Address, type Prefix, parsePrefix, seededRandom } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import fc from "fast-check";
import { Oracle } from "./oracle.ts";
import {
  type Believed,
  buildPlain,
  ENDPOINT_PORT,
  isUnfinished,
  PICKY_PORT,
  PLAIN_FAMILIES,
  packetPlan,
  SERVED_PORT,
} from "./plain-packets.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const RUN_COUNT = Number(process.env["RUNS"] ?? 300);
const CONNECTION_COUNT = 12;

const obstacle = process.getuid?.() === 0 ? false : "needs root, to load BPF programs";

function fractionsOf(seed: number): () => number {
  const random = seededRandom(seed);
  return () => random.uint32() / 2 ** 32;
}

/**
 * Connections of both protocols and families, some with a PROXY header before them, some that nothing is
 * known of.
 */
function plainFlows(random: () => number, session: number): PlainFlow[] {
  const flows: PlainFlow[] = [];
  for (let i = 0; i < CONNECTION_COUNT; i++) {
    const family = PLAIN_FAMILIES[i % 2];
    assert(family !== undefined);
    const protocol = i % 4 < 2 ? PROTOCOL.TCP : PROTOCOL.UDP;
    const shift = random() < 0.4 ? Math.floor(random() * 200) - 60 : 0;
    const handshake = random() < 0.3;
    const up: PlainFlow = {
      key: {
        protocol,
        source: family.client(i),
        destination: family.vip,
        sourcePort: 40_000 + i,
        destinationPort: SERVED_PORT,
      },
      newSource: family.vip,
      newDestination: family.endpoint,
      newSourcePort: random() < 0.2 ? 40_000 + i : 50_000 + i,
      newDestinationPort: ENDPOINT_PORT,
      direction: "up",
      session: session + i,
      handshake,
      learn: random() < 0.2,
      assured: random() < 0.5,
      ...(protocol === PROTOCOL.TCP && handshake && random() < 0.8 && { opening: true }),
      ...(protocol === PROTOCOL.TCP && { tcp: tcpOf(random, shift) }),
    };
    const { tcp: _, opening: __, ...shared } = up;
    const down: PlainFlow = {
      ...shared,
      key: reverseKey(up),
      newSource: up.key.destination,
      newDestination: up.key.source,
      newSourcePort: up.key.destinationPort,
      newDestinationPort: up.key.sourcePort,
      direction: "down",
      ...(protocol === PROTOCOL.TCP && { tcp: tcpOf(random, shift) }),
    };
    flows.push(up, ...(random() < 0.9 ? [down] : []));
  }
  return flows;
}

function tcpOf(random: () => number, shift: number): NonNullable<PlainFlow["tcp"]> {
  const word = () => Math.floor(random() * 2 ** 32);
  const known = random() < 0.7;
  return {
    windowScale: random() < 0.5 ? 7 : Math.floor(random() * 15),
    shift,
    ...(known && { edges: { sequence: word(), acknowledged: word() } }),
  };
}

describe("TCP and UDP: BPF against the reference", { skip: obstacle }, () => {
  for (const program of ["xdp", "tc"] as const) {
    describe(program, () => {
      let oracle: Oracle;
      before(() => {
        const ports = [PROTOCOL.TCP, PROTOCOL.UDP].map((protocol) => ({ protocol, port: SERVED_PORT }));
        const picky = (vip: Address) => {
          const allowed = vip.includes(":") ? ["fd00:1::2/128"] : ["10.1.0.1/32", "10.1.0.4/30"];
          const allowedSources = allowed.map((text) => parsePrefix(text) as Prefix);
          return ports.map((served) => ({ ...served, port: PICKY_PORT, allowedSources }));
        };
        oracle = new Oracle({
          local: PLAIN_FAMILIES.map(({ vip }) => ({
            address: vip,
            owned: true,
            ports: [...ports, ...picky(vip)],
          })),
          endpoints: PLAIN_FAMILIES.flatMap(({ endpoint }) =>
            ports.map(({ protocol }) => ({ protocol, address: endpoint, port: ENDPOINT_PORT })),
          ),
          flows: [],
        });
      });
      after(() => oracle.close());

      test("any packets, in any order", () => {
        let session = 1;
        let openedCount = 0;
        fc.assert(
          fc.property(fc.nat(), fc.array(packetPlan, { minLength: 1, maxLength: 60 }), (world, plans) => {
            const flows = plainFlows(fractionsOf(world), session);
            session += CONNECTION_COUNT;
            oracle.plain(program, (table) => {
              for (const flow of flows) table.install(flow);
            });
            try {
              for (const plan of plans) if (step(oracle, program, flows, plan)) openedCount += 1;
            } finally {
              oracle.plain(program, (table) => {
                for (const { key } of flows) table.remove(key);
              });
            }
          }),
          { seed: SEED, numRuns: RUN_COUNT },
        );
        assert.ok(openedCount > RUN_COUNT / 100, `only ${openedCount} handshakes were ended`);
        const { reference, bpf } = oracle.drops(program);
        assert.deepEqual(bpf, reference);
        for (const reason of [
          "tcp-window",
          "tcp-flags",
          "tcp-header",
          "udp-length",
          "port-not-served",
          "source-not-allowed",
        ])
          assert.ok((bpf.get(`drop.${reason}`) ?? 0) > 0, reason);
        for (const what of ["forwarded", "punted", "dropped"] as const)
          assert.ok(oracle.compared[what] > RUN_COUNT, `only ${oracle.compared[what]} ${what}`);
      });
    });
  }
});

/** Whether the packet ended its flow's handshake. */
function step(
  oracle: Oracle,
  program: TestProgram,
  flows: PlainFlow[],
  plan: Parameters<typeof buildPlain>[0],
): boolean {
  const flow = flows[plan.flow % flows.length] as PlainFlow;
  const other = reverseKey(flow);
  const packet = buildPlain(
    plan,
    flow,
    believed(oracle, program, flow.key),
    believed(oracle, program, other),
  );
  const wasOpening = isOpening(oracle, program, flow.key);
  const difference = oracle.compare(program, packet, isUnfinished(packet));
  assert.equal(difference, undefined, `packet ${Buffer.from(packet).toString("hex")}`);
  for (const key of [flow.key, other]) {
    const [reference, bpf] = oracle.readPlain(program, key).map(comparable);
    assert.deepEqual(bpf, reference, `packet ${Buffer.from(packet).toString("hex")}`);
  }
  return wasOpening && !isOpening(oracle, program, flow.key);
}

function isOpening(oracle: Oracle, program: TestProgram, key: FlowKey): boolean {
  return oracle.readPlain(program, key)[0]?.flow.opening === true;
}

function believed(oracle: Oracle, program: TestProgram, key: FlowKey): Believed {
  return oracle.readPlain(program, key)[0]?.state.edges ?? { sequence: 1_000, acknowledged: 2_000 };
}

/** Clocks differ. */
function comparable(entry: PlainEntry | undefined): unknown {
  return entry && { ...entry, state: { ...entry.state, lastSeenMs: 0 } };
}
