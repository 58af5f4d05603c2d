import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { ClusterView, CoordinatorEvent } from "@holdfast/coordinator";
import { type Address, type MemberName, silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import type { EventFacts } from "../events/bus.ts";
import { Readiness } from "../readiness.ts";
import type { RequestHandler } from "./link.ts";
import { UnheardMembers } from "./unheard.ts";

const PORT = 7082;

interface Life {
  readonly readiness: Readiness;
  readonly events: string[];
  readonly handlers: Map<string, RequestHandler>;
  readonly heard: Set<number>;
  readonly ever: Set<number>;
  readonly listeners: ((event: CoordinatorEvent) => void)[];
  readonly connects: ((number: number) => void)[];
  readonly states: (() => void)[];
  unheard?: UnheardMembers;
}

/** Members m0, m1, … on one clock; who is connected, and who hears whom, is the test's. */
class World {
  readonly clock = new ManualClock();
  readonly lives = new Map<number, Life>();
  readonly links = new Set<string>();
  readonly older = new Set<number>();
  readonly networks: readonly string[];

  constructor(...networks: string[]) {
    this.networks = networks;
  }

  /** Its probes run; it is not ready before `serve`. */
  start(self: number): void {
    const life: Life = {
      readiness: new Readiness(silentLogger),
      ...{
        events: [],
        handlers: new Map(),
        heard: new Set(),
        ever: new Set(),
        listeners: [],
        connects: [],
        states: [],
      },
    };
    life.readiness.set("api", false, "the API does not listen yet");
    this.lives.set(self, life);
    const addressOf = (n: number, network: string) => ({
      network,
      address: `10.0.0.${n + 1}` as Address,
      port: PORT,
    });
    life.unheard = new UnheardMembers({
      own: { name: `m${self}`, number: self },
      // Everybody calls its own network its own way, and takes the others' addresses for that network's.
      placed: () =>
        this.networks.map((_, n) => ({
          ...{ name: `m${n}`, number: n },
          addresses: [addressOf(n, this.networks[self] as string)],
        })),
      link: {
        connected: () => [...this.lives.keys()].filter((other) => this.links.has(this.#pair(self, other))),
        request: async (to, topic, body) => {
          if (!this.links.has(this.#pair(self, to)) || this.older.has(to)) return undefined;
          return this.lives.get(to)?.handlers.get(topic)?.(self, body);
        },
        onRequest: (topic, handler) => void life.handlers.set(topic, handler),
        onConnect: (listener) => void life.connects.push(listener),
        onState: (listener) => void life.states.push(listener),
      },
      coordinator: {
        view: () => this.#view(self, life),
        onEvent: (listener) => void life.listeners.push(listener),
      },
      readiness: life.readiness,
      events: { emit: ({ message }: EventFacts) => void life.events.push(message) },
      clock: this.clock,
      logger: silentLogger,
    });
  }

  /** What else it needs is there. */
  serve(...numbers: number[]): void {
    for (const number of numbers) this.lives.get(number)?.readiness.set("api", true, "it listens");
  }

  connect(a: number, b: number): void {
    this.links.add(this.#pair(a, b));
    for (const [at, of] of [
      [a, b],
      [b, a],
    ] as const)
      for (const listener of this.lives.get(at)?.connects ?? []) listener(of);
  }

  disconnect(a: number, b: number): void {
    this.links.delete(this.#pair(a, b));
    for (const at of [a, b]) for (const listener of this.lives.get(at)?.states ?? []) listener();
  }

  end(number: number): void {
    for (const other of this.lives.keys()) if (other !== number) this.disconnect(number, other);
    this.lives.get(number)?.unheard?.close();
    this.lives.delete(number);
  }

  hear(a: number, b: number): void {
    for (const [at, of] of [
      [a, b],
      [b, a],
    ] as const) {
      const life = this.lives.get(at);
      life?.heard.add(of);
      life?.ever.add(of);
      for (const listener of life?.listeners ?? []) listener({ kind: "memberPhase" } as CoordinatorEvent);
    }
  }

  async pass(seconds: number): Promise<void> {
    await setImmediate();
    for (let n = 0; n < seconds; n++) {
      this.clock.advance(1_000);
      await setImmediate();
    }
  }

  ready(): MemberName[] {
    return [...this.lives].flatMap(([number, { readiness }]) => (readiness.ready ? [`m${number}`] : []));
  }

  detail(number: number, check: string): string {
    const found = this.lives
      .get(number)
      ?.readiness.health("m", "0")
      .checks.find(({ name }) => name === check);
    return found === undefined || found.ok ? "" : found.detail;
  }

  #pair(a: number, b: number): string {
    return [a, b].sort().join("-");
  }

  #view(self: number, { heard, ever }: Life): ClusterView {
    const members = this.networks.map((_, n) => ({
      ...{ name: `m${n}`, number: n, isSelf: n === self },
      incarnation: n === self || ever.has(n) ? 1 : 0,
      phase: n === self || heard.has(n) ? "alive" : "dead",
    }));
    return { self: `m${self}`, members, unheardNetworks: [], confirmed: true } as unknown as ClusterView;
  }
}

test("a member added beside one that serves, on a network of another name, stands by, and both say why", async () => {
  const world = new World("ens18", "eth0");
  world.start(1);
  world.serve(1);
  await world.pass(60);
  world.start(0);
  world.connect(0, 1);
  await world.pass(0);
  world.serve(0);
  assert.deepEqual(world.ready(), ["m1"], "not even for a moment, and whoever has the lower number");
  await world.pass(4);
  assert.deepEqual(world.ready(), ["m1"]);
  assert.match(
    world.detail(0, "probes"),
    /beside m1: no probe of m1 arrives, .* over eth0 \(10\.0\.0\.2\), this member over ens18 \(10\.0\.0\.1\): .*interfaces\[\]\.network/,
  );
  assert.match(world.detail(1, "unheard-members"), /no probe of m0 .* over ens18 .*, this member over eth0/);
  await world.pass(60);
  assert.deepEqual(
    [0, 1].map((n) => world.lives.get(n)?.events.length),
    [1, 1],
    "it is said once",
  );
  // A probe arrives, or the one that serves is gone: it serves.
  world.hear(0, 1);
  assert.deepEqual(world.ready().sort(), ["m0", "m1"]);
  assert.deepEqual([world.detail(0, "probes"), world.detail(1, "unheard-members")], ["", ""]);
});

test("who stands by serves when the other is gone, or is not ready itself", async () => {
  const world = new World("lan", "lan");
  for (const number of [0, 1]) {
    world.start(number);
    world.clock.advance(1);
  }
  world.connect(0, 1);
  await world.pass(0);
  world.serve(0, 1);
  await world.pass(4);
  assert.deepEqual(world.ready(), ["m0"]);
  assert.match(
    world.detail(1, "probes"),
    /open UDP port 7082 .* on lan \(probes cross no router\), and compare cluster\.secretFile/,
  );
  world.lives.get(0)?.readiness.set("dataPlane", false, "it broke");
  await world.pass(1);
  assert.deepEqual(world.ready(), ["m1"]);
  world.lives.get(0)?.readiness.set("dataPlane", true, "it works");
  await world.pass(5);
  assert.deepEqual(world.ready(), ["m0"]);
  world.end(0);
  assert.deepEqual(world.ready(), ["m1"]);
  // It comes back, and the later one is now itself.
  world.start(0);
  world.connect(0, 1);
  await world.pass(0);
  world.serve(0);
  await world.pass(4);
  assert.deepEqual(world.ready(), ["m1"]);
});

test("members that start in the same moment: the lower number serves", async () => {
  const world = new World("lan", "lan");
  for (const number of [0, 1]) world.start(number);
  world.serve(0, 1);
  world.connect(0, 1);
  await world.pass(2);
  assert.deepEqual(world.ready(), ["m0", "m1"], "who serves goes on until it is certain");
  await world.pass(2);
  assert.deepEqual(world.ready(), ["m0"]);
});

test("who has heard anybody goes on, and tells of the one that it does not hear; who has not stands by", async () => {
  const world = new World("lan", "wan", "lan");
  // The one with the mistake is the first to start.
  for (const number of [1, 0, 2]) {
    world.start(number);
    world.clock.advance(1);
  }
  world.hear(0, 2);
  for (const [a, b] of [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const)
    world.connect(a, b);
  await world.pass(0);
  world.serve(0, 1, 2);
  await world.pass(10);
  assert.deepEqual(world.ready().sort(), ["m0", "m2"]);
  assert.match(world.detail(0, "unheard-members"), /^no probe of m1 [^;]*$/);
  assert.match(world.detail(1, "probes"), /^it owns no VIP beside m0: /);
  assert.equal(world.lives.get(1)?.events.length, 2, "of both");
});

test("a member that served beside others serves on when their probes stop, and says so", async () => {
  const world = new World("lan", "lan");
  for (const number of [0, 1]) {
    world.start(number);
    world.clock.advance(1);
  }
  world.hear(0, 1);
  world.connect(0, 1);
  world.serve(0, 1);
  await world.pass(10);
  assert.deepEqual([world.detail(0, "unheard-members"), world.detail(1, "unheard-members")], ["", ""]);
  for (const { heard } of world.lives.values()) heard.clear();
  await world.pass(5);
  assert.deepEqual(world.ready(), ["m0", "m1"]);
  assert.match(world.detail(0, "unheard-members"), /no probe of m1 arrives/);
  assert.match(world.detail(1, "unheard-members"), /no probe of m0 arrives/);
});

test("nothing is concluded of members that are not connected, are heard, still start, or are of an older release", async () => {
  const world = new World("lan", "lan", "lan", "lan");
  for (const number of [0, 1, 2]) world.start(number);
  world.older.add(2);
  world.hear(0, 1);
  world.connect(0, 1);
  world.start(3);
  for (const number of [0, 2]) world.connect(3, number);
  world.links.delete("0-3");
  await world.pass(0);
  world.serve(0, 1, 2, 3);
  await world.pass(10);
  assert.equal(world.ready().includes("m3"), true, "it knows nothing of m2 and is not connected with m0");
  assert.deepEqual(world.detail(0, "unheard-members"), "");
});

test("an answer that is none says nothing", async () => {
  for (const words of ["", "7", "{}", JSON.stringify({ startedAtMs: 0, heardAnybody: true, serves: true })]) {
    const world = new World("lan", "lan");
    for (const number of [1, 0]) world.start(number);
    world.lives.get(0)?.handlers.set("probes", () => new TextEncoder().encode(words));
    world.connect(0, 1);
    await world.pass(0);
    world.serve(1);
    await world.pass(10);
    assert.deepEqual(world.ready(), ["m1"]);
  }
});
