// What the programs do with quick flows of TCP and UDP. As in quick-flows.lab.test.ts, the table of all flows
// tells which way a packet took.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL } from "@holdfast/sctp";
import { libbpf } from "../../kernel/libbpf.ts";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import { labObstacle } from "../compliance/lab.ts";
import { PAYLOAD, PROTOCOLS } from "../compliance/plain-rig.ts";
import { type PlainPacket, plainDown, plainPackets, plainUp } from "../compliance/plain-world.ts";
import { hex } from "../compliance/rig.ts";
import { SharedPlanes } from "../compliance/shared-planes.ts";
import { FAMILIES, LOCAL, SERVICE_PORT, type WorldFamily } from "../compliance/world.ts";
import type { PlainFlow } from "../plain.ts";
import { LIMITS } from "./abi.ts";
import { encodeKey } from "./flow-codec.ts";
import { PLAIN_LAYOUT4, plainLayoutOf } from "./plain-codec.ts";
import type { PlainFlowTable } from "./plain-table.ts";
import { type TestProgram, TestRunner } from "./test-run.ts";

const PROGRAMS = ["xdp", "tc"] as const;
const { load } = new SharedPlanes();
const { FIN, RST, ACK } = TCP_FLAG;
const obstacle = labObstacle();
const skip = obstacle === undefined ? {} : { skip: obstacle };

class Bench {
  readonly runner: TestRunner;
  readonly program: TestProgram;

  constructor(program: TestProgram) {
    this.program = program;
    this.runner = new TestRunner({ flowCountMax: 64, load });
    const ports = PROTOCOLS.map(([, protocol]) => ({ protocol, port: SERVICE_PORT }));
    this.runner.local.setLocal(LOCAL.map((local) => ({ ...local, ports })));
  }

  install(...flows: readonly PlainFlow[]): void {
    for (const flow of flows) assert.ok(this.runner.plain.install(flow));
  }

  passes(flow: PlainFlow, plan: PlainPacket = {}): void {
    const { arriving, leaving } = plainPackets(flow, plan);
    const { action, packet } = this.runner.run(this.program, arriving);
    assert.equal(action, "redirect");
    assert.equal(hex(packet), hex(leaving));
  }

  /** What the table of all flows has counted. */
  folded({ key }: PlainFlow): number {
    const layout = plainLayoutOf(key);
    const keyBytes = Buffer.alloc(layout.keySize);
    const value = Buffer.alloc(layout.valueSize);
    encodeKey(layout, key, keyBytes);
    const { hf_plain4, hf_plain6 } = this.runner.plane.maps;
    assert.equal(libbpf().lookup(layout === PLAIN_LAYOUT4 ? hf_plain4 : hf_plain6, keyBytes, value), 0);
    return Number(value.readBigUInt64LE(layout.value.packets));
  }

  state({ key }: PlainFlow) {
    return this.runner.plain.stateOf(key) ?? assert.fail("there is no such flow");
  }

  /** What all know, and the table alone. */
  counts(flow: PlainFlow): readonly [number, number] {
    return [this.state(flow).packets, this.folded(flow)];
  }

  /** All of both families. */
  sweep(visit: Parameters<PlainFlowTable["sweep"]>[1]): void {
    let cursor: unknown;
    do cursor = this.runner.plain.sweep(cursor, visit);
    while (cursor !== undefined);
  }
}

function each(name: string, body: (bench: Bench, family: WorldFamily) => void): void {
  for (const program of PROGRAMS)
    for (const family of FAMILIES)
      test(`${program}, ${family.name}: ${name}`, skip, () => {
        const bench = new Bench(program);
        try {
          body(bench, family);
        } finally {
          bench.runner.close();
        }
      });
}

for (const [name, protocol] of PROTOCOLS) {
  each(`${name}: packets are counted beside the table, and folded into it after a while`, (bench, family) => {
    const both = [plainUp(family, protocol), plainDown(family, protocol)];
    bench.install(...both);
    for (const flow of both) {
      for (const payload of [PAYLOAD, new Uint8Array(), PAYLOAD]) bench.passes(flow, { payload });
      assert.deepEqual(bench.counts(flow), [3, 0]);
      const size = plainPackets(flow).arriving.length;
      assert.equal(bench.state(flow).bytes, 3 * size + 2 * PAYLOAD.length);
    }
    bench.runner.ageQuick(LIMITS.QUICK_FOLD_PERIOD_MAX + 1);
    for (const flow of both) {
      bench.passes(flow);
      assert.deepEqual(bench.counts(flow), [4, 4]);
      bench.passes(flow);
      assert.deepEqual(bench.counts(flow), [5, 4]);
    }
  });

  each(`${name}: the same numbers under another protocol are another flow`, (bench, family) => {
    const flow = plainUp(family, protocol);
    const other = plainUp(family, protocol === PROTOCOL.TCP ? PROTOCOL.UDP : PROTOCOL.TCP, {
      newSourcePort: 40_099,
      session: 92,
    });
    bench.install(flow, other);
    for (const each of [flow, other, flow]) bench.passes(each, { payload: PAYLOAD });
    assert.deepEqual(
      [bench.counts(flow), bench.counts(other)],
      [
        [2, 0],
        [1, 0],
      ],
    );
  });

  each(`${name}: what is more than passed on is not quick, and counts go on`, (bench, family) => {
    const flow = plainUp(family, protocol);
    bench.install(flow);
    bench.passes(flow);
    bench.install(plainUp(family, protocol, { handshake: true }));
    assert.deepEqual(bench.counts(flow), [1, 1]);
    assert.equal(bench.runner.run(bench.program, plainPackets(flow).arriving).punts[0]?.reason, "handshake");
    bench.install(flow);
    bench.passes(flow);
    assert.deepEqual(bench.counts(flow), [2, 1]);
    bench.runner.plain.remove(flow.key);
    assert.notEqual(bench.runner.run(bench.program, plainPackets(flow).arriving).action, "redirect");
  });
}

each("TCP: windows are followed, in what is read and in what is installed over it", (bench, family) => {
  const flow = plainUp(family, PROTOCOL.TCP);
  bench.install(flow);
  bench.passes(flow, { payload: PAYLOAD, by: 1_000 });
  const edges = bench.state(flow).edges;
  assert.equal(edges?.sequence, (plainEnd(flow, 1_000) + PAYLOAD.length) >>> 0);
  // Far away: forwarded, and not believed.
  bench.passes(flow, { by: 100_000_000 });
  assert.deepEqual(bench.state(flow).edges, edges);
  const { edges: _, ...tcp } = flow.tcp ?? assert.fail();
  bench.install({ ...flow, tcp });
  assert.deepEqual(bench.state(flow).edges, edges);
  bench.passes(flow, { by: 1_000 + PAYLOAD.length, payload: PAYLOAD });
  assert.equal(bench.state(flow).edges?.sequence, (plainEnd(flow, 1_000) + 2 * PAYLOAD.length) >>> 0);
  assert.deepEqual(bench.counts(flow), [3, 0]);
});

each("TCP: an end is judged by what quick flows know, and ends their being quick", (bench, family) => {
  const up = plainUp(family, PROTOCOL.TCP);
  const down = plainDown(family, PROTOCOL.TCP);
  bench.install(up, down);
  // Beyond the window of what was installed: what passed since counts.
  for (const by of [200_000, 400_000, 600_000]) {
    bench.passes(up, { by });
    bench.passes(down, { acknowledgment: plainEnd(up, by) });
  }
  const far = plainPackets(up, { flags: FIN | ACK, by: 0 });
  assert.equal(bench.runner.run(bench.program, far.arriving).action, "drop");
  bench.sweep(() => "keep");
  bench.passes(up, { flags: FIN | ACK, by: 600_000 });
  assert.equal(bench.state(up).finEnd, (plainEnd(up, 600_000) + 1) >>> 0);
  for (const flow of [up, down]) {
    const [, before] = bench.counts(flow);
    bench.passes(flow, flow === up ? { by: 600_001 } : { acknowledgment: plainEnd(up, 600_001) });
    assert.deepEqual(bench.counts(flow), [before + 1, before + 1]);
  }
});

each("TCP: after a reset that was forged, a sweep finds the flow quick again", (bench, family) => {
  const up = plainUp(family, PROTOCOL.TCP);
  bench.install(up);
  bench.passes(up);
  const forged = plainPackets(up, { flags: RST, by: 100_000_000 });
  assert.equal(bench.runner.run(bench.program, forged.arriving).action, "drop");
  bench.passes(up);
  assert.deepEqual(bench.counts(up), [2, 2]);
  bench.sweep(() => "keep");
  bench.passes(up);
  assert.deepEqual(bench.counts(up), [3, 2]);
  assert.equal(bench.state(up).reset, false);
});

each("TCP: what a sweep forgets, the quick flow has forgotten", (bench, family) => {
  const up = plainUp(family, PROTOCOL.TCP);
  bench.install(up);
  bench.passes(up);
  bench.sweep(() => "forget");
  assert.equal(bench.state(up).edges, undefined);
  bench.passes(up, { by: 100_000_000 });
  assert.ok(bench.state(up).edges);
});

each(
  "TCP: the daemon after one that was killed does not believe numbers that may be old",
  (bench, family) => {
    const [up, learning] = [plainUp(family, PROTOCOL.TCP), plainDown(family, PROTOCOL.TCP, { learn: true })];
    bench.install(up, learning);
    bench.passes(up, { by: 200_000 });
    const adopted = bench.runner.adoptPlain();
    assert.equal(adopted.stateOf(up.key)?.edges, undefined);
    assert.ok(adopted.stateOf(learning.key)?.edges);
  },
);

each("TCP: one that stopped has left all there is", (bench, family) => {
  const up = plainUp(family, PROTOCOL.TCP);
  bench.install(up);
  bench.passes(up, { by: 1_000, payload: PAYLOAD });
  const before = bench.state(up);
  bench.runner.plain.close(true);
  const after = bench.runner.adoptPlain().stateOf(up.key);
  assert.deepEqual({ ...after, lastSeenMs: 0 }, { ...before, lastSeenMs: 0 });
});

/** The number that the sender of a flow's packets is at, and so much further. */
function plainEnd(flow: PlainFlow, by: number): number {
  return ((flow.tcp?.edges?.sequence ?? 0) + by) >>> 0;
}
