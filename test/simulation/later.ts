// Members of a later version among others: they write journal entries, records and facts that nobody here can read, as long as
// every member offers to carry such, and all must have them as long as what they are about lives.
import {
  ByteWriter,
  isLiving,
  type Random,
  type SessionId,
  seededRandom,
  sessionIdFromBytes,
} from "@holdfast/model";
import {
  CAPABILITIES,
  CARRIES_UNKNOWN,
  encodePayload,
  foreignRecord,
  furtherFact,
  type JournalFactory,
} from "@holdfast/sync/testing";
import type { Cluster } from "./cluster.ts";

/** Which version each member has; drawn from the seed alone, so that nothing else of a run depends on it. */
export interface Versions {
  readonly later: ReadonlySet<number>;
  /** Older than capabilities: it would refuse what it does not know. */
  readonly oldest: number | undefined;
}

const ID_BYTES = 16;
const PROTOCOL = 6;
const FACT_KIND = 9;
/** Of four ticks of a later member one has an entry that nobody knows. */
const ENTRY_SHARE = 4;

export function versionsOf(seed: number, memberCount: number): Versions {
  const random = seededRandom(seed ^ 0x7e51_0000);
  const later = new Set<number>();
  if (seed % 3 === 0) return { later, oldest: undefined };
  for (let number = 0; number < memberCount; number++) if (random.below(2) === 0) later.add(number);
  if (later.size === memberCount) later.delete(random.below(memberCount));
  if (later.size === 0) later.add(random.below(memberCount));
  const others = Array.from({ length: memberCount }, (_, number) => number).filter((n) => !later.has(n));
  const oldest = seed % 7 === 1 ? others[random.below(others.length)] : undefined;
  return { later, oldest };
}

export function capabilitiesOf(versions: Versions, number: number): readonly string[] {
  if (number === versions.oldest) return [];
  return versions.later.has(number) ? [...CAPABILITIES, "what-comes-later"] : CAPABILITIES;
}

/** Journals as a later version writes them. `mayWrite`: every member offers to carry it. */
export function laterJournals(real: JournalFactory, seed: number, mayWrite: () => boolean): JournalFactory {
  const random = seededRandom(seed ^ 0x1a7e_0000);
  return {
    open: (actor, number) => {
      const segment = real.open(actor, number);
      const append = segment.append.bind(segment);
      segment.append = (payload) => {
        if (!mayWrite() || random.below(ENTRY_SHARE) !== 0) return append(payload);
        const type = 16 + random.below(240);
        const entry = encodePayload([{ kind: "unknown", type, bytes: random.bytes(random.below(40)) }]);
        const out = new ByteWriter();
        out.bytes(payload);
        out.bytes(entry);
        return append(out.copy());
      };
      return segment;
    },
  };
}

interface Thing {
  readonly id: SessionId;
  readonly facts: Uint8Array[];
  state: "alive" | "ended";
  lastBy: number;
  lastAtMs: number;
  /** Nobody is to blame if a fact of it is missing. */
  uncertain: boolean;
  /**
   * An association whose handshake came to nothing as far as some members saw. If it lives, others saw more:
   * what was said about it where it was over went with its record there.
   */
  wasOver: boolean;
}

/** What later members say, and what must be true of it in the end. */
export class LaterFacts {
  readonly versions: Versions;
  readonly #cluster: Cluster;
  readonly #random: Random;
  /** Records of another protocol, and facts about associations. */
  readonly #things = new Map<SessionId, Thing>();

  constructor(cluster: Cluster, versions: Versions, seed: number) {
    this.#cluster = cluster;
    this.versions = versions;
    this.#random = seededRandom(seed ^ 0x00fa_c700);
  }

  /** A later member says something: new, further, or that something has ended. */
  say(): void {
    this.#seeWhatIsOver();
    const speakers = this.#cluster
      .running()
      .filter(
        ({ member, life }) =>
          this.versions.later.has(member.number) &&
          life.replica.state?.offered.includes(CARRIES_UNKNOWN) === true,
      );
    const speaker = speakers[this.#random.below(Math.max(1, speakers.length))];
    if (speaker === undefined) return;
    const { replica, view } = speaker.life;
    const say = (thing: Thing, fact: Uint8Array) => {
      thing.facts.push(fact);
      thing.lastBy = speaker.member.number;
      thing.lastAtMs = this.#cluster.time.nowMs;
      replica.say(fact);
    };
    const known = [...this.#things.values()].filter(
      ({ id, state }) => state === "alive" && replica.carriedOf(id).length > 0,
    );
    const chosen = known[this.#random.below(Math.max(1, known.length))];
    const choice = this.#random.below(6);
    if (chosen !== undefined && choice === 0 && view.known(chosen.id) === undefined) {
      chosen.state = "ended";
      say(chosen, foreignRecord(chosen.id, { protocol: PROTOCOL, ended: true }));
    } else if (chosen !== undefined && choice < 3 && chosen.facts.length < 8)
      say(chosen, furtherFact(chosen.id, FACT_KIND, this.#random.bytes(20)));
    else if (choice === 3) {
      const living = [...view.values()].filter(isLiving);
      const record = living[this.#random.below(Math.max(1, living.length))];
      if (record === undefined || this.#things.has(record.id)) return;
      say(this.#thing(record.id), furtherFact(record.id, FACT_KIND, this.#random.bytes(20)));
    } else {
      const id = sessionIdFromBytes(this.#random.bytes(16));
      say(
        this.#thing(id),
        foreignRecord(id, { protocol: PROTOCOL, activity: 1, body: this.#random.bytes(30) }),
      );
    }
  }

  #seeWhatIsOver(): void {
    for (const thing of this.#things.values())
      for (const { life } of this.#cluster.running()) {
        const record = life.view.known(thing.id);
        if (record !== undefined && !isLiving(record)) thing.wasOver = true;
      }
  }

  #thing(id: SessionId): Thing {
    const begun = { lastBy: -1, lastAtMs: 0, uncertain: false, wasOver: false };
    const thing: Thing = { id, facts: [], state: "alive", ...begun };
    this.#things.set(id, thing);
    return thing;
  }

  /** A member died: what only it knew is nobody's fault. */
  died(number: number, atMs: number, withinMs: number): void {
    for (const thing of this.#things.values())
      if (thing.lastBy === number && atMs - thing.lastAtMs < withinMs) thing.uncertain = true;
  }

  /** Ids that journals may go on mentioning beside living associations. */
  get livingCount(): number {
    let count = 0;
    for (const thing of this.#things.values())
      if (isForeign(thing) && (thing.state === "alive" || thing.uncertain)) count++;
    return count;
  }

  check(): string[] {
    const violations: string[] = [];
    for (const { member, life } of this.#cluster.running()) {
      const { name } = member.identity;
      for (const thing of this.#things.values()) {
        if (thing.uncertain) continue;
        const held = life.replica.carriedOf(thing.id).map((bytes) => Buffer.from(bytes).toString("hex"));
        const record = life.view.known(thing.id);
        const lives = isForeign(thing) ? thing.state === "alive" : record !== undefined && isLiving(record);
        if (!lives && held.length > 0) violations.push(`${name} still carries what is over: ${thing.id}`);
        if (!lives) continue;
        const missing = thing.facts.filter((fact) => !held.includes(Buffer.from(fact).toString("hex")));
        if (missing.length > 0 && !thing.wasOver)
          violations.push(`${name} lost ${missing.length} of ${thing.facts.length} facts about ${thing.id}`);
      }
      const { oldest, later } = this.versions;
      const told = life.replica.totals.carried + (life.engine.status().totals["unknownEntries"] ?? 0);
      if (member.number === oldest && told > 0) violations.push(`${name} was told what it does not know`);
      const offers = life.replica.state?.offered.includes(CARRIES_UNKNOWN) ?? false;
      const isOldestHere = this.#cluster.members.some(({ number }) => number === oldest);
      if (later.size > 0 && offers === isOldestHere) violations.push(`${name} is wrong about what all offer`);
    }
    return violations;
  }
}

function isForeign({ facts }: Thing): boolean {
  return facts.some((fact) => fact[ID_BYTES] !== 0);
}
