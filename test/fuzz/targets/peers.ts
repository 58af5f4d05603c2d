// A member that lies: two honest members with the real engine, replica and view, and a third one with a
// certificate that says whatever it likes. What it says of sessions in its own name is believed: so it leaves
// the witness alone there.
//
//   impersonator: ends the witness in the others' names: in their journals, in answers and responses that are not its own.
//   slanderer:    has the others begin anew, gives up their journals, knows of later incarnations of them.
//
// Both kinds send summaries, ticks and questions full of nonsense beside. The honest two must not notice.
import assert from "node:assert/strict";
import { encodeSession, isLiving, type Random, type SessionDelta, type SessionId } from "@holdfast/model";
import {
  type Actor,
  actorOf,
  counterOf,
  decodePeerMessage,
  documentActorOf,
  type Entry,
  encodeChange,
  encodePayload,
  encodePeerMessage,
  type PeerMessage,
  type Summary,
} from "@holdfast/sync/testing";
import { MEMORY_MS } from "../../simulation/member.ts";
import { mutate } from "../mutate.ts";
import { Target } from "../target.ts";

import { answered, commitText, KINDS, LIAR, World } from "./liar-world.ts";

const MESSAGES_PER_WORLD = 300;
const HASH_SIZE = 32;
const COUNTER_MAX = 2 ** 48 - 2;
/** Simulated time after the last lie. */
const QUIET_MS = 2 * MEMORY_MS;

type Journal = Summary["journals"][number];

export class PeersTarget extends Target {
  override readonly name = "peers";
  readonly #seed: number;
  #world: World | undefined;
  #left = 0;
  #worlds = 0;
  #turn = 0;
  readonly #figures = { sent: 0, refused: 0, reincarnations: 0, unasked: 0 };

  constructor(seed: number) {
    super();
    this.#seed = seed;
  }

  override async once(random: Random): Promise<void> {
    if (this.#left === 0) {
      await this.#endWorld();
      this.#world = new World(
        this.#seed + this.#worlds,
        KINDS[this.#worlds % KINDS.length] as (typeof KINDS)[number],
      );
      await this.#world.start();
      this.#left = MESSAGES_PER_WORLD;
    }
    this.#left--;
    const world = this.#world as World;
    const to = random.below(2);
    const bytes = this.#lie(random, world, to);
    this.last = bytes;
    if (world.network.inject(LIAR, to, bytes)) this.#figures.sent++;
    await world.pass(random.below(16) === 0 ? random.below(200) : 1 + random.below(3));
  }

  #lie(random: Random, world: World, to: number): Uint8Array {
    if (this.#turn++ % 64 === 0) return encodePeerMessage({ kind: "hello", summary: world.truth() });
    const message = lie(random, world, to);
    const bytes = encodePeerMessage(message);
    if (random.below(6) > 0) return bytes;
    // Damage that still decodes; what does not is another target's matter, and ends the link each time.
    const damaged = mutate(random, bytes, bytes);
    return isAllowed(damaged, world) ? damaged : bytes;
  }

  async #endWorld(): Promise<void> {
    const world = this.#world;
    if (world === undefined) return;
    this.#world = undefined;
    this.#worlds++;
    await world.pass(QUIET_MS);
    for (const member of world.honest) {
      const { view, engine } = member.life ?? assert.fail("an honest member is down");
      const where: string = `${world.kind}, ${member.identity.name}`;
      const record = view.get(world.witness);
      assert.ok(record !== undefined && isLiving(record), `${where}: the witness has ended`);
      assert.equal(commitText(record), world.commit, `${where}: another commit`);
      const { totals, segmentCount } = engine.status();
      assert.ok(segmentCount < 10_000, `${where}: ${segmentCount} segments`);
      this.#figures.refused += totals["refusedPeers"] ?? 0;
      this.#figures.reincarnations += totals["reincarnations"] ?? 0;
      this.#figures.unasked += totals["unasked"] ?? 0;
    }
    await world.establish(0);
    await world.establish(1);
    for (const member of world.honest) member.crash("lost");
    await world.liar.stop();
  }

  override figures() {
    return { ...this.#figures, worlds: this.#worlds };
  }

  override close(): Promise<void> {
    return this.#endWorld();
  }
}

// ---- what a liar says

const pick = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T;

/**
 * Damage must not make one kind of liar another: a journal whose writer began anew may be continued by
 * anybody.
 */
function isAllowed(damaged: Uint8Array, world: World): boolean {
  const decoded = decodePeerMessage(damaged);
  if (!decoded.ok) return false;
  const kind = decoded.message?.kind;
  if (world.kind === "impersonator") return kind !== "hello" && kind !== "summary";
  return !mentions(damaged, world.witness);
}

function mentions(bytes: Uint8Array, id: SessionId): boolean {
  return Buffer.from(bytes).includes(Buffer.from(id.replaceAll("-", ""), "hex"));
}

function anyCounter(random: Random, near: number): number {
  return Math.max(
    0,
    pick(random, [0, near, near - 1, near + 1, near + random.below(1_000), near * 2, 2 ** 47, COUNTER_MAX]),
  );
}

/** Whose incarnations it lies about. */
const about = (world: World) => (world.kind === "slanderer" ? [0, 1, LIAR, 5, 63] : [LIAR, 5, 63]);

function anyActor(random: Random, world: World): Actor {
  const actors = [...world.summaries.values()].map((summary) => summary.incarnation);
  const known = pick(random, [world.actor, ...actors]);
  if (random.below(3) > 0) return known;
  return actorOf(pick(random, about(world)), anyCounter(random, counterOf(known)), random);
}

const anyNumber = (random: Random) => pick(random, [0, 0, 1, 2, 7, 300, 65_536, 0xffff_ffff]);

/** The journals of an honest member as it showed them, or anything. */
function anyJournal(random: Random, world: World): Journal {
  const true_ = [...world.summaries.values()].flatMap((summary) => summary.journals);
  const base: Journal =
    true_.length > 0 && random.below(2) === 0
      ? pick(random, true_)
      : { actor: anyActor(random, world), base: anyNumber(random), segments: [] };
  if (random.below(3) === 0) return base;
  const segments = Array.from({ length: random.below(4) }, () => {
    const ticks = anyNumber(random);
    return {
      segment: anyNumber(random),
      ticks,
      head: ticks > 0 ? random.bytes(HASH_SIZE) : new Uint8Array(0),
      sealed: random.below(2) === 0,
    };
  });
  return { ...base, segments: [...base.segments, ...segments] };
}

function anySummary(random: Random, world: World): Summary {
  const counters = [...world.summaries.values()].map((summary) => counterOf(summary.incarnation));
  const near = counters.length === 0 ? 1 : pick(random, counters);
  const count = (max: number) => random.below(max);
  return {
    incarnation: random.below(8) === 0 ? anyActor(random, world) : world.actor,
    journals: Array.from({ length: count(4) }, () => anyJournal(random, world)),
    connected: Array.from({ length: count(4) }, () => pick(random, [0, 1, 2, 63])),
    floors: Array.from(
      { length: count(3) },
      () => [pick(random, about(world)), anyCounter(random, near)] as const,
    ),
    caughtUp: random.below(2) === 0,
  };
}

/**
 * Payload of a tick. In somebody else's name it may end the witness; in its own the liar speaks of its own
 * sessions.
 */
function anyPayload(random: Random, world: World, own: boolean): Uint8Array {
  const entries = Array.from({ length: 1 + random.below(4) }, (): Entry => {
    switch (random.below(own ? 8 : 4)) {
      case 0:
        return { kind: "header", previousTicks: anyNumber(random), base: anyNumber(random) };
      case 1:
        return { kind: "base", base: anyNumber(random) };
      case 2: {
        const near = counterOf(world.summaries.get(random.below(2))?.incarnation ?? world.actor);
        const member = pick(random, about(world));
        const position = { counter: near, segment: anyNumber(random), ticks: anyNumber(random) };
        return {
          kind: "floor",
          floor: {
            member,
            counter: anyCounter(random, near),
            positions: random.below(2) === 0 ? [position] : [],
          },
        };
      }
      default:
        return {
          kind: "delta",
          bytes: encodeSession(own || world.kind === "slanderer" ? anySession(random) : endOf(world.witness)),
        };
    }
  });
  return encodePayload(entries);
}

function anySession(random: Random): SessionDelta {
  const delta = answered(pick(random, [0, 1, LIAR, 63]), 1_000 + random.below(60_000));
  const choice = random.below(4);
  if (choice === 0) return delta;
  if (choice === 1) return { id: delta.id };
  if (choice === 2) return endOf(delta.id);
  const candidate = "192.0.2.10";
  return {
    ...delta,
    commit: {
      epoch: pick(random, [1, 2, 2 ** 31, Number.MAX_SAFE_INTEGER]),
      clientTag: random.uint32() || 1,
      candidate: `63/${candidate}/38412/${1_024 + random.below(60_000)}/7`,
    },
  };
}

function endOf(id: SessionId): SessionDelta {
  return {
    id,
    end: {
      cause: "operator",
      absorbing: true,
      epochSeen: 9,
      phaseSeen: "closed",
      activitySeen: Number.MAX_SAFE_INTEGER,
    },
  };
}

function lie(random: Random, world: World, to: number): PeerMessage {
  switch (random.below(12)) {
    case 0:
      return { kind: "hello", summary: anySummary(random, world) };
    case 1:
    case 2:
      return { kind: "summary", summary: anySummary(random, world) };
    case 3:
    case 4:
      return ownTick(random, world, to);
    case 5:
      return forgedTick(random, world);
    case 6:
    case 7:
      return forgedSegment(random, world);
    case 8:
      return {
        kind: "fetch",
        actor: anyActor(random, world),
        segment: anyNumber(random),
        fromTick: anyNumber(random),
      };
    case 9:
      return {
        kind: "acknowledge",
        actor: anyActor(random, world),
        held: { segment: anyNumber(random), ticks: anyNumber(random) },
        joined: { segment: anyNumber(random), ticks: anyNumber(random) },
      };
    case 10:
      return random.below(2) === 0
        ? { kind: "response", id: random.below(20), body: random.bytes(random.below(20)) }
        : {
            kind: "request",
            id: random.below(20),
            topic: pick(random, ["", "counters", "x"]),
            body: random.bytes(4),
          };
    default:
      return random.below(2) === 0
        ? { kind: "answer", question: random.below(8), records: [encodeSession(endOf(world.witness))] }
        : {
            kind: "ask",
            question: random.below(2 ** 31),
            about: {
              kind: "natPort",
              endpoint: "192.0.2.10",
              endpointPort: 38_412,
              natPort: random.below(65_536),
            },
          };
  }
}

/** The next tick of the liar's own journal, right in form. */
function ownTick(random: Random, world: World, to: number): PeerMessage {
  const state = world.own.get(to) ?? { tick: 0, head: new Uint8Array(0) };
  const change = encodeChange(
    documentActorOf(world.actor, 0),
    state.tick,
    state.head,
    anyPayload(random, world, true),
  );
  const tick = random.below(8) === 0 ? anyNumber(random) : state.tick;
  if (tick === state.tick) world.own.set(to, { tick: tick + 1, head: change.hash });
  return { kind: "tick", actor: world.actor, segment: 0, tick, change: change.bytes };
}

/** Where an honest member's journal goes on, with its true head. */
function continuation(
  random: Random,
  world: World,
): { actor: Actor; segment: number; tick: number; change: Uint8Array } {
  const of = world.summaries.get(random.below(2));
  const journal = of?.journals.find(({ actor }) => actor === of.incarnation);
  const last = journal?.segments.at(-1);
  const actor = of?.incarnation ?? world.actor;
  const segment = last?.segment ?? 0;
  const tick = last?.ticks ?? 0;
  const payload = anyPayload(random, world, false);
  const change = encodeChange(
    documentActorOf(actor, segment),
    tick,
    last?.head ?? new Uint8Array(0),
    payload,
  );
  return { actor, segment, tick, change: change.bytes };
}

function forgedTick(random: Random, world: World): PeerMessage {
  return { kind: "tick", ...continuation(random, world) };
}

function forgedSegment(random: Random, world: World): PeerMessage {
  const { actor, segment, tick, change } = continuation(random, world);
  return {
    kind: "segment",
    actor,
    segment,
    fromTick: tick,
    changes: [change],
    sealed: random.below(2) === 0,
  };
}
