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
/** Of every way out: what segment sizes are measured by. */
const MTU = 1_500;

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
    const handshake = random() < 0.4;
    const isAwaiting = protocol === PROTOCOL.TCP && handshake && random() < 0.6;
    const shift = !isAwaiting && random() < 0.4 ? Math.floor(random() * 200) - 60 : 0;
    const awaits = isAwaiting && { awaiting: awaitingOf(random), tcp: { windowScale: 0, shift } };
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
      ...(random() < 0.2 && { quiet: true }),
      ...(protocol === PROTOCOL.TCP && handshake && random() < 0.8 && !isAwaiting && { opening: true }),
      ...(protocol === PROTOCOL.TCP && { tcp: tcpOf(random, shift) }),
      ...awaits,
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
      ...awaits,
    };
    flows.push(up, ...(random() < 0.9 ? [down] : []));
  }
  return flows;
}

function awaitingOf(random: () => number): NonNullable<PlainFlow["awaiting"]> {
  const sequence = Math.floor(random() * 2 ** 32);
  return { sequence, scale: random() < 0.3 ? undefined : Math.floor(random() * 15) };
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
        const world = {
          local: PLAIN_FAMILIES.map(({ vip }) => ({
            address: vip,
            owned: true,
            ports: [...ports, ...picky(vip)],
          })),
          endpoints: PLAIN_FAMILIES.flatMap(({ endpoint }) =>
            ports.map(({ protocol }) => ({ protocol, address: endpoint, port: ENDPOINT_PORT })),
          ),
          flows: [],
        };
        oracle = new Oracle(world, { programs: [program], mtu: MTU });
      });
      after(() => oracle.close());

      test("any packets, in any order", () => {
        let session = 1;
        const ended = { opening: 0, awaiting: 0 };
        fc.assert(
          fc.property(fc.nat(), fc.array(packetPlan, { minLength: 1, maxLength: 60 }), (world, plans) => {
            const flows = plainFlows(fractionsOf(world), session);
            session += CONNECTION_COUNT;
            oracle.plain(program, (table) => {
              for (const flow of flows) table.install(flow);
            });
            try {
              for (const plan of plans) step(oracle, program, flows, plan, ended);
            } finally {
              oracle.plain(program, (table) => {
                for (const { key } of flows) table.remove(key);
              });
            }
          }),
          { seed: SEED, numRuns: RUN_COUNT },
        );
        assert.ok(ended.opening > RUN_COUNT / 100, `only ${ended.opening} handshakes were ended`);
        assert.ok(ended.awaiting > RUN_COUNT / 100, `only ${ended.awaiting} SYNs were answered`);
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
          assert.ok(oracle.compared[what] > RUN_COUNT / 2, `only ${oracle.compared[what]} ${what}`);
      });
    });
  }
});

/** `ended` counts what the packet ended of its flow's handshake. */
function step(
  oracle: Oracle,
  program: TestProgram,
  flows: PlainFlow[],
  plan: Parameters<typeof buildPlain>[0],
  ended: Record<"opening" | "awaiting", number>,
): void {
  const flow = flows[plan.flow % flows.length] as PlainFlow;
  const other = reverseKey(flow);
  const packet = buildPlain(
    plan,
    flow,
    believed(oracle, program, flow.key),
    believed(oracle, program, other),
  );
  const before = stageOf(oracle, program, flow.key);
  const difference = oracle.compare(program, packet, isUnfinished(packet));
  assert.equal(difference, undefined, `packet ${Buffer.from(packet).toString("hex")}`);
  for (const key of [flow.key, other]) {
    const [reference, bpf] = oracle.readPlain(program, key).map(comparable);
    assert.deepEqual(bpf, reference, `packet ${Buffer.from(packet).toString("hex")}`);
  }
  if (before !== undefined && stageOf(oracle, program, flow.key) !== before) ended[before] += 1;
}

function stageOf(oracle: Oracle, program: TestProgram, key: FlowKey): "opening" | "awaiting" | undefined {
  const flow = oracle.readPlain(program, key)[0]?.flow;
  if (flow?.awaiting !== undefined) return "awaiting";
  return flow?.opening === true ? "opening" : undefined;
}

function believed(oracle: Oracle, program: TestProgram, key: FlowKey): Believed {
  const { flow, state } = oracle.readPlain(program, key)[0] ?? {};
  const { awaiting } = flow ?? {};
  if (awaiting === undefined) return state?.edges ?? { sequence: 1_000, acknowledged: 2_000 };
  const [own, other] = [awaiting.sequence, 3_000];
  return flow?.direction === "up"
    ? { sequence: own, acknowledged: other }
    : { sequence: other, acknowledged: own };
}

/** Clocks differ. */
function comparable(entry: PlainEntry | undefined): unknown {
  return entry && { ...entry, state: { ...entry.state, lastSeenMs: 0 } };
}
