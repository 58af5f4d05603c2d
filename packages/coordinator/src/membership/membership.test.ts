import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  CALL_COUNT_MIN,
  callAfterMs,
  DEFAULT_TIMING,
  deadAfterMs,
  deadUnansweredAfterMs,
  networkIdOf,
  ROUTER_EVIDENCE_MS,
  suspectAfterMs,
  unheardAfterMs,
} from "../configuration.ts";
import { membersOf } from "../testing/simulation/scenario.ts";
import type { Message } from "../wire/message.ts";
import { createMembership, type Membership, type MembershipEffect, viewOf } from "./state.ts";
import { nextTickAtMs, step } from "./step.ts";

const NETWORK = networkIdOf("path-a");
const START_MS = 1_000;

interface Host {
  readonly name: string;
  readonly membership: Membership;
  readonly effects: MembershipEffect[];
}

/** A few memberships joined by hand: what is delivered, and when, is the test's choice. */
class Bench {
  nowMs = START_MS;
  readonly hosts = new Map<number, Host>();
  /** Everything that was sent, in order. */
  readonly sent: Message[] = [];
  carries: (message: Message) => boolean = () => true;
  private readonly members;

  constructor(count: number) {
    this.members = membersOf(count, ["path-a"]);
    for (let number = 0; number < count; number++) this.boot(number, 1_000 + number);
  }

  boot(number: number, incarnation: number): Host {
    const name = this.members[number]?.name ?? "";
    const membership = createMembership({
      self: name,
      members: this.members,
      timing: DEFAULT_TIMING,
      boot: incarnation * 7 + 1,
      incarnation,
      nowMs: this.nowMs,
    });
    const host: Host = { name, membership, effects: [] };
    this.hosts.set(number, host);
    return host;
  }

  host(number: number): Host {
    return this.hosts.get(number) as Host;
  }

  /** Runs until `untilMs`, every host at its own deadlines, datagrams at once. */
  run(untilMs: number): void {
    for (;;) {
      let next = Number.POSITIVE_INFINITY;
      for (const { membership } of this.hosts.values()) next = Math.min(next, nextTickAtMs(membership));
      if (next > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      for (const [number, { membership }] of this.hosts) {
        if (nextTickAtMs(membership) <= this.nowMs) this.step(number, { kind: "tick" });
      }
    }
    this.nowMs = untilMs;
  }

  step(number: number, event: Parameters<typeof step>[1]): void {
    const host = this.host(number);
    for (const effect of step(host.membership, event, this.nowMs)) {
      host.effects.push(effect);
      if (effect.kind !== "send") continue;
      this.sent.push(effect.message);
      if (this.carries(effect.message)) this.deliver(effect.message);
    }
  }

  deliver(message: Message): void {
    if (this.hosts.has(message.to)) this.step(message.to, { kind: "message", message, network: NETWORK });
  }

  phase(of: number, at: number) {
    return viewOf(this.host(at).membership, this.nowMs).members.find(({ number }) => number === of)?.phase;
  }

  deaths(at: number) {
    return this.host(at).effects.filter((effect) => effect.kind === "phase" && effect.to === "dead");
  }

  refusals(at: number): string[] {
    return this.host(at).effects.flatMap((effect) => (effect.kind === "refused" ? [effect.refusal] : []));
  }
}

suite("membership", () => {
  test("three members find each other; a silent one is called, and dead when three calls are unanswered", () => {
    const bench = new Bench(3);
    bench.run(START_MS + 500);
    for (const [of, at] of [
      [0, 1],
      [1, 0],
      [2, 0],
      [0, 2],
    ] as const)
      assert.equal(bench.phase(of, at), "alive");
    const lastWordMs = bench.host(0).membership.peers.get(2)?.lastHeardAtMs as number;
    bench.hosts.delete(2);
    bench.run(lastWordMs + callAfterMs(DEFAULT_TIMING) - 1);
    const calls = () => bench.sent.filter((sent) => sent.kind === "probe" && sent.to === 2 && sent.answerNow);
    bench.sent.length = 0;
    bench.run(lastWordMs + deadUnansweredAfterMs(DEFAULT_TIMING, 0) - 1);
    assert.equal(calls().filter(({ from }) => from === 0).length, CALL_COUNT_MIN);
    assert.equal(bench.phase(2, 0), "alive");
    bench.run(lastWordMs + deadUnansweredAfterMs(DEFAULT_TIMING, 0) + 1);
    assert.equal(bench.phase(2, 0), "dead");
    assert.equal(bench.phase(2, 1), "dead");
  });

  test("who answers calls lives, however late its probes; whose probes came late has the whole time", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 500);
    // Of what 1 says only its answers arrive.
    let answers = true;
    bench.carries = ({ from }) =>
      from === 0 || (answers && bench.host(1).membership.tickedAtMs < bench.nowMs);
    bench.run(START_MS + 2_000);
    assert.equal(bench.deaths(0).length, 0);
    const peer = bench.host(0).membership.peers.get(1);
    assert(peer !== undefined && peer.lateMs >= 5, `${peer?.lateMs}`);
    answers = false;
    peer.lateMs = 25;
    const lastWordMs = peer.lastHeardAtMs;
    bench.run(lastWordMs + deadUnansweredAfterMs(DEFAULT_TIMING, 25) - 2);
    assert.notEqual(bench.phase(1, 0), "dead");
    bench.run(lastWordMs + deadUnansweredAfterMs(DEFAULT_TIMING, 25) + 1);
    assert.equal(bench.phase(1, 0), "dead");
    assert.equal(deadUnansweredAfterMs(DEFAULT_TIMING, 45), deadAfterMs(DEFAULT_TIMING));
  });

  test("whoever comes late itself gives the others the whole time", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 500);
    bench.host(0).membership.lateMs = 60;
    const lastWordMs = bench.host(0).membership.peers.get(1)?.lastHeardAtMs as number;
    bench.hosts.delete(1);
    bench.run(lastWordMs + suspectAfterMs(DEFAULT_TIMING) + 1);
    assert.equal(bench.phase(1, 0), "suspect");
    bench.run(lastWordMs + deadAfterMs(DEFAULT_TIMING) - 2);
    assert.equal(bench.phase(1, 0), "suspect");
    bench.run(lastWordMs + deadAfterMs(DEFAULT_TIMING) + 1);
    assert.equal(bench.phase(1, 0), "dead");
  });

  test("more patience asked for is more patience, whatever is unanswered", () => {
    for (const [probeIntervalMs, missedProbesMax] of [
      [50, 3],
      [50, 20],
      [100, 3],
      [200, 2],
      [5, 3],
      [1_000, 2],
    ] as const) {
      const timing = { ...DEFAULT_TIMING, probeIntervalMs, missedProbesMax };
      const early = deadUnansweredAfterMs(timing, 0);
      assert(
        early >= 0.6 * deadAfterMs(timing) && early <= deadAfterMs(timing),
        `${probeIntervalMs}: ${early}`,
      );
    }
  });

  test("whom one member cannot hear, but another can, lives", () => {
    const bench = new Bench(3);
    bench.run(START_MS + 500);
    bench.carries = ({ from, to }) => !(from === 2 && to === 0);
    bench.run(START_MS + 3_000);
    assert.equal(bench.deaths(0).length, 0);
    assert(bench.sent.some(({ kind, from }) => kind === "ask" && from === 0));
    // When it really dies, the witness's word delays nothing.
    const lastWordMs = bench.host(1).membership.peers.get(2)?.lastHeardAtMs as number;
    bench.hosts.delete(2);
    bench.run(lastWordMs + deadAfterMs(DEFAULT_TIMING) + 2);
    assert.equal(bench.phase(2, 0), "dead");
    assert.equal(bench.phase(2, 1), "dead");
  });

  test("a closed replication link shortens the verdict on the dead and does no harm to the living", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 500);
    bench.step(0, { kind: "hint", member: 1 });
    assert.equal(bench.phase(1, 0), "alive", "it was called, and answered");
    const phases = bench.host(0).effects.flatMap((effect) => (effect.kind === "phase" ? [effect.to] : []));
    assert.deepEqual(phases.slice(-2), ["suspect", "alive"]);
    bench.run(START_MS + 1_000);
    assert.equal(bench.phase(1, 0), "alive");
    assert.equal(bench.deaths(0).length, 0);
    const lastWordMs = bench.host(0).membership.peers.get(1)?.lastHeardAtMs as number;
    bench.hosts.delete(1);
    bench.step(0, { kind: "hint", member: 1 });
    bench.run(lastWordMs + deadUnansweredAfterMs(DEFAULT_TIMING, 0) - 20);
    assert.equal(bench.phase(1, 0), "dead", "earlier than without");
  });

  test("a recording proves no life: not within an incarnation, not of an old one, not to a restarted listener", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 500);
    const recorded = bench.sent.filter(({ from }) => from === 1);
    bench.hosts.delete(1);
    bench.run(START_MS + 1_000);
    assert.equal(bench.phase(1, 0), "dead");
    for (const message of recorded) bench.deliver(message);
    assert.equal(bench.phase(1, 0), "dead");
    assert.equal(bench.phase(1, bench.boot(0, 5_000).membership.self.number), "dead");
    for (const message of recorded) bench.deliver(message);
    assert.equal(bench.phase(1, 0), "dead");

    const living = new Bench(2);
    living.run(START_MS + 500);
    const old = living.sent.filter(({ from }) => from === 1);
    const heardAtMs = living.host(0).membership.peers.get(1)?.lastHeardAtMs;
    living.nowMs += 20;
    for (const message of old) living.deliver(message);
    assert.equal(living.host(0).membership.peers.get(1)?.lastHeardAtMs, heardAtMs);
    assert(living.refusals(0).includes("replay"));
    living.boot(1, 9_000);
    living.run(START_MS + 1_000);
    for (const message of old) living.deliver(message);
    assert(living.refusals(0).includes("oldIncarnation"));
    assert.equal(living.phase(1, 0), "alive");
  });

  test("a member that lies about our incarnation does not use up the incarnations above it", () => {
    const bench = new Bench(3);
    bench.run(START_MS + 500);
    const said = bench.sent.findLast(
      ({ kind, from, to }) => kind === "probe" && from === 2 && to === 0,
    ) as Message;
    assert(said.kind === "probe");
    const lie = (opinionIncarnation: number) =>
      bench.deliver({ ...said, sequence: said.sequence + 1, opinion: "dead", opinionIncarnation });
    const before = bench.host(0).membership.incarnation;
    lie(Number.MAX_SAFE_INTEGER);
    assert.equal(bench.host(0).membership.incarnation, before);
    assert.deepEqual(bench.refusals(0), ["malformed"]);
    // What a clock that was wrong may have left behind is outdone.
    lie(before + 1_000_000);
    assert.equal(bench.host(0).membership.incarnation, before + 1_000_001);
    bench.run(START_MS + 2_000);
    assert.equal(bench.phase(0, 1), "alive");
    assert.equal(bench.phase(1, 0), "alive");
  });

  test("who is presumed dead refutes it with a new incarnation, and settles when nobody says otherwise", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 500);
    const before = bench.host(1).membership.incarnation;
    bench.carries = ({ from }) => from !== 1;
    bench.run(START_MS + 1_000);
    assert.equal(bench.phase(1, 0), "dead");
    bench.carries = () => true;
    bench.run(START_MS + 1_300);
    assert.equal(bench.phase(1, 0), "alive");
    assert(bench.host(1).membership.incarnation > before);
    const accused = bench.host(1).effects.find(({ kind }) => kind === "accused");
    assert(accused?.kind === "accused" && accused.displaced);
    const settling = () =>
      viewOf(bench.host(0).membership, bench.nowMs).members.find(({ number }) => number === 1)?.settling;
    assert.equal(settling(), true);
    bench.run(START_MS + 2_500);
    assert.equal(settling(), false);
  });

  test("an accusation that others contradict displaces nobody", () => {
    const bench = new Bench(3);
    bench.run(START_MS + 500);
    const { membership } = bench.host(1);
    const probe = bench.sent.findLast(({ kind, from, to }) => kind === "probe" && from === 0 && to === 1);
    assert(probe?.kind === "probe");
    bench.deliver({
      ...probe,
      sequence: probe.sequence + 1,
      opinion: "dead",
      opinionIncarnation: membership.incarnation,
    });
    const accused = bench.host(1).effects.find(({ kind }) => kind === "accused");
    assert(accused?.kind === "accused" && !accused.displaced && accused.settleMs === 0);
    bench.run(START_MS + 700);
    assert.equal(bench.phase(1, 0), "alive");
    assert.equal(bench.phase(1, 2), "alive");
  });

  test("a member whose wall clock moved back before its restart comes back all the same", () => {
    const bench = new Bench(3);
    bench.run(START_MS + 500);
    bench.boot(1, 3);
    bench.run(START_MS + 1_500);
    assert.equal(bench.phase(1, 0), "alive");
    assert.equal(bench.phase(1, 2), "alive");
    assert(bench.host(1).membership.incarnation > 1_001);
  });

  test("who says goodbye has left at once, and is not accused", () => {
    const bench = new Bench(3);
    bench.run(START_MS + 500);
    bench.step(2, { kind: "leave" });
    assert.equal(bench.phase(2, 0), "left");
    bench.hosts.delete(2);
    bench.run(START_MS + 1_500);
    assert.equal(bench.phase(2, 0), "left");
    assert.equal(bench.deaths(0).length, 0);
    bench.boot(2, 9_000);
    bench.run(START_MS + 2_000);
    assert.equal(bench.phase(2, 0), "alive");
  });

  test("strangers and messages for others are refused", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 200);
    const probe = bench.sent.find(({ kind }) => kind === "probe") as Message;
    bench.step(0, { kind: "message", message: { ...probe, from: 77, to: 0 }, network: NETWORK });
    bench.step(0, { kind: "message", message: { ...probe, from: 1, to: 9 }, network: NETWORK });
    assert.deepEqual(bench.refusals(0).slice(-2), ["unknownSender", "otherReceiver"]);
  });

  test("state is sent until it is acknowledged, and then no more", () => {
    const bench = new Bench(2);
    bench.run(START_MS + 500);
    const quiet = bench.sent.length;
    bench.run(START_MS + 1_000);
    assert(
      bench.sent.slice(quiet).every((message) => message.kind !== "probe" || message.state === undefined),
    );
    bench.carries = ({ from }) => from !== 0;
    const mark = bench.sent.length;
    bench.step(0, { kind: "facts", facts: { ready: true } });
    assert.equal(
      bench.sent.slice(mark).filter((message) => message.kind === "probe" && message.state?.ready).length,
      1,
    );
    bench.run(START_MS + 1_060);
    bench.carries = () => true;
    bench.run(START_MS + 1_200);
    assert.equal(
      viewOf(bench.host(1).membership, bench.nowMs).members.find(({ number }) => number === 0)?.ready,
      true,
    );
  });

  suite("a cut between the last two members", () => {
    const heardAt = (bench: Bench, at: number) =>
      viewOf(bench.host(at).membership, bench.nowMs).members.find(({ isSelf }) => isSelf)?.networks[0]?.heard;
    const say = (bench: Bench, at: number, routerHeard: boolean) =>
      bench.step(at, {
        kind: "facts",
        facts: { networks: new Map([["path-a", { carrier: true, routerHeard }]]) },
      });
    const cut = () => {
      const bench = new Bench(2);
      bench.run(START_MS + 500);
      assert.deepEqual([heardAt(bench, 0), heardAt(bench, 1)], [true, true]);
      bench.carries = () => false;
      return bench;
    };

    test("who is answered by a router is heard, who is not is not", () => {
      const bench = cut();
      bench.run(START_MS + 1_000);
      assert.deepEqual([heardAt(bench, 0), heardAt(bench, 1)], [false, false]);
      assert.deepEqual(viewOf(bench.host(0).membership, bench.nowMs).unheardNetworks, ["path-a"]);
      bench.run(START_MS + 1_200);
      say(bench, 0, true);
      say(bench, 1, false);
      assert.deepEqual([heardAt(bench, 0), heardAt(bench, 1)], [true, false]);
      // That a router answers does not hide that no member does: it must be asked on.
      assert.deepEqual(viewOf(bench.host(0).membership, bench.nowMs).unheardNetworks, ["path-a"]);
      say(bench, 0, false);
      assert.equal(heardAt(bench, 0), false);
    });

    test("an answer from before the silence proves nothing", () => {
      const bench = cut();
      const cutAtMs = bench.nowMs;
      say(bench, 0, true);
      bench.run(cutAtMs + unheardAfterMs(DEFAULT_TIMING) + 50);
      assert.equal(heardAt(bench, 0), false);
      say(bench, 0, true);
      assert.equal(heardAt(bench, 0), false);
      bench.run(bench.nowMs + ROUTER_EVIDENCE_MS);
      say(bench, 0, true);
      assert.equal(heardAt(bench, 0), true);
    });
  });
});
