// What this member says of sessions, on its way to the engine: facts that wait for company, joined per
// session, and the releases that wait for them.
import {
  type Clock,
  type DeltaOf,
  encodeWith,
  type SessionEnvelope,
  type SessionId,
  sessionIdFromBytes,
  type Timer,
} from "@holdfast/model";
import type { EngineLink, ToEngine, ToView } from "../ports/link.ts";
import { BatchWriter } from "./batch.ts";
import type { AnyView } from "./views.ts";

/** Urgent facts leave at once, and again after this long: a burst is one tick. */
const GROUP_COMMIT_MS = 4;
/** Other facts wait this long for company. */
export const TICK_MS = 10;
/** Facts of one message when many are said again. */
export const RESTATE_COUNT_MAX = 128;

export interface OutboxPorts {
  readonly link: EngineLink<ToEngine, ToView>;
  readonly clock: Clock;
  readonly yieldTurn: (action: () => void) => void;
}

interface Pending {
  readonly view: AnyView;
  readonly record: SessionEnvelope;
  /** The whole record leaves as it then stands in the view: its bytes lie there. */
  readonly whole: boolean;
}

type Release = Extract<ToEngine, { kind: "release" }>;

export class Outbox {
  readonly #ports: OutboxPorts;
  readonly #pending = new Map<SessionId, Pending>();
  #releases: Release[] = [];
  /** Local message in which a session was last spoken of; only those that the engine has not confirmed. */
  readonly #spokenOf = new Map<SessionId, number>();
  #sequence = 0;
  #timer: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #flushing = false;

  constructor(ports: OutboxPorts) {
    this.#ports = ports;
  }

  /** Facts about the session are on their way. */
  speaksOf(id: SessionId): boolean {
    return this.#pending.has(id) || this.#spokenOf.has(id);
  }

  /** A release of what is known of the session now. */
  release(token: number, id: SessionId, members: readonly number[]): void {
    if (this.#pending.has(id)) {
      // Goes with the group: a flush for each handshake would make a tick of each.
      this.#releases.push({ kind: "release", token, id, sequence: this.#sequence + 1, members });
      this.#flushWithin(GROUP_COMMIT_MS);
    } else this.#ports.link.post({ kind: "release", token, id, sequence: this.#sequence, members });
  }

  /** `whole`: the delta is all that the view knows. */
  say(view: AnyView, delta: DeltaOf<SessionEnvelope>, urgent: boolean, whole: boolean): void {
    const waiting = this.#pending.get(delta.id);
    // Of a record that leaves whole the view has the facts already.
    if (waiting?.whole !== true) {
      const { kind } = view;
      const record: SessionEnvelope = whole
        ? (delta as SessionEnvelope)
        : kind.join(waiting?.record ?? kind.empty(delta.id), delta);
      this.#pending.set(delta.id, { view, record, whole });
    }
    if (!urgent) this.#flushWithin(TICK_MS);
    else this.#flushWithin(Math.max(0, this.#lastFlushMs + GROUP_COMMIT_MS - this.#ports.clock.nowMs()));
  }

  /** Hands what waits to the engine now. */
  flush(): void {
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    const writer = new BatchWriter();
    const sequence = ++this.#sequence;
    for (const [id, { view, record, whole }] of this.#pending) {
      writer.add((whole ? view.bytesOf(id) : undefined) ?? encodeWith<SessionEnvelope>(view.kind, record));
      // In the order of their messages.
      this.#spokenOf.delete(id);
      this.#spokenOf.set(id, sequence);
    }
    this.#pending.clear();
    this.#lastFlushMs = this.#ports.clock.nowMs();
    this.#ports.link.post({ kind: "local", sequence, urgent: true, deltas: writer.take() });
    const releases = this.#releases;
    this.#releases = [];
    for (const release of releases) this.#ports.link.post(release);
  }

  /** Facts that no table has a place for. */
  sayAll(facts: Iterable<Uint8Array>): void {
    const writer = new BatchWriter();
    const post = () => {
      if (writer.count === 0) return;
      const sequence = ++this.#sequence;
      this.#ports.link.post({ kind: "local", sequence, urgent: false, deltas: writer.take() });
    };
    for (const fact of facts) {
      const id = sessionIdFromBytes(fact);
      // Of the message that it is about to go with.
      this.#spokenOf.delete(id);
      this.#spokenOf.set(id, this.#sequence + 1);
      writer.add(fact);
      if (writer.count >= RESTATE_COUNT_MAX) post();
    }
    post();
  }

  /** The engine has taken in every local message up to `sequence`. */
  confirmed(sequence: number): void {
    for (const [id, spokenIn] of this.#spokenOf) {
      if (spokenIn > sequence) break;
      this.#spokenOf.delete(id);
    }
  }

  #flushWithin(delayMs: number): void {
    const { clock } = this.#ports;
    // At the end of this turn everything leaves, what could wait too: no timer is made for it.
    if (this.#flushing) return;
    const dueMs = clock.nowMs() + delayMs;
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    if (delayMs > 0) {
      this.#timer?.timer.cancel();
      this.#timer = { timer: clock.after(delayMs, () => this.flush()), dueMs };
      return;
    }
    // At the end of this turn: all packets of one read are one tick.
    this.#flushing = true;
    this.#ports.yieldTurn(() => {
      this.#flushing = false;
      this.flush();
    });
  }
}
