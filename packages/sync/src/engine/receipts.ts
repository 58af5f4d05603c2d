// Tells writers how far this member is with their journals. That it holds a tick is said in the turn that
// brought it: an INIT-ACK waits for that. That its view shows it is said when nothing waits for the view and
// the writer writes now and then, else with the next word: one that writes all the time would be woken twice
// for each tick.
import type { Clock, Timer } from "@holdfast/model";
import type { JournalPosition } from "../ports/journals.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { type HeldJournal, type HeldSegment, isComplete } from "./shelf.ts";

/** While view or writer are busy, what the view has joined is told this often. */
const JOINED_PERIOD_MS = 10;

export interface ReceiptPorts {
  readonly clock: Clock;
  readonly send: (peer: number, message: PeerMessage) => boolean;
  /** The journal's writer is connected, and this is its present incarnation. */
  readonly isHeard: (journal: HeldJournal) => boolean;
  /** Nothing is on its way to the view. */
  readonly isIdle: () => boolean;
}

export class Receipts {
  readonly #ports: ReceiptPorts;
  readonly #due = new Set<HeldJournal>();
  /** What the view has joined and nobody said, since when. */
  readonly #later = new Map<HeldJournal, number>();
  /** When changes of it were taken in last, and whether there had been others shortly before. */
  readonly #pace = new WeakMap<HeldJournal, { readonly atMs: number; readonly isBusy: boolean }>();
  #timer: Timer | undefined;
  #stopped = false;

  constructor(ports: ReceiptPorts) {
    this.#ports = ports;
  }

  /** Changes of the journal were taken in. All that one read of the socket brought are one receipt. */
  held(journal: HeldJournal): void {
    const atMs = this.#ports.clock.nowMs();
    const before = this.#pace.get(journal);
    this.#pace.set(journal, { atMs, isBusy: before !== undefined && atMs - before.atMs < JOINED_PERIOD_MS });
    this.#say(journal);
  }

  /** The view has joined more of the journal. */
  joined(journal: HeldJournal): void {
    if (this.#ports.isIdle() && this.#pace.get(journal)?.isBusy !== true) {
      this.#say(journal);
      return;
    }
    if (!this.#later.has(journal)) this.#later.set(journal, this.#ports.clock.nowMs());
    this.#timer ??= this.#ports.clock.after(JOINED_PERIOD_MS, () => this.#sayLate());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** What no other word has taken along. */
  #sayLate(): void {
    const { clock } = this.#ports;
    const beforeMs = clock.nowMs() - JOINED_PERIOD_MS;
    this.#timer = undefined;
    for (const [journal, sinceMs] of this.#later) {
      if (sinceMs <= beforeMs) this.#say(journal);
      else this.#timer ??= clock.after(sinceMs - beforeMs, () => this.#sayLate());
    }
  }

  #say(journal: HeldJournal): void {
    if (this.#due.size === 0) queueMicrotask(() => this.#tell());
    this.#due.add(journal);
  }

  #tell(): void {
    const { send, isHeard } = this.#ports;
    for (const journal of this.#due) {
      this.#later.delete(journal);
      if (this.#stopped || !isHeard(journal)) continue;
      const held = heldPosition(journal);
      const joined = joinedPosition(journal);
      send(journal.member, { kind: "acknowledge", actor: journal.actor, held, joined });
    }
    this.#due.clear();
  }
}

/** How far the journal is here without a gap. */
function heldPosition(journal: HeldJournal): JournalPosition {
  journal.heldSegment = advance(journal, Math.max(journal.heldSegment, journal.base), isComplete, ticksHeld);
  return { segment: journal.heldSegment, ticks: ticksHeld(journal.segments.get(journal.heldSegment)) };
}

/** How far the view has joined it without a gap. */
function joinedPosition(journal: HeldJournal): JournalPosition {
  const from = Math.max(journal.joinedSegment, journal.base);
  journal.joinedSegment = advance(journal, from, isJoined, ticksJoined);
  return { segment: journal.joinedSegment, ticks: ticksJoined(journal.segments.get(journal.joinedSegment)) };
}

/** The last segment in which something is done, all before it being done to their ends. */
function advance(
  journal: HeldJournal,
  from: number,
  isDone: (held: HeldSegment | undefined) => boolean,
  ticks: (held: HeldSegment | undefined) => number,
): number {
  let number = from;
  while (isDone(journal.segments.get(number)) && ticks(journal.segments.get(number + 1)) > 0) number++;
  return number;
}

function ticksHeld(held: HeldSegment | undefined): number {
  return held?.segment.ticks ?? 0;
}

function ticksJoined(held: HeldSegment | undefined): number {
  return held?.joined ?? 0;
}

function isJoined(held: HeldSegment | undefined): boolean {
  return held?.sealedTicks !== undefined && held.joined >= held.sealedTicks;
}
