// Who holds and who has joined how much of the own journal. What is held releases INIT-ACKs: it is with a
// second member, whose view will show it, and whoever needs it sooner asks for it. What is joined tells the
// lag.
import type { Clock, Timer } from "@holdfast/model";
import type { JournalPosition } from "../ports/journals.ts";
import type { Release, ToView } from "../ports/link.ts";
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
  readonly sinceMs: number;
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
  /** In the order of their positions, and of their times. */
  readonly #waiting = new Set<Waiting>();
  /** For the one that waits longest. */
  #timer: Timer | undefined;
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
    this.#settle(held);
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

  /**
   * Answers "released" when the members hold `position`; false after the limit, or when nobody is there.
   */
  release(releases: readonly Release[], position: JournalPosition, connected: readonly number[]): void {
    const alone: number[] = [];
    const done: number[] = [];
    const sinceMs = this.#clock.nowMs();
    for (const { token, members } of releases) {
      const wanted = members.filter((member) => connected.includes(member));
      const waiting: Waiting = { token, position, members: wanted, sinceMs };
      if (connected.length === 0 || this.#waiting.size >= WAITING_COUNT_MAX) alone.push(token);
      else if (this.#isHeld(waiting)) done.push(token);
      else this.#waiting.add(waiting);
    }
    this.totals.releaseAlone += alone.length;
    this.#answer(alone, false);
    this.#released(done);
    this.#timer ??= this.#clock.after(this.#settings.releaseLimitMs, () => this.#expire());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#answer(
      [...this.#waiting].map(({ token }) => token),
      false,
    );
    this.#waiting.clear();
  }

  /** Answers those whose limit has come. */
  #expire(): void {
    const { releaseLimitMs } = this.#settings;
    const nowMs = this.#clock.nowMs();
    const over: number[] = [];
    this.#timer = undefined;
    for (const waiting of this.#waiting) {
      const leftMs = waiting.sinceMs + releaseLimitMs - nowMs;
      if (leftMs > 0) {
        this.#timer = this.#clock.after(leftMs, () => this.#expire());
        break;
      }
      this.#waiting.delete(waiting);
      over.push(waiting.token);
    }
    this.totals.releaseTimeouts += over.length;
    this.#answer(over, false);
  }

  /** Those that wait for positions up to `held`: what is acknowledged now says nothing about later ones. */
  #settle(held: JournalPosition): void {
    const done: number[] = [];
    for (const waiting of this.#waiting) {
      if (comparePositions(waiting.position, held) > 0) break;
      if (!this.#isHeld(waiting)) continue;
      this.#waiting.delete(waiting);
      done.push(waiting.token);
    }
    this.#released(done);
  }

  #released(tokens: readonly number[]): void {
    this.totals.released += tokens.length;
    this.#answer(tokens, true);
  }

  #isHeld({ position, members }: Waiting): boolean {
    if (members.length > 0) return members.every((member) => this.holds(member, position));
    for (const member of this.#held.keys()) if (this.holds(member, position)) return true;
    return false;
  }

  #answer(tokens: readonly number[], ok: boolean): void {
    if (tokens.length > 0) this.#post({ kind: "released", tokens, ok });
  }

  #observe(peer: number, lagMs: number): void {
    this.#lastLagMs.set(peer, lagMs);
    const bound = LAG_BOUNDS_MS.findIndex((limit) => lagMs <= limit);
    const slot = bound < 0 ? LAG_BOUNDS_MS.length : bound;
    this.lagCounts[slot] = (this.lagCounts[slot] ?? 0) + 1;
  }
}
