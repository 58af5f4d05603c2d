import assert from "node:assert/strict";
import { test } from "node:test";
import type { Neighbour } from "@holdfast/forwarder";
import type { Address, Clock } from "@holdfast/model";
import { parsePrefix } from "@holdfast/model";
import type { SystemInterface } from "./interfaces.ts";
import { RouterWatch } from "./router-watch.ts";

const CORE: SystemInterface = {
  name: "core",
  index: 4,
  mac: Uint8Array.of(2, 0, 0, 0, 0, 4),
  addresses: [{ address: "198.19.0.1", prefix: parsePrefix("198.19.0.1/16") as never }],
};
const MEMBER = "198.19.0.2";

/** A kernel's table, and a clock whose periods the test calls. */
class Bench {
  readonly table = new Map<string, Neighbour>();
  readonly sent: number[] = [];
  nowMs = 0;
  period: (() => void) | undefined;
  readonly watch: RouterWatch;

  constructor() {
    const clock = {
      nowMs: () => this.nowMs,
      every: (_: number, call: () => void) => {
        this.period = call;
        return { cancel: () => (this.period = undefined) };
      },
    };
    this.watch = new RouterWatch({
      interfaces: () => new Map([["core", CORE]]),
      neighbours: () => [...this.table.values()],
      neighbour: (_, address) => this.table.get(address),
      sender: { send: (index, frame) => this.sent.push(index, frame[41] as number) > 0, close: () => {} },
      clock: clock as unknown as Clock,
      isOurs: (address) => address === MEMBER,
    });
  }

  knows(address: Address, confirmedForMs: number | undefined, resolved = true): void {
    const mac = resolved ? Uint8Array.of(2, 0, 0, 0, 1, 1) : undefined;
    this.table.set(address, { interfaceIndex: 4, address, mac, stale: false, confirmedForMs });
  }

  round(): number[] {
    this.sent.length = 0;
    this.nowMs += 100;
    this.period?.();
    return this.sent.filter((_, i) => i % 2 === 1);
  }
}

test("neighbours are asked while it matters, those heard last, and no member", () => {
  const bench = new Bench();
  bench.knows(MEMBER, 0);
  for (const host of [21, 22, 23, 24]) bench.knows(`198.19.0.${host}`, host * 1_000);
  bench.knows("198.19.0.25", 10, false);
  bench.knows("203.0.113.7", 0);
  assert.equal(bench.watch.isHeard("core"), false);
  bench.watch.need(true);
  assert.deepEqual(bench.round(), [21, 22, 23]);
  assert.equal(bench.watch.isHeard("core"), false, "an old confirmation is none");
  bench.knows("198.19.0.22", 20);
  bench.round();
  assert.equal(bench.watch.isHeard("core"), true);
  assert.equal(bench.watch.isHeard("path-a"), false);
  bench.knows("198.19.0.22", 310);
  bench.round();
  assert.equal(bench.watch.isHeard("core"), false);
  bench.watch.need(false);
  assert.deepEqual(bench.round(), []);
});

test("who comes later is asked, too", () => {
  const bench = new Bench();
  bench.watch.need(true);
  assert.deepEqual(bench.round(), []);
  bench.knows("198.19.0.21", 5_000);
  bench.nowMs += 2_000;
  assert.deepEqual(bench.round(), [21]);
});
