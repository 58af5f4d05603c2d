// Who holds and who has joined how much of the own journal. What is held releases INIT-ACKs: it is with a
// second member, whose view will show it, and whoever needs it sooner asks for it. What is joined tells the
// lag.
import type { Clock, Timer } from "@holdfast/model";
import type { JournalPosition } from "../ports/journals.ts";
import type { ToView } from "../ports/link.ts";
import { comparePositions } from "./own-journal.ts";
import { type ReplicationSettings, WAITING_COUNT_MAX } from "./settings.ts";

interface Flush extends JournalPosition {
  readonly atMs: number;
  readonly serial: number;
}

interface Waiting {
  readonly token: number;
  readonly position: JournalPosition;
  /** All of these, or when empty any one. */
  readonly members: readonly number[];
  readonly timer: Timer;
}

/** Flushes remembered; older ones count as long ago. */
const FLUSH_COUNT_MAX = 4096;
export const LAG_BOUNDS_MS: readonly number[] = [0.5, 1, 2, 3, 5, 10, 15, 20, 50, 100, 500, 1000, 5000];

export class Acknowledgements {
  readonly #clock: Clock;
  readonly #settings: ReplicationSettings;
  readonly #post: (message: ToView) => void;
  readonly #held = new Map<number, JournalPosition>();
  readonly #joined = new Map<number, JournalPosition>();
  readonly #lastLagMs = new Map<number, number>();
  readonly #waiting = new Set<Waiting>();
  #flushes: Flush[] = [];
  #serial = 0;
  readonly lagCounts: number[] = new Array<number>(LAG_BOUNDS_MS.length + 1).fill(0);
  readonly totals = { released: 0, releaseTimeouts: 0, releaseAlone: 0 };

  constructor(clock: Clock, settings: ReplicationSettings, post: (message: ToView) => void) {
    this.#clock = clock;
    this.#settings = settings;
    this.#post = post;
  }

  flushed(position: JournalPosition): void {
    this.#serial++;
    this.#flushes.push({ ...position, atMs: this.#clock.nowMs(), serial: this.#serial });
    if (this.#flushes.length > FLUSH_COUNT_MAX) this.#flushes = this.#flushes.slice(FLUSH_COUNT_MAX / 2);
  }

  acknowledged(peer: number, held: JournalPosition, joined: JournalPosition): void {
    this.#advanceJoined(peer, joined);
    const before = this.#held.get(peer);
    if (before !== undefined && comparePositions(held, before) <= 0) return;
    this.#held.set(peer, held);
    for (const waiting of this.#waiting) {
      // They wait in the order of their positions; this acknowledgement says nothing about later ones.
      if (comparePositions(waiting.position, held) > 0) break;
      this.#settle(waiting);
    }
  }

  #advanceJoined(peer: number, position: JournalPosition): void {
    const before = this.#joined.get(peer);
    if (before !== undefined && comparePositions(position, before) <= 0) return;
    this.#joined.set(peer, position);
    const nowMs = this.#clock.nowMs();
    // Newest first: only what this acknowledgement added.
    for (let i = this.#flushes.length - 1; i >= 0; i--) {
      const flush = this.#flushes[i] as Flush;
      if (before !== undefined && comparePositions(flush, before) <= 0) break;
      if (comparePositions(flush, position) > 0) continue;
      this.#observe(peer, nowMs - flush.atMs);
    }
  }

  /** A new connection or a new own incarnation: nothing is acknowledged until the peer says so. */
  forget(peer: number): void {
    this.#held.delete(peer);
    this.#joined.delete(peer);
  }

  reset(): void {
    this.#held.clear();
    this.#joined.clear();
    this.#flushes = [];
  }

  /** The peer keeps it. */
  holds(peer: number, position: JournalPosition): boolean {
    const held = this.#held.get(peer);
    return held !== undefined && comparePositions(held, position) >= 0;
  }

  lagTicks(peer: number): number {
    const position = this.#joined.get(peer);
    for (let i = this.#flushes.length - 1; i >= 0 && position !== undefined; i--) {
      const flush = this.#flushes[i] as Flush;
      if (comparePositions(flush, position) <= 0) return this.#serial - flush.serial;
    }
    return this.#serial - ((this.#flushes[0]?.serial ?? this.#serial + 1) - 1);
  }

  lagMs(peer: number): number {
    return this.#lastLagMs.get(peer) ?? 0;
  }

  /** Answers "released" when the members hold `position`; false after the limit, or when nobody is there. */
  release(
    token: number,
    position: JournalPosition,
    members: readonly number[],
    connected: readonly number[],
  ): void {
    const wanted = members.filter((member) => connected.includes(member));
    if (connected.length === 0 || this.#waiting.size >= WAITING_COUNT_MAX) {
      this.totals.releaseAlone++;
      this.#post({ kind: "released", token, ok: false });
      return;
    }
    const timer = this.#clock.after(this.#settings.releaseLimitMs, () => {
      if (!this.#waiting.delete(waiting)) return;
      this.totals.releaseTimeouts++;
      this.#post({ kind: "released", token, ok: false });
    });
    const waiting: Waiting = { token, position, members: wanted, timer };
    this.#waiting.add(waiting);
    this.#settle(waiting);
  }

  stop(): void {
    for (const { token, timer } of this.#waiting) {
      timer.cancel();
      this.#post({ kind: "released", token, ok: false });
    }
    this.#waiting.clear();
  }

  #settle(waiting: Waiting): void {
    const { token, position, members, timer } = waiting;
    const held =
      members.length > 0
        ? members.every((member) => this.holds(member, position))
        : [...this.#held.keys()].some((member) => this.holds(member, position));
    if (!held) return;
    this.#waiting.delete(waiting);
    timer.cancel();
    this.totals.released++;
    this.#post({ kind: "released", token, ok: true });
  }

  #observe(peer: number, lagMs: number): void {
    this.#lastLagMs.set(peer, lagMs);
    const bound = LAG_BOUNDS_MS.findIndex((limit) => lagMs <= limit);
    const slot = bound < 0 ? LAG_BOUNDS_MS.length : bound;
    this.lagCounts[slot] = (this.lagCounts[slot] ?? 0) + 1;
  }
}
