// The journals that a member holds: its own, those of the others, those of incarnations that are gone. What
// the view shows is the join of what stands here; a session that nothing here mentions any longer is
// forgotten.
import { counterOf, isActor, memberOf } from "../journal/actor.ts";
import type { Floor } from "../journal/payload.ts";
import type { JournalFactory, Segment } from "../journal/segment.ts";
import type { Actor, JournalSummary } from "../ports/journals.ts";
import type { IdTable } from "./id-table.ts";
import { INCARNATION_COUNT_MAX, SEGMENT_COUNT_MAX } from "./settings.ts";

export interface HeldSegment {
  readonly segment: Segment;
  readonly openedAtMs: number;
  /** How many ticks it has in all; unknown while its writer may add some. */
  sealedTicks: number | undefined;
  /** Ticks that the view has joined. */
  joined: number;
  /** Index (id-table) of every session mentioned, as often as it is. */
  readonly mentions: number[];
  /** A fetch is on its way. */
  fetching: { readonly peer: number; readonly sinceMs: number } | undefined;
}

/** What a writer said about its journal, waiting until everything written before it has been read. */
export interface Control {
  readonly segment: number;
  /** The writer's base when it said it. */
  readonly base: number;
  readonly floor: Floor | undefined;
}

export interface HeldJournal {
  readonly actor: Actor;
  readonly member: number;
  readonly counter: number;
  /** Small number for id-table's cover. */
  readonly index: number;
  readonly segments: Map<number, HeldSegment>;
  base: number;
  controls: Control[];
  /** The base that the last control named. */
  saidBase: number;
  /** Every segment before it is held to its end. */
  heldSegment: number;
  /** Every segment before it is joined. */
  joinedSegment: number;
}

export class Shelf {
  readonly journals = new Map<Actor, HeldJournal>();
  readonly #byIndex: (HeldJournal | undefined)[] = [];
  readonly #factory: JournalFactory;
  readonly #ids: IdTable;

  constructor(factory: JournalFactory, ids: IdTable) {
    this.#factory = factory;
    this.#ids = ids;
  }

  byIndex(index: number): HeldJournal | undefined {
    return this.#byIndex[index];
  }

  /** Journals of one member's incarnations. */
  of(member: number): HeldJournal[] {
    return [...this.journals.values()].filter((journal) => journal.member === member);
  }

  segmentCount(): number {
    let count = 0;
    for (const journal of this.journals.values()) count += journal.segments.size;
    return count;
  }

  /**
   * The journal of an actor, opened when it is new; undefined when there are too many or the name is none.
   */
  journal(actor: Actor): HeldJournal | undefined {
    const known = this.journals.get(actor);
    if (known !== undefined) return known;
    if (!isActor(actor) || this.of(memberOf(actor)).length >= INCARNATION_COUNT_MAX) return undefined;
    return this.open(actor);
  }

  /** Opens the journal of a new actor whatever their number: for the own incarnation. */
  open(actor: Actor): HeldJournal {
    // Never used twice: what a journal that is gone covered is covered no longer.
    const index = this.#byIndex.length;
    const journal: HeldJournal = {
      actor,
      member: memberOf(actor),
      counter: counterOf(actor),
      index,
      segments: new Map(),
      base: 0,
      controls: [],
      saidBase: 0,
      heldSegment: 0,
      joinedSegment: 0,
    };
    this.#byIndex[index] = journal;
    this.journals.set(actor, journal);
    return journal;
  }

  /** A segment of a journal, opened when it is new; undefined when it is retired or there are too many. */
  segment(journal: HeldJournal, number: number, nowMs: number): HeldSegment | undefined {
    const known = journal.segments.get(number);
    if (known !== undefined) return known;
    if (number < journal.base || journal.segments.size >= SEGMENT_COUNT_MAX) return undefined;
    const held: HeldSegment = {
      segment: this.#factory.open(journal.actor, number),
      openedAtMs: nowMs,
      sealedTicks: undefined,
      joined: 0,
      mentions: [],
      fetching: undefined,
    };
    journal.segments.set(number, held);
    return held;
  }

  /**
   * Drops a journal's segments below `base`. Returns the indices of sessions that nothing mentions any
   * longer.
   */
  drop(journal: HeldJournal, base: number): number[] {
    const gone: number[] = [];
    if (base > journal.base) journal.base = base;
    for (const [number, held] of journal.segments) {
      if (number >= base) continue;
      for (const index of held.mentions) if (this.#ids.unmention(index)) gone.push(index);
      held.segment.free();
      journal.segments.delete(number);
    }
    return gone;
  }

  /** Drops a whole journal. */
  remove(journal: HeldJournal): number[] {
    const gone = this.drop(journal, Number.POSITIVE_INFINITY);
    this.journals.delete(journal.actor);
    this.#byIndex[journal.index] = undefined;
    return gone;
  }

  summaries(): JournalSummary[] {
    const summaries: JournalSummary[] = [];
    for (const { actor, base, segments } of this.journals.values()) {
      summaries.push({
        actor,
        base,
        segments: [...segments]
          .filter(([, held]) => held.segment.ticks > 0)
          .map(([number, { segment, sealedTicks }]) => ({
            segment: number,
            ticks: segment.ticks,
            head: segment.head,
            sealed: sealedTicks !== undefined && segment.ticks >= sealedTicks,
          })),
      });
    }
    return summaries;
  }

  free(): void {
    for (const { segments } of this.journals.values())
      for (const { segment } of segments.values()) segment.free();
  }
}

export function isComplete(held: HeldSegment | undefined): boolean {
  return held?.sealedTicks !== undefined && held.segment.ticks >= held.sealedTicks;
}

/** Whether every segment of the journal from `from` to before `to` has been read to its end. */
export function isContiguous(journal: HeldJournal, from: number, to: number): boolean {
  for (let number = from; number < to; number++) if (!isComplete(journal.segments.get(number))) return false;
  return true;
}
