// What the probe loop believes: the words of members alone, each in its own name, on the network that it came
// over.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { DEFAULT_TIMING, type MemberConfiguration, networkIdOf, probeKeyOf } from "../configuration.ts";
import { secretCredentials } from "../keys/credentials.ts";
import { Keyring } from "../keys/keyring.ts";
import { encode } from "../wire/encode.ts";
import { decodeHello } from "../wire/hello.ts";
import { KIND_HELLO, KIND_OFFSET, type Leave, PROTOCOL_VERSION, VERSION_OFFSET } from "../wire/message.ts";
import type { Report } from "./messages.ts";
import { ProbeLoop } from "./probe-loop.ts";

const NETWORKS = ["cluster", "path-a"];
const KEY = probeKeyOf("secret");
const STEP_MS = 5;
const members: MemberConfiguration[] = ["alpha", "beta", "gamma"].map((name, number) => ({
  name,
  number,
  addresses: NETWORKS.map((network, n) => ({ network, address: `10.${n}.0.${number + 1}`, port: 1 })),
}));

interface Datagram {
  readonly to: number;
  readonly network: number;
  readonly bytes: Uint8Array;
}

class World {
  nowMs = 0;
  loss = 0;
  #state = 1;
  readonly loops = new Map<number, ProbeLoop>();
  readonly views = new Map<number, Report & { kind: "view" }>();
  readonly reasons: string[] = [];
  queue: Datagram[] = [];
  readonly sent: Datagram[] = [];
  #timers: { atMs: number; readonly everyMs: number | undefined; readonly action: () => void }[] = [];

  /** A linear congruential generator: the same run every time. */
  random(): number {
    this.#state = (this.#state * 48_271) % 2_147_483_647;
    return this.#state / 2_147_483_647;
  }

  start(
    number: number,
    credentials = secretCredentials(KEY, number),
    highestVersion = PROTOCOL_VERSION,
    key = KEY,
  ): void {
    this.loops.get(number)?.command({ kind: "close" });
    const { name } = members[number] as MemberConfiguration;
    const after = (delayMs: number, action: () => void, everyMs?: number) => {
      const timer = { atMs: this.nowMs + delayMs, everyMs, action };
      this.#timers.push(timer);
      return {
        cancel: () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        },
      };
    };
    const boot = Math.round(this.nowMs) * 8 + number + 1;
    const loop = new ProbeLoop({
      data: { self: name, members, timing: DEFAULT_TIMING, key, boot, incarnation: boot * 1_024 },
      credentials,
      highestVersion,
      nowMs: () => this.nowMs,
      afterSockets: (delayMs, _, action) => after(delayMs, action),
      after,
      send: (datagram, member) => {
        for (const { network } of member.addresses) {
          const id = networkIdOf(network);
          this.queue.push({ to: member.number, network: id, bytes: datagram(id).slice() });
        }
      },
      // The main loop lives.
      pulse: () => this.nowMs,
      report: (report) => {
        if (report.kind !== "view") return;
        this.views.set(number, report);
        for (const notice of report.notices)
          if (notice.kind === "distrusted") this.reasons.push(`${notice.member}: ${notice.reason}`);
      },
      beat: () => {},
      socketCounters: () => ({ sent: 0, sendFailures: 0, closedNetworks: {} }),
      closed: () => {},
    });
    this.loops.set(number, loop);
    loop.start();
  }

  run(forMs: number): void {
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs; this.nowMs += STEP_MS) {
      for (const timer of this.#timers.filter(({ atMs }) => atMs <= this.nowMs)) {
        if (!this.#timers.includes(timer)) continue;
        if (timer.everyMs === undefined) this.#timers = this.#timers.filter((other) => other !== timer);
        else timer.atMs += timer.everyMs;
        timer.action();
      }
      const due = this.queue.splice(0).filter(() => this.random() >= this.loss);
      this.sent.push(...due);
      for (const { to, network, bytes } of due) {
        // In the place of the next one, as with the sockets.
        const place = bytes.slice();
        this.loops.get(to)?.receive(place, network);
        place.fill(0xff);
      }
    }
  }

  phase(at: number, of: number): string | undefined {
    return this.views.get(at)?.view.members.find(({ number }) => number === of)?.phase;
  }

  refused(at: number, why: string): number {
    this.run(600);
    const refused: Partial<Record<string, number>> = this.views.get(at)?.counters.refused ?? {};
    return refused[why] ?? 0;
  }
}

suite("members' words", () => {
  test("a booting cluster elects within the time that it waits for, with no link between members", () => {
    const world = new World();
    for (const { number } of members) world.start(number);
    world.run(40);
    for (const { number: at } of members)
      for (const { number: of } of members) assert.equal(world.phase(at, of), "alive", `${at} of ${of}`);
  });

  test("hellos and their answers are lost, on all networks at once: they come again until they have come", () => {
    const world = new World();
    world.loss = 0.6;
    for (const { number } of members) world.start(number);
    world.run(3_000);
    world.loss = 0;
    world.run(300);
    for (const { number: at } of members)
      for (const { number: of } of members) assert.equal(world.phase(at, of), "alive", `${at} of ${of}`);
    for (const [, { counters }] of world.views) assert.deepEqual(counters.refused.helloRate ?? 0, 0);
  });

  test("one that restarts is heard within two rounds, and its old words say nothing any more", () => {
    const world = new World();
    for (const { number } of members) world.start(number);
    world.run(300);
    const old = world.sent.filter(({ to }) => to === 0);
    world.start(1);
    world.run(60);
    assert.equal(world.phase(0, 1), "alive");
    assert.equal(world.phase(1, 0), "alive");
    const view = world.views.get(0);
    for (const { bytes, network } of old) world.loops.get(0)?.receive(bytes, network);
    assert.equal(world.phase(0, 1), "alive");
    assert.equal(world.views.get(0)?.view.members[1]?.incarnation, view?.view.members[1]?.incarnation);
  });

  test("members of two versions speak the lower one, and the higher one as soon as both have it", () => {
    const world = new World();
    world.start(0);
    world.start(1, undefined, PROTOCOL_VERSION - 1);
    world.start(2);
    const spoken = (from: number, to: number) =>
      new Set(
        world.sent
          .filter(
            (sent) => sent.to === to && sent.bytes[5] === from && sent.bytes[KIND_OFFSET] !== KIND_HELLO,
          )
          .map(({ bytes }) => bytes[VERSION_OFFSET]),
      );
    const phases = () => [world.phase(0, 1), world.phase(1, 0), world.phase(1, 2), world.phase(2, 0)];
    world.run(300);
    world.sent.length = 0;
    world.run(300);
    assert.deepEqual(phases(), ["alive", "alive", "alive", "alive"]);
    assert.deepEqual(spoken(0, 2), new Set([PROTOCOL_VERSION]));
    assert.deepEqual(spoken(0, 1), new Set([PROTOCOL_VERSION - 1]));
    assert.deepEqual(spoken(1, 0), new Set([PROTOCOL_VERSION - 1]));
    // An upgrade of one, and a downgrade of another.
    for (const [upgraded, version] of [
      [1, PROTOCOL_VERSION],
      [2, PROTOCOL_VERSION - 1],
    ] as const) {
      world.start(upgraded, undefined, version);
      world.run(300);
      world.sent.length = 0;
      world.run(300);
      assert.deepEqual(phases(), ["alive", "alive", "alive", "alive"]);
      assert.deepEqual(spoken(0, upgraded), new Set([version]));
    }
    for (const number of [0, 1, 2])
      assert.ok(
        world.refused(number, "version") <= 20,
        `${number}: ${world.refused(number, "version")} at the changes`,
      );
  });

  test("a member with another secret is told in words, once, and believed when it has the cluster's", () => {
    const world = new World();
    world.start(0);
    world.start(1, undefined, undefined, probeKeyOf("another secret"));
    world.start(2);
    world.run(2_000);
    assert.equal(world.phase(0, 2), "alive");
    assert.notEqual(world.phase(0, 1), "alive");
    // Those with the right one say it of the one that has not, and it says it of both.
    assert.deepEqual(
      world.reasons.map((reason) => reason.replace(/(another secret).*/, "$1")).sort(),
      ["alpha", "beta", "beta", "gamma"].map((name) => `${name}: its hellos are sealed with another secret`),
    );
    // Words of somebody who is heard already are a stranger's: nothing is said.
    world.start(1);
    world.run(600);
    assert.equal(world.phase(0, 1), "alive");
    world.reasons.length = 0;
    const hello = world.sent.find(
      ({ to, bytes }) => to === 0 && bytes[5] === 1 && bytes[KIND_OFFSET] === KIND_HELLO,
    );
    for (let n = 0; n < 1_000; n++)
      world.loops.get(0)?.receive(hello?.bytes ?? assert.fail(), (hello?.network ?? 0) + 1);
    world.run(600);
    assert.deepEqual(world.reasons, []);
  });

  test("a goodbye in another's name is nobody's, whatever the liar knows", () => {
    const world = new World();
    for (const { number } of members) world.start(number);
    world.run(300);
    const beta = world.views.get(0)?.view.members[1];
    const leave: Leave = {
      kind: "leave",
      from: 1,
      to: 0,
      incarnation: (beta?.incarnation ?? 0) + 1,
      boot: 2,
      echo: 1,
      sequence: 1_000_000,
    };
    // The cluster's secret, as before; and gamma's own key, under its id and another.
    const network = networkIdOf("cluster");
    const gamma = new Keyring({ self: 2, boot: 3, others: [0], credentials: secretCredentials(KEY, 2) });
    const hello = gamma.hello(0)?.(KEY, network) as Uint8Array;
    assert.ok(decodeHello(hello) !== undefined);
    for (const id of [0, 1, 0xffff_ffff]) {
      world.loops.get(0)?.receive(encode(leave, { id, key: KEY }, network), network);
      world.loops.get(0)?.receive(encode({ ...leave, from: 2 }, { id, key: KEY }, network), network);
    }
    world.run(100);
    assert.equal(world.phase(0, 1), "alive");
    assert.equal(world.phase(0, 2), "alive");
    assert.equal(world.refused(0, "unknownKey"), 6);
  });

  test("a copy on another network is no sign that this network works", () => {
    const world = new World();
    for (const { number } of members) world.start(number);
    world.run(300);
    const [cluster, path] = NETWORKS.map(networkIdOf) as [number, number];
    const before = world.refused(0, "tag");
    const copies = world.sent.filter(({ to, network }) => to === 0 && network === cluster).slice(-20);
    for (const { bytes } of copies) world.loops.get(0)?.receive(bytes, path);
    assert.equal(world.refused(0, "tag") - before, copies.length);
  });

  test("a member whose hello proves nothing is not heard, and why is said once", () => {
    const world = new World();
    world.start(0);
    world.start(1);
    world.start(2, secretCredentials(new Uint8Array(32), 2));
    world.run(1_000);
    assert.equal(world.phase(0, 1), "alive");
    assert.equal(world.phase(0, 2), "dead");
    assert.equal(world.phase(2, 0), "dead");
    const said = world.reasons.filter((reason) => reason === "gamma: it does not have the cluster's secret");
    assert.equal(said.length, 2, "by alpha and by beta");
  });
});
