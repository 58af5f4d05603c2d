// Forgetting without losing. Two things retire: the oldest segments of the own journal, every so often; and
// journals of incarnations that are gone, by the hand of one survivor. Either way what still lives is written
// again first.
import type { Clock } from "@holdfast/model";
import { counterOf } from "../journal/actor.ts";
import { type Entry, FLOOR_POSITION_COUNT_MAX, type Floor, type FloorPosition } from "../journal/payload.ts";
import type { Floors } from "./floors.ts";
import type { IdTable } from "./id-table.ts";
import type { OwnJournal } from "./own-journal.ts";
import type { Peers } from "./peers.ts";
import type { Rewriter } from "./rewriter.ts";
import { RETIRE_SHARE, type ReplicationSettings } from "./settings.ts";
import type { HeldJournal, Shelf } from "./shelf.ts";

export interface RetirementPorts {
  readonly settings: ReplicationSettings;
  readonly clock: Clock;
  readonly shelf: Shelf;
  readonly ids: IdTable;
  readonly peers: Peers;
  readonly rewriter: Rewriter;
  readonly floors: Floors;
  readonly own: () => OwnJournal;
  readonly write: (entries: readonly Entry[]) => void;
  readonly drop: (journal: HeldJournal, base: number) => void;
  /** Caught up with whoever is in reach. */
  readonly isSettled: () => boolean;
}

/** How much longer than M each next survivor waits for the one before it to take over, in shares of M. */
const PATIENCE_SHARE = 0.5;

export class Retirement {
  readonly #ports: RetirementPorts;
  /** Floors that this incarnation has set: it wrote again what lived below them. */
  readonly #issued = new Map<number, Floor>();
  /** Journals that others have written again up to a position, and that are to be dropped. */
  readonly #lowered = new Map<HeldJournal, FloorPosition | undefined>();
  readonly #deadSinceMs = new Map<HeldJournal, number>();
  readonly totals = { retiredSegments: 0, covered: 0, takeovers: 0 };

  constructor(ports: RetirementPorts) {
    this.#ports = ports;
  }

  issued(): readonly Floor[] {
    return [...this.#issued.values()];
  }

  /** A new incarnation has written nothing again yet. */
  clear(): void {
    this.#issued.clear();
  }

  lowered(floor: Floor): void {
    const own = this.#ports.own().journal;
    for (const journal of this.#ports.shelf.of(floor.member)) {
      if (journal === own || journal.counter >= floor.counter) continue;
      this.#lowered.set(
        journal,
        floor.positions.find((position) => position.counter === journal.counter),
      );
    }
  }

  maintain(): void {
    this.#retireOwn();
    if (!this.#ports.isSettled()) return;
    this.#dropLowered();
    this.#takeOver();
  }

  // -------------------------------------------------------------------------------------------------------------

  #retireOwn(): void {
    const { clock, settings, rewriter } = this.#ports;
    if (rewriter.has("own")) return;
    const own = this.#ports.own();
    const due = own.retirable(clock.nowMs() - settings.memoryMs * RETIRE_SHARE);
    const last = due.at(-1);
    if (last === undefined) return;
    const base = last.segment.number + 1;
    rewriter.add({
      name: "own",
      ids: due.flatMap((held) => held.mentions),
      needed: (index) => this.#mustWriteAgain(index, base),
      done: () => {
        this.#ports.write([{ kind: "base", base }]);
        this.totals.retiredSegments += due.length;
        this.#ports.drop(own.journal, base);
      },
    });
  }

  /** Unless a later segment of ours has it all, or a member that ranks before us carries it. */
  #mustWriteAgain(index: number, base: number): boolean {
    const { ids } = this.#ports;
    if (ids.ownFull(index) >= base) return false;
    if (!this.#isCarriedByBetter(index)) return true;
    this.totals.covered++;
    return false;
  }

  /**
   * Two members that each believe the other to carry a session would lose it; hence an order of carriers per
   * session: only to a better one may it be left.
   */
  #isCarriedByBetter(index: number): boolean {
    const { ids, shelf, peers, settings } = this.#ports;
    const cover = ids.coveredBy(index);
    if (cover === undefined) return false;
    const journal = shelf.byIndex(cover.journal);
    if (journal === undefined || !journal.segments.has(cover.segment)) return false;
    if (peers.get(journal.member)?.incarnation !== journal.actor) return false;
    const spread = ids.spread(index);
    return rank(journal.member, spread) < rank(settings.member.number, spread);
  }

  // -------------------------------------------------------------------------------------------------------------

  /** Drops what others have written again; what they had not read is written again here first. */
  #dropLowered(): void {
    const { shelf, drop } = this.#ports;
    for (const [journal, position] of this.#lowered) {
      if (!shelf.journals.has(journal.actor)) {
        this.#lowered.delete(journal);
        continue;
      }
      if (!isJoined(journal)) continue;
      const end = endOf(journal);
      const isBehind =
        position === undefined ||
        end.segment > position.segment ||
        (end.segment === position.segment && end.ticks > position.ticks);
      if (isBehind && end.ticks > 0) {
        this.#writeAgain(journal);
        continue;
      }
      this.#lowered.delete(journal);
      drop(journal, Number.POSITIVE_INFINITY);
    }
  }

  #takeOver(): void {
    const { shelf, clock, settings } = this.#ports;
    const own = this.#ports.own().journal;
    const journals = [...shelf.journals.values()].sort((a, b) => a.counter - b.counter);
    for (const journal of this.#deadSinceMs.keys()) {
      if (!shelf.journals.has(journal.actor)) this.#deadSinceMs.delete(journal);
    }
    for (const journal of journals) {
      if (journal === own || this.#lowered.has(journal)) continue;
      if (!this.#isDead(journal)) {
        this.#deadSinceMs.delete(journal);
        continue;
      }
      const sinceMs = this.#deadSinceMs.get(journal) ?? clock.nowMs();
      this.#deadSinceMs.set(journal, sinceMs);
      const waitMs = this.#turn(journal) * settings.memoryMs * PATIENCE_SHARE;
      if (clock.nowMs() - sinceMs >= waitMs && isJoined(journal)) this.#writeAgain(journal);
    }
  }

  #isDead(journal: HeldJournal): boolean {
    const { peers, settings, shelf } = this.#ports;
    if (journal.member === settings.member.number) return true;
    const current = peers.currentOf(journal.member);
    if (current !== undefined && counterOf(current) > journal.counter) return true;
    if (shelf.of(journal.member).some((other) => other.counter > journal.counter)) return true;
    return peers.silentMs(journal.member) > settings.memoryMs;
  }

  /** 0: it is ours to write again now; 1, 2, …: after that many others have failed to. */
  #turn(journal: HeldJournal): number {
    const { peers, settings } = this.#ports;
    const me = settings.member.number;
    if (journal.member === me) return 0;
    const alive = [me, ...peers.connected()].sort((a, b) => a - b);
    // The member itself, when it is back, knows best what it carried.
    return alive.includes(journal.member) ? 1 + alive.indexOf(me) : alive.indexOf(me);
  }

  #writeAgain(journal: HeldJournal): void {
    const { rewriter, shelf, drop } = this.#ports;
    const name = `gone ${journal.actor}`;
    if (rewriter.has(name)) return;
    const end = endOf(journal);
    rewriter.add({
      name,
      ids: [...journal.segments.values()].flatMap((held) => held.mentions),
      needed: () => true,
      done: () => {
        const now = endOf(journal);
        if (!shelf.journals.has(journal.actor)) return;
        // More of it was read meanwhile: the next round takes that too.
        if (now.segment !== end.segment || now.ticks !== end.ticks) return;
        this.totals.takeovers++;
        this.#issue(journal, end);
        this.#lowered.delete(journal);
        drop(journal, Number.POSITIVE_INFINITY);
      },
    });
  }

  #issue(journal: HeldJournal, end: { segment: number; ticks: number }): void {
    const { floors, shelf } = this.#ports;
    const before = this.#issued.get(journal.member);
    const position = { counter: journal.counter, ...end };
    const positions = [...(before?.positions ?? []), position].slice(-FLOOR_POSITION_COUNT_MAX);
    // Older incarnations that are still here keep the floor down until their turn has come.
    const older = shelf
      .of(journal.member)
      .filter((other) => other !== journal && other.counter < journal.counter);
    const counter = older.length > 0 ? Math.min(...older.map((other) => other.counter)) : journal.counter + 1;
    const floor = { member: journal.member, counter: Math.max(counter, before?.counter ?? 0), positions };
    this.#issued.set(journal.member, floor);
    floors.raise(floor.member, floor.counter);
    this.#ports.write([{ kind: "floor", floor }]);
  }
}

function rank(member: number, spread: number): number {
  return (Math.imul(spread + member * 0x9e3779b1, 0x85ebca6b) >>> 8) + member / 1024;
}

/** Everything read of the journal is joined. */
function isJoined(journal: HeldJournal): boolean {
  for (const held of journal.segments.values()) if (held.joined < held.segment.ticks) return false;
  return true;
}

/** How far the journal has been read. */
function endOf(journal: HeldJournal): { segment: number; ticks: number } {
  let segment = 0;
  let ticks = 0;
  for (const [number, held] of journal.segments) {
    if (held.segment.ticks === 0 || number < segment) continue;
    segment = number;
    ticks = held.segment.ticks;
  }
  return { segment, ticks };
}
