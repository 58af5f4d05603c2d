// How long a take-over took, as its new owner measures it: from the last sign of life over the verdict and
// the announcement to the first packet. All members keep the last ones.
import { randomBytes } from "node:crypto";
import { TAKE_OVER_KEPT_COUNT_MAX, type TakeOver, TakeOverSchema } from "@holdfast/api";
import type { Address, Clock, Timer } from "@holdfast/model";
import { checkOf } from "../checks.ts";
import type { Cursor } from "./cursor.ts";
import type { LogEntry } from "./replicated-log.ts";

/** A first packet that takes longer is not waited for: nobody sends. */
export const FIRST_PACKET_LIMIT_MS = 5_000;
/** So often at first, … */
const LOOK_PERIOD_MS = 5;
/** … for so long; … */
const CLOSE_LOOK_MS = 500;
/** … and so often then. */
const LATE_LOOK_PERIOD_MS = 50;

export interface TakeOverParts {
  readonly self: string;
  readonly clock: Clock;
  readonly log: {
    append(takeOver: TakeOver): void;
    after(cursor: Cursor): readonly LogEntry<TakeOver>[];
  };
  /**
   * Packets of clients to the VIP that this member has forwarded, of some of its sessions: two looks are
   * compared.
   */
  watchPackets(vip: Address): () => number;
  /** Living sessions of the VIP's services. */
  sessionsOf(vip: Address): number;
}

export interface Moved {
  readonly vip: Address;
  readonly from: string | undefined;
  readonly to: string;
  readonly cause: "death" | "planned" | "first";
  readonly detectionMs: number | undefined;
  readonly durationMs: number;
}

interface Watch {
  readonly beganMs: number;
  readonly packets: () => number;
  readonly before: number;
  timer: Timer | undefined;
  firstMs: number | undefined;
  /** Known once the VIP is announced. */
  takeOver: { readonly facts: TakeOver; readonly startMs: number } | undefined;
}

export class TakeOverWatch {
  readonly #parts: TakeOverParts;
  readonly #watches = new Map<Address, Watch>();
  #owned: ReadonlySet<Address> = new Set();

  constructor(parts: TakeOverParts) {
    this.#parts = parts;
  }

  /** This member owns these from now on, and is about to announce them. */
  owns(vips: readonly Address[]): void {
    const { clock, watchPackets } = this.#parts;
    const before = this.#owned;
    this.#owned = new Set(vips);
    for (const vip of this.#watches.keys()) if (!this.#owned.has(vip)) this.#end(vip);
    for (const vip of vips) {
      if (before.has(vip) || this.#watches.has(vip)) continue;
      const packets = watchPackets(vip);
      this.#watches.set(vip, {
        beganMs: clock.nowMs(),
        packets,
        before: packets(),
        timer: undefined,
        firstMs: undefined,
        takeOver: undefined,
      });
      this.#look(vip);
    }
  }

  /** It is announced. Moves to other members are theirs to tell. */
  moved({ vip, from, to, cause, detectionMs, durationMs }: Moved): void {
    const { self, clock, sessionsOf } = this.#parts;
    if (to !== self) return;
    const watch = this.#watches.get(vip);
    if (watch === undefined) return;
    if (cause === "first") {
      this.#end(vip);
      return;
    }
    const startMs = clock.nowMs() - durationMs;
    const facts: TakeOver = {
      id: randomBytes(6).toString("hex"),
      at: new Date(clock.wallMs() - durationMs).toISOString(),
      vip,
      ...(from !== undefined && { from }),
      to,
      cause,
      ...(detectionMs !== undefined && { verdictMs: tenth(detectionMs) }),
      announcedMs: tenth(durationMs),
      sessions: sessionsOf(vip),
    };
    watch.takeOver = { facts, startMs };
    if (watch.firstMs !== undefined) this.#end(vip);
  }

  /** The latest first. */
  list(): readonly TakeOver[] {
    return this.#parts.log
      .after(new Map())
      .map(({ value }) => value)
      .sort((a, b) => (a.at < b.at ? 1 : -1))
      .slice(0, TAKE_OVER_KEPT_COUNT_MAX);
  }

  close(): void {
    for (const { timer } of this.#watches.values()) timer?.cancel();
    this.#watches.clear();
  }

  #look(vip: Address): void {
    const watch = this.#watches.get(vip);
    if (watch === undefined) return;
    const { clock } = this.#parts;
    const sinceMs = clock.nowMs() - watch.beganMs;
    if (watch.packets() > watch.before) {
      watch.firstMs = clock.nowMs();
      // Announced already, or `moved` ends it.
      if (watch.takeOver !== undefined) this.#end(vip);
      return;
    }
    if (sinceMs >= FIRST_PACKET_LIMIT_MS) {
      this.#end(vip);
      return;
    }
    const pauseMs = sinceMs < CLOSE_LOOK_MS ? LOOK_PERIOD_MS : LATE_LOOK_PERIOD_MS;
    watch.timer = clock.after(pauseMs, () => this.#look(vip));
  }

  #end(vip: Address): void {
    const watch = this.#watches.get(vip);
    this.#watches.delete(vip);
    watch?.timer?.cancel();
    if (watch?.takeOver === undefined) return;
    const { facts, startMs } = watch.takeOver;
    this.#parts.log.append({
      ...facts,
      // It was forwarded before the announcement by what the fast path had: then the announcement cost
      // nothing.
      ...(watch.firstMs !== undefined && { firstPacketMs: tenth(Math.max(0, watch.firstMs - startMs)) }),
    });
  }
}

const tenth = (ms: number) => Math.round(ms * 10) / 10;

const hasForm = checkOf(TakeOverSchema);

/** Another member's word. */
export function isTakeOver(value: unknown): value is TakeOver {
  return hasForm(value) && JSON.stringify(value).length < 1_000;
}
