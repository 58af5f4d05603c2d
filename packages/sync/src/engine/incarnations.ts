// Under which names members write: the own incarnation, when it gives way to another, and which of the
// others' count.
import type { Clock, Logger, Random } from "@holdfast/model";
import { actorOf, counterOf, memberOf } from "../journal/actor.ts";
import type { Actor, Summary } from "../ports/journals.ts";
import type { Store } from "../ports/store.ts";
import type { Floors } from "./floors.ts";
import type { OwnJournal } from "./own-journal.ts";
import {
  INCARNATION_LEAD_MAX_MS,
  REINCARNATION_SHARE,
  type ReplicationSettings,
  WALL_CLOCK_MIN_MS,
} from "./settings.ts";
import type { Shelf } from "./shelf.ts";
import type { Totals } from "./totals.ts";

export interface IncarnationPorts {
  readonly settings: ReplicationSettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly store: Store;
  readonly shelf: Shelf;
  readonly floors: Floors;
  readonly totals: Totals;
  /** Opens the journal of a new incarnation of this member. */
  readonly open: (actor: Actor) => OwnJournal;
  /** One has given way to another: the others must hear of it. */
  readonly renewed: () => void;
}

export class Incarnations {
  readonly #ports: IncarnationPorts;
  #own: OwnJournal | undefined;
  /** Incarnations that this engine itself wrote as: nobody has more of them than it. */
  readonly #ownActors = new Set<Actor>();
  /** When a member's word last made this one begin a new incarnation. */
  readonly #renewedAtMs = new Map<number, number>();

  constructor(ports: IncarnationPorts) {
    this.#ports = ports;
  }

  /** false while the store is read. */
  get hasBegun(): boolean {
    return this.#own !== undefined;
  }

  /** The journal of the present incarnation. */
  get own(): OwnJournal {
    if (this.#own === undefined) throw new Error("the engine has not been started");
    return this.#own;
  }

  /** Whether this engine itself wrote, or writes, as this incarnation. */
  isOwn(actor: Actor): boolean {
    return this.#ownActors.has(actor);
  }

  /** `stored`: the value that an earlier life kept under "incarnation". */
  beginAfter(stored: Uint8Array | undefined): void {
    this.#begin(readCounter(stored));
  }

  /** Nobody may write under this name, any more or yet. */
  isRetired(actor: Actor): boolean {
    const { floors, shelf } = this.#ports;
    if (this.isLie(counterOf(actor))) return true;
    return floors.retires(memberOf(actor), counterOf(actor)) && !shelf.journals.has(actor);
  }

  /**
   * Whether what the store has of it is to be left out. Not what this member wrote in an earlier life, whatever
   * floor the others had told it: they do not have what it alone knew, and it may have ended before that was
   * written again.
   */
  isRetiredInStore(actor: Actor): boolean {
    if (memberOf(actor) !== this.#ports.settings.member.number) return this.isRetired(actor);
    return this.isLie(counterOf(actor));
  }

  /**
   * Nobody's clock is that wrong: a counter that leaves no room above it would end a member's incarnations
   * for good.
   */
  isLie(counter: number): boolean {
    const nowMs = Math.max(this.#ports.clock.wallMs(), WALL_CLOCK_MIN_MS);
    if (counter <= nowMs + INCARNATION_LEAD_MAX_MS) return false;
    this.#ports.totals.count("lies");
    return true;
  }

  /** What another member knows of this one's incarnations may leave no room for the present one. */
  compare(summary: Summary, by: number): void {
    const own = this.own.journal;
    let counterMin = 0;
    for (const [member, counter] of summary.floors) {
      if (member === own.member && counter > own.counter && !this.isLie(counter))
        counterMin = Math.max(counterMin, counter);
    }
    // Two incarnations of one member, or a clock that went back: the later start needs the greater counter.
    for (const { actor } of summary.journals) {
      const counter = counterOf(actor);
      if (memberOf(actor) !== own.member || actor === own.actor || this.isLie(counter)) continue;
      if (counter >= own.counter) counterMin = Math.max(counterMin, counter + 1);
    }
    if (counterMin > 0) this.giveWay(counterMin, by);
  }

  /**
   * The others have given this incarnation up: begin another; the old one's sessions are written again. `by`:
   * who says so. One member's word does it once in a while: the others hold so many incarnations of one
   * member and no more.
   */
  giveWay(counterMin: number, by: number): void {
    const { clock, settings, logger, totals, renewed } = this.#ports;
    const nowMs = clock.nowMs();
    const sinceMs = nowMs - (this.#renewedAtMs.get(by) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < settings.memoryMs * REINCARNATION_SHARE) {
      totals.count("reincarnationsPutOff");
      return;
    }
    this.#renewedAtMs.set(by, nowMs);
    totals.count("reincarnations");
    logger.warn({ counterMin }, "this incarnation was given up by the others: beginning a new one");
    this.#begin(counterMin);
    renewed();
  }

  /** Begins a new incarnation with a counter of at least `counterMin`, greater than any known. */
  #begin(counterMin: number): void {
    const { clock, random, store, settings, floors, shelf, open } = this.#ports;
    const member = settings.member.number;
    let counter = Math.max(counterMin, Math.floor(clock.wallMs()), floors.of(member));
    for (const journal of shelf.of(member)) counter = Math.max(counter, journal.counter + 1);
    const actor = actorOf(member, counter, random);
    this.#ownActors.add(actor);
    store.put("incarnation", new TextEncoder().encode(String(counter + 1)));
    this.#own = open(actor);
  }
}

function readCounter(value: Uint8Array | undefined): number {
  const counter = Number(new TextDecoder().decode(value ?? new Uint8Array(0)));
  return Number.isSafeInteger(counter) ? counter : 0;
}
