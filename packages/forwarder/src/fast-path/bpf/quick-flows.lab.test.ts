// What the programs do with quick flows, and what is read of them: the table of all flows tells which way a packet took,
// since a quick one leaves it alone until it is folded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addressBytes, addressFromBytes } from "@holdfast/model";
import { encodeAbort, encodeData, write16 } from "@holdfast/sctp";
import { libbpf } from "../../kernel/libbpf.ts";
import { labObstacle } from "../compliance/lab.ts";
import { hex } from "../compliance/rig.ts";
import { SharedPlanes } from "../compliance/shared-planes.ts";
import {
  arriving,
  CLIENT_TAG,
  downFlow,
  FAMILIES,
  LOCAL,
  leaving,
  upFlow,
  type WorldFamily,
} from "../compliance/world.ts";
import type { Flow } from "../port.ts";
import { FLOW_HEAD, LIMITS } from "./abi.ts";
import { encodeKey, LAYOUT4, layoutOf } from "./flow-codec.ts";
import type { FlowTable } from "./flow-table.ts";
import { type TestProgram, TestRunner } from "./test-run.ts";

const PROGRAMS = ["xdp", "tc"] as const;
const { load } = new SharedPlanes();
const obstacle = labObstacle();
const skip = obstacle === undefined ? {} : { skip: obstacle };
const chunks = (size: number) => [encodeData({ tsn: 1, data: new Uint8Array(size).fill(0x61) })];

class Bench {
  readonly runner: TestRunner;
  readonly program: TestProgram;

  constructor(program: TestProgram, flowCountMax = 64) {
    this.program = program;
    this.runner = new TestRunner({ flowCountMax, load });
    this.runner.local.setLocal(LOCAL);
  }

  install(flow: Flow): void {
    assert.ok(this.runner.flows.install(flow));
  }

  /** A packet of the flow goes where it says. */
  passes(flow: Flow, size = 40): void {
    const { action, packet } = this.run(flow, size);
    assert.equal(action, "redirect");
    assert.equal(hex(packet), hex(leaving(flow, chunks(size))));
  }

  run(flow: Flow, size = 40, tag = flow.tag) {
    return this.runner.run(this.program, arriving(flow, chunks(size), { tag }));
  }

  /** What the table of all flows has counted. */
  folded(flow: Flow): number {
    const layout = layoutOf(flow.key);
    const key = Buffer.alloc(layout.keySize);
    const value = Buffer.alloc(layout.valueSize);
    encodeKey(layout, flow.key, key);
    const { hf_flows4, hf_flows6 } = this.runner.plane.maps;
    assert.equal(libbpf().lookup(layout === LAYOUT4 ? hf_flows4 : hf_flows6, key, value), 0);
    return Number(value.readBigUInt64LE(FLOW_HEAD.packets));
  }

  counted(flow: Flow): number | undefined {
    return this.runner.flows.counters(flow.key)?.packets;
  }

  /** All of both families. */
  sweep(visit: Parameters<FlowTable["sweep"]>[1]): void {
    let cursor: unknown;
    do cursor = this.runner.flows.sweep(cursor, visit);
    while (cursor !== undefined);
  }

  close(): void {
    this.runner.close();
  }
}

function each(name: string, body: (bench: Bench, family: WorldFamily) => void, flowCountMax?: number): void {
  for (const program of PROGRAMS)
    for (const family of FAMILIES)
      test(`${program}, ${family.name}: ${name}`, skip, () => {
        const bench = new Bench(program, flowCountMax);
        try {
          body(bench, family);
        } finally {
          bench.close();
        }
      });
}

each(
  "packets of a quick flow are counted beside the table, and folded into it after a while",
  (bench, family) => {
    const flow = upFlow(family);
    bench.install(flow);
    for (const size of [40, 40, 1_000, 41]) bench.passes(flow, size);
    assert.deepEqual([bench.counted(flow), bench.folded(flow)], [4, 0]);
    const bytes = [40, 40, 1_000, 41].reduce((sum, size) => sum + arriving(flow, chunks(size)).length, 0);
    assert.equal(bench.runner.flows.counters(flow.key)?.bytes, bytes);
    bench.runner.ageQuick(LIMITS.QUICK_FOLD_PERIOD_MAX + 1);
    bench.passes(flow);
    assert.deepEqual([bench.counted(flow), bench.folded(flow)], [5, 5]);
    bench.passes(flow);
    assert.deepEqual([bench.counted(flow), bench.folded(flow)], [6, 5]);
  },
);

each("a flow that counts much is folded sooner than one that counts little", (bench, family) => {
  const flow = upFlow(family);
  bench.install(flow);
  for (let n = 1; n < LIMITS.QUICK_FOLD_COUNT; n++) bench.passes(flow);
  bench.runner.ageQuick(LIMITS.QUICK_FOLD_PERIOD + 1);
  bench.passes(flow);
  assert.deepEqual([bench.counted(flow), bench.folded(flow)], [LIMITS.QUICK_FOLD_COUNT, 0]);
  bench.passes(flow);
  const all = LIMITS.QUICK_FOLD_COUNT + 1;
  assert.deepEqual([bench.counted(flow), bench.folded(flow)], [all, all]);
});

each("a reply goes to the address last heard, and what carries a path does not", (bench, family) => {
  const flow = downFlow(family, { replyDestination: family.client2 });
  bench.install(flow);
  // DATA follows the path.
  bench.passes(flow);
  const sack = [new Uint8Array([3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0])];
  const { action, packet } = bench.runner.run(bench.program, arriving(flow, sack));
  assert.equal(action, "redirect");
  assert.equal(hex(packet), hex(leaving(flow, sack, { to: family.client2 })));
  assert.deepEqual([bench.counted(flow), bench.folded(flow)], [2, 0]);
});

each("a changed flow is what counts from then on, and its counts go on", (bench, family) => {
  const flow = upFlow(family);
  bench.install(flow);
  bench.passes(flow);
  const other = upFlow(family, { tag: CLIENT_TAG, newSourcePort: 40_077 });
  bench.install(other);
  assert.equal(bench.run(flow).action, "drop");
  bench.passes(other);
  assert.equal(bench.counted(other), 2);
  // Another session begins at zero.
  const again = upFlow(family, { session: 78 });
  bench.install(again);
  assert.equal(bench.counted(again), 0);
});

each("what is more than passed on goes the usual way: a flow that changes is not quick", (bench, family) => {
  const flow = upFlow(family);
  bench.install(flow);
  bench.passes(flow);
  const learning = upFlow(family, { learn: true });
  bench.install(learning);
  assert.deepEqual([bench.counted(flow), bench.folded(flow)], [1, 1]);
  const first = bench.run(learning);
  assert.deepEqual([first.action, first.punts.map(({ reason }) => reason)], ["redirect", ["learn"]]);
  bench.passes(learning);
  assert.deepEqual([bench.counted(flow), bench.folded(flow)], [3, 3]);
  // The program has taken the mark away: a sweep finds that it is quick again.
  bench.sweep(() => "keep");
  bench.passes(learning);
  assert.deepEqual([bench.counted(flow), bench.folded(flow)], [4, 3]);
  // An ABORT is the slow path's, of a quick flow as well.
  const abort = arriving(flow, [encodeAbort({ reflected: false })]);
  assert.equal(bench.runner.run(bench.program, abort).punts[0]?.reason, "control");
});

each("what a sweep visits has counted everything, and what it removes is gone", (bench, family) => {
  const flow = upFlow(family);
  bench.install(flow);
  bench.passes(flow);
  const seen: number[] = [];
  bench.sweep((_, { packets }) => {
    seen.push(packets);
    return "remove";
  });
  assert.deepEqual(seen, [1]);
  assert.notEqual(bench.run(flow).action, "redirect");
  bench.install(flow);
  bench.passes(flow);
  assert.equal(bench.counted(flow), 1);
  bench.runner.flows.remove(flow.key);
  assert.notEqual(bench.run(flow).action, "redirect");
});

const FULL = 512;
function sourceBytes(family: WorldFamily, n: number): Uint8Array {
  const bytes = addressBytes(family.client);
  write16(bytes, bytes.length - 2, n);
  return bytes;
}

each(
  "a full table: every flow passes, quick or not, before and after half of them go",
  (bench, family) => {
    const flowOf = (n: number) => {
      const { key } = upFlow(family);
      return upFlow(family, {
        key: { ...key, source: addressFromBytes(sourceBytes(family, n)), sourcePort: 1_000 + n },
        newSourcePort: 20_000 + n,
        session: n,
      });
    };
    const numbers = Array.from({ length: FULL }, (_, n) => n);
    for (const n of numbers) bench.install(flowOf(n));
    for (const n of numbers) bench.passes(flowOf(n));
    for (const n of numbers) assert.equal(bench.counted(flowOf(n)), 1);
    const quick = numbers.filter((n) => bench.folded(flowOf(n)) === 0);
    assert.ok(quick.length > FULL * 0.9 && quick.length <= FULL, `${quick.length} are quick`);
    for (const n of numbers) if (n % 2 === 0) bench.runner.flows.remove(flowOf(n).key);
    for (const n of numbers) {
      if (n % 2 === 0) assert.notEqual(bench.run(flowOf(n)).action, "redirect");
      else bench.passes(flowOf(n));
    }
    for (const n of numbers) assert.equal(bench.counted(flowOf(n)), n % 2 === 0 ? undefined : 2);
  },
  FULL,
);
