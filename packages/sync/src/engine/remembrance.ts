// What of a session is written again, and for how long: living ones whole, ended ones as tombstones for a
// while; and what later versions said of them, which goes with them.
import {
  type Clock,
  encodeWith,
  isIdentified,
  type RemoteJoin,
  type SessionEnvelope,
  type SessionId,
  sessionIdFromBytes,
} from "@holdfast/model";
import type { EngineState } from "../ports/engine.ts";
import type { DeltaBatch, IdList } from "../ports/link.ts";
import { BatchWriter, readIds } from "./batch.ts";
import { CarriedFacts } from "./carried-facts.ts";
import { EndedTimes } from "./ended-times.ts";
import { TOMBSTONE_SHARE } from "./settings.ts";
import type { AnyView, Views } from "./views.ts";

/** Tombstones kept; the oldest go first, counted. */
export const TOMBSTONE_COUNT_MAX = 200_000;

export interface RemembrancePorts {
  readonly views: Views;
  readonly clock: Clock;
  readonly memoryMs: number;
}

export class Remembrance {
  readonly ended = new EndedTimes();
  readonly carried = new CarriedFacts();
  readonly #ports: RemembrancePorts;
  tombstonesDropped = 0;
  #missing: readonly number[] | undefined;
  /** Last moment at which a configured member was out of reach. */
  #lastMissingMs: number;

  constructor(ports: RemembrancePorts) {
    this.#ports = ports;
    this.#lastMissingMs = ports.clock.nowMs();
    for (const view of ports.views.all) this.#watch(view);
  }

  #watch(view: AnyView): void {
    const { kind } = view;
    view.subscribe(({ previous, record }) => {
      const id: SessionId | undefined = (record ?? previous)?.id;
      if (id === undefined) return;
      if (record !== undefined && kind.isEnded(record)) {
        if (previous === undefined || !kind.isEnded(previous)) this.ended.note(id, this.#ports.clock.nowMs());
      } else if (previous === undefined || kind.isEnded(previous)) this.ended.delete(id);
    });
  }

  /** Members are in reach, or not. */
  state({ missing }: EngineState): void {
    const nowMs = this.#ports.clock.nowMs();
    if ((this.#missing?.length ?? 1) > 0 || missing.length > 0) this.#lastMissingMs = nowMs;
    this.#missing = missing;
  }

  /** A fact of a later version; undefined when it is none of those either. */
  carry(bytes: Uint8Array): RemoteJoin | undefined {
    const carried = this.carried.add(bytes);
    if (carried === undefined) return undefined;
    const id = sessionIdFromBytes(bytes);
    // Facts that came before their record were on their way out.
    if (!this.carried.isOver(bytes)) this.ended.delete(id);
    return { covered: carried.isAll && this.#ports.views.known(id) === undefined, contradicted: false };
  }

  /** Records as they are now; ended ones as tombstones for a while, then no longer. */
  export(ids: IdList): DeltaBatch {
    const writer = new BatchWriter();
    for (const bytes of readIds(ids)) {
      const live = this.#ports.views.liveBytesOf(bytes);
      if (live !== undefined) writer.add(live);
      else this.#exportOther(writer, bytes);
      if (!this.carried.has(bytes)) continue;
      if (live !== undefined || !this.#isOver(bytes) || !this.#isExpired(sessionIdFromBytes(bytes)))
        for (const fact of this.carried.of(bytes)) writer.add(fact);
    }
    return writer.take();
  }

  forget(bytes: Uint8Array, id: SessionId): void {
    this.carried.forget(bytes);
    this.ended.delete(id);
  }

  #exportOther(writer: BatchWriter, bytes: Uint8Array): void {
    const known = this.#ports.views.known(sessionIdFromBytes(bytes));
    if (known === undefined || this.#isExpired(known.record.id)) return;
    const { kind } = known.view;
    writer.add(
      encodeWith<SessionEnvelope>(
        kind,
        kind.isEnded(known.record) ? kind.tombstoneOf(known.record) : known.record,
      ),
    );
  }

  #isOver(bytes: Uint8Array): boolean {
    const known = this.#ports.views.known(sessionIdFromBytes(bytes));
    return known !== undefined && isIdentified(known.record)
      ? known.view.kind.isEnded(known.record)
      : this.carried.isOver(bytes);
  }

  /**
   * A tombstone may go when everybody had time to see it: while a configured member is out of reach it stays,
   * or else that member would bring the session back, and its NAT port might be in other hands by then.
   */
  #isExpired(id: SessionId): boolean {
    const { clock, memoryMs } = this.#ports;
    let endedAtMs = this.ended.of(id);
    if (endedAtMs === undefined) {
      // Never shown by the view: a tombstone, or stray facts, of a session whose identity has not come.
      endedAtMs = clock.nowMs();
      this.ended.note(id, endedAtMs);
    }
    if (this.ended.size > TOMBSTONE_COUNT_MAX && this.#isAmongOldest(endedAtMs)) {
      this.tombstonesDropped++;
      return true;
    }
    if (this.#missing === undefined || this.#missing.length > 0) return false;
    return clock.nowMs() - Math.max(endedAtMs, this.#lastMissingMs) > memoryMs * TOMBSTONE_SHARE;
  }

  #isAmongOldest(endedAtMs: number): boolean {
    return endedAtMs - (this.ended.oldestMs() ?? endedAtMs) < this.#ports.memoryMs;
  }
}
