import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@holdfast/model/testing";
import { cursorText, parseCursor } from "./cursor.ts";
import type { RequestHandler } from "./link.ts";
import { ReplicatedLog } from "./replicated-log.ts";

const COUNT = 3;

/** Members on wires that can be cut; a request takes turns of the loop, as a real one does. */
class Cluster {
  readonly clock = new ManualClock();
  readonly logs: ReplicatedLog<string>[] = [];
  readonly #dead = new Set<number>();
  readonly #cut = new Set<string>();
  readonly #handlers: RequestHandler[] = [];
  readonly #connect: ((member: number) => void)[] = [];
  readonly #disconnect: ((member: number) => void)[] = [];
  /** Values on the wire. */
  sent = 0;

  constructor(keptCountMax = 100) {
    for (let n = 0; n < COUNT; n++) this.start(n, keptCountMax);
  }

  start(self: number, keptCountMax = 100): void {
    this.logs[self] = new ReplicatedLog<string>({
      topic: "log",
      self,
      clock: this.clock,
      keptCountMax,
      isValue: (value): value is string => typeof value === "string",
      link: {
        connected: () => [0, 1, 2].filter((n) => n !== self && this.#joined(self, n)),
        onConnect: (listener) => {
          this.#connect[self] = listener;
        },
        onDisconnect: (listener) => {
          this.#disconnect[self] = listener;
        },
        onRequest: (_topic, handler) => {
          this.#handlers[self] = handler;
        },
        request: async (member, _topic, body) => {
          await Promise.resolve();
          if (!this.#joined(self, member)) return undefined;
          const { stretches } = JSON.parse(new TextDecoder().decode(body)) as {
            stretches: { values: unknown[] }[];
          };
          this.sent += stretches.reduce((sum, { values }) => sum + values.length, 0);
          return this.#handlers[member]?.(self, body);
        },
      },
    });
  }

  #joined(a: number, b: number): boolean {
    return !this.#dead.has(a) && !this.#dead.has(b) && !this.#cut.has([a, b].sort().join());
  }

  cut(a: number, b: number): void {
    this.#cut.add([a, b].sort().join());
    this.#disconnect[a]?.(b);
    this.#disconnect[b]?.(a);
  }

  heal(a: number, b: number): void {
    this.#cut.delete([a, b].sort().join());
    this.#connect[a]?.(b);
    this.#connect[b]?.(a);
  }

  kill(member: number): void {
    this.#dead.add(member);
    this.logs[member]?.close();
    for (let n = 0; n < COUNT; n++) if (n !== member) this.#disconnect[n]?.(member);
  }

  restart(member: number): void {
    this.#dead.delete(member);
    this.start(member);
    for (let n = 0; n < COUNT; n++) if (n !== member) this.heal(n, member);
  }

  async pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 10) {
      this.clock.advance(10);
      for (let turn = 0; turn < 40; turn++) await Promise.resolve();
    }
  }

  log(n: number): ReplicatedLog<string> {
    return this.logs[n] as ReplicatedLog<string>;
  }

  heard(n: number): string[] {
    return this.log(n)
      .after(new Map())
      .map(({ value }) => value)
      .sort();
  }
}

test("what one member writes all have soon, each told it once", async () => {
  const cluster = new Cluster();
  await cluster.pass(6_000);
  cluster.sent = 0;
  for (let n = 0; n < COUNT; n++) cluster.log(n).append(`of ${n}`);
  await cluster.pass(50);
  for (let n = 0; n < COUNT; n++) assert.deepEqual(cluster.heard(n), ["of 0", "of 1", "of 2"]);
  assert.equal(cluster.sent, COUNT * (COUNT - 1));
  await cluster.pass(20_000);
  assert.equal(cluster.sent, COUNT * (COUNT - 1), "comparing sends nothing anew");
});

test("what only one survivor heard of a dead member the others hear from it", async () => {
  const cluster = new Cluster();
  await cluster.pass(100);
  cluster.cut(0, 2);
  cluster.log(0).append("last words");
  await cluster.pass(30);
  cluster.kill(0);
  await cluster.pass(50);
  assert.deepEqual(cluster.heard(2), ["last words"]);
});

test("a reader goes on at another member where it was, with nothing lost and nothing twice", async () => {
  const cluster = new Cluster();
  for (let i = 0; i < 5; i++) {
    cluster.log(0).append(`0-${i}`);
    cluster.log(1).append(`1-${i}`);
    await cluster.pass(20);
  }
  const early = cluster.log(0).after(new Map()).slice(0, 4);
  const place = new Map<number, { run: number; sequence: number }>();
  for (const { origin, run, sequence } of early) place.set(origin, { run, sequence });
  const cursor = parseCursor(cursorText(place));
  assert.ok(cursor);
  cluster.kill(0);
  cluster.log(1).append("after");
  await cluster.pass(50);
  const rest = cluster
    .log(2)
    .after(cursor)
    .map(({ value }) => value);
  assert.deepEqual(
    [...early.map(({ value }) => value), ...rest].sort(),
    [...Array(5).keys()]
      .flatMap((i) => [`0-${i}`, `1-${i}`])
      .concat("after")
      .sort(),
  );
});

test("a member that comes back gets everything, its own words of before among it, and its new ones come after", async () => {
  const cluster = new Cluster();
  cluster.log(1).append("before");
  await cluster.pass(50);
  const read = cluster.log(0).cursor();
  cluster.kill(1);
  cluster.log(0).append("meanwhile");
  await cluster.pass(50);
  cluster.restart(1);
  await cluster.pass(50);
  assert.deepEqual(cluster.heard(1), ["before", "meanwhile"]);
  cluster.log(1).append("again");
  await cluster.pass(50);
  const rest = cluster.log(2).after(read);
  assert.deepEqual(rest.map(({ value }) => value).sort(), ["again", "meanwhile"]);
});

test("a clock that went back over a restart does not hide what comes after", async () => {
  const cluster = new Cluster();
  cluster.log(1).append("before");
  await cluster.pass(50);
  const read = cluster.log(0).cursor();
  cluster.kill(1);
  const now = cluster.clock.wallMs();
  cluster.clock.wallMs = () => now - 3_600_000;
  cluster.restart(1);
  cluster.log(1).append("an hour ago");
  await cluster.pass(50);
  assert.deepEqual(
    cluster
      .log(2)
      .after(read)
      .map(({ value }) => value),
    ["an hour ago"],
  );
});

test("more than is kept is forgotten, and a reader that is too late is told so", async () => {
  const cluster = new Cluster(10);
  cluster.log(0).append("first");
  await cluster.pass(50);
  const read = cluster.log(1).cursor();
  assert.equal(cluster.log(1).isGone(read), false);
  for (let i = 0; i < 500; i++) cluster.log(0).append(`${i}`);
  await cluster.pass(100);
  assert.equal(cluster.heard(1).length, 10);
  assert.equal(cluster.log(1).isGone(read), true);
});

test("what is no cursor is none; what members say wrongly is not kept", async () => {
  for (const text of ["", "1", "1.2", "x.1.1", "1.1.1-", "-1.1.1", Array(65).fill("1.1.1").join("-")])
    assert.equal(parseCursor(text), undefined, text);
  assert.deepEqual(parseCursor("0"), new Map());
  const cluster = new Cluster();
  await cluster.pass(20);
  cluster.log(0).append(7 as unknown as string);
  cluster.log(0).append("good");
  await cluster.pass(50);
  assert.deepEqual(cluster.heard(1), ["good"]);
});
