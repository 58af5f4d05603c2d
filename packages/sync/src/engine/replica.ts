// The main thread's side of replication: hands local facts to the engine, joins what the engine delivers a little at a
// time, and answers when records must be written again. Deterministic: clock and turns are parameters.
import {
  type Clock,
  type DeltaOf,
  encodeWith,
  type ForeignSession,
  type Replication,
  type SessionEnvelope,
  type SessionId,
  type SessionQuestion,
  type SessionView,
  sessionIdFromBytes,
  sessionIdToBytes,
  type Timer,
} from "@holdfast/model";
import type { EngineLink, EngineState, EngineStatus, ToEngine, ToView } from "../ports.ts";
import { BatchWriter, readBatch, readIds } from "./batch.ts";
import { Remembrance } from "./remembrance.ts";
import { type AnyView, Views } from "./views.ts";

/** Urgent facts leave at once, and again after this long: a burst is one tick. */
const GROUP_COMMIT_MS = 2;
/** Other facts wait this long for company. */
const TICK_MS = 10;
/** Longest turn of joins before the event loop has its turn. */
const TURN_MS = 2;
/** Records said again in one turn after the engine was started anew. */
const RESTATE_COUNT_MAX = 128;
export interface ReplicaPorts {
  readonly view: SessionView;
  /** Tables of other kinds of session. */
  readonly furtherViews?: readonly AnyView[];
  readonly link: EngineLink<ToEngine, ToView>;
  readonly clock: Clock;
  /** Runs `action` after whatever else waits for its turn; `setImmediate` in production. */
  readonly yieldTurn: (action: () => void) => void;
  readonly memoryMs: number;
  /** `peer`: an INIT-ACK waits for the others; `none`: it does not. */
  readonly release: "peer" | "none";
  /** Numbers of the members that own the service's other VIPs now. */
  readonly ownersOf: (record: SessionEnvelope) => readonly number[];
  readonly onState?: (state: EngineState) => void;
  /** Messages that are not about sessions: configuration, requests of other nodes, kept values. */
  readonly onOther?: (message: ToView) => void;
}

type ReplicaTotal =
  | "malformed"
  | "joined"
  | "ghosts"
  | "tombstonesDropped"
  | "tombstones"
  | "carried"
  | "carriedDropped";

interface Pending {
  readonly view: AnyView;
  readonly record: SessionEnvelope;
  /** The whole record leaves as it then stands in the view: its bytes lie there. */
  readonly whole: boolean;
}

type Release = Extract<ToEngine, { kind: "release" }>;

export class SessionReplica implements Replication {
  readonly #ports: ReplicaPorts;
  readonly #views: Views;
  /** Facts that wait to leave, joined per session. */
  readonly #pending = new Map<SessionId, Pending>();
  /** Releases that wait for the facts to leave. */
  #releases: Release[] = [];
  /** Local message in which a session was last spoken of; only those that the engine has not confirmed. */
  readonly #spokenOf = new Map<SessionId, number>();
  readonly #remembrance: Remembrance;
  readonly #inbox: ToView[] = [];
  readonly #promises = new Map<number, (ok: boolean) => void>();
  readonly #statusPromises = new Map<number, (status: EngineStatus) => void>();
  readonly #counts = { malformed: 0, joined: 0, ghosts: 0 };
  #state: EngineState | undefined;
  #sequence = 0;
  #nextBatchToken = 1;
  #timer: { readonly timer: Timer; readonly dueMs: number } | undefined;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #turning = false;
  #flushing = false;

  constructor(ports: ReplicaPorts) {
    this.#ports = ports;
    this.#views = new Views(ports.view, ports.furtherViews);
    this.#remembrance = new Remembrance({ ...ports, views: this.#views });
    // Urgent facts (INIT-ACK, COOKIE-ACK) take the whole record with them: what another member said of the session may
    // not have reached everybody, and facts without it are of no use to whoever must forward the next packet.
    for (const view of this.#views.all)
      view.onLocal((delta, urgent, record) => this.#local(view, urgent ? record : delta, urgent, urgent));
    ports.link.listen((message) => {
      // An INIT-ACK waits for it; nothing that stands before it matters to it.
      if (message.kind === "released") {
        this.#settle(message.token, message.ok);
        return;
      }
      this.#inbox.push(message);
      this.#turn();
    });
  }

  /** undefined before the engine has started. */
  get state(): EngineState | undefined {
    return this.#state;
  }

  /** Counters and gauges, by stable name. */
  get totals(): Readonly<Record<ReplicaTotal, number>> {
    const { ended, carried, tombstonesDropped } = this.#remembrance;
    return {
      ...this.#counts,
      tombstonesDropped,
      tombstones: ended.size,
      carried: carried.size,
      carriedDropped: carried.totals.carriedDropped,
    };
  }

  released(id: SessionId): Promise<boolean> {
    const record = this.#views.known(id)?.record;
    if (this.#ports.release === "none") return Promise.resolve(true);
    const { promise, token } = this.#promise();
    const members = record === undefined ? [] : this.#ports.ownersOf(record);
    if (this.#pending.has(id)) {
      // Goes with the group: a flush for each handshake would make a tick of each.
      this.#releases.push({ kind: "release", token, id, sequence: this.#sequence + 1, members });
      this.#flushWithin(GROUP_COMMIT_MS);
    } else this.#ports.link.post({ kind: "release", token, id, sequence: this.#sequence, members });
    return promise;
  }

  ask(question: SessionQuestion): Promise<boolean> {
    const { promise, token } = this.#promise();
    this.#ports.link.post({ kind: "ask", token, about: question });
    return promise;
  }

  status(): Promise<EngineStatus> {
    const token = this.#nextBatchToken++;
    return new Promise((resolve) => {
      this.#statusPromises.set(token, resolve);
      this.#ports.link.post({ kind: "status", token });
    });
  }

  /** Says something that the view has no place for: carried here, and by the others, as what later versions say is. */
  say(fact: Uint8Array): void {
    if (this.#remembrance.carry(fact) === undefined) throw new RangeError("not a fact");
    this.#sayAll([fact]);
  }

  /** What is carried of a session, by its id. */
  carriedOf(id: SessionId): readonly Uint8Array[] {
    return this.#remembrance.carried.of(sessionIdToBytes(id));
  }

  /** What this member holds of a session, as bytes: its record, else the longest fact that is carried of it. */
  bytesOf(id: SessionId): Uint8Array | undefined {
    return this.#views.bytesOf(id) ?? [...this.carriedOf(id)].sort((a, b) => b.length - a.length)[0];
  }

  /** The record of a session of a protocol that this member forwards. */
  known(id: SessionId): SessionEnvelope | undefined {
    return this.#views.known(id)?.record;
  }

  /** Sessions of protocols that this version does not know. */
  foreignSessions(): Iterable<ForeignSession> {
    return this.#remembrance.carried.sessions();
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

  /** The engine is gone: nobody answers what is under way. */
  abandon(): void {
    for (const resolve of this.#promises.values()) resolve(false);
    this.#promises.clear();
    // A status that never comes is as good as none; whoever asks has a limit of its own.
    this.#statusPromises.clear();
    this.#inbox.length = 0;
  }

  /**
   * A new engine begins with what the store and the other members have: says again all that the view shows, some
   * records a turn, so that nothing stands here that no journal carries. Joins make saying it twice harmless.
   */
  restate(): void {
    this.#sayAll(this.#remembrance.carried.all());
    const ids = this.#views.all.flatMap((view) =>
      [...view.values()].map((record: SessionEnvelope) => record.id),
    );
    let next = 0;
    const turn = () => {
      const end = Math.min(ids.length, next + RESTATE_COUNT_MAX);
      for (; next < end; next++) {
        const known = this.#views.known(ids[next] as SessionId);
        if (known !== undefined) this.#local(known.view, known.record, false, true);
      }
      this.flush();
      if (next < ids.length) this.#ports.clock.after(TICK_MS, turn);
    };
    turn();
  }

  #sayAll(facts: Iterable<Uint8Array>): void {
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

  // -------------------------------------------------------------------------------------------------------------

  #promise(): { promise: Promise<boolean>; token: number } {
    const token = this.#nextBatchToken++;
    const promise = new Promise<boolean>((resolve) => this.#promises.set(token, resolve));
    return { promise, token };
  }

  #settle(token: number, ok: boolean): void {
    const resolve = this.#promises.get(token);
    this.#promises.delete(token);
    resolve?.(ok);
  }

  /** `whole`: the delta is all that the view knows. */
  #local(view: AnyView, delta: DeltaOf<SessionEnvelope>, urgent: boolean, whole: boolean): void {
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

  #flushWithin(delayMs: number): void {
    const { clock } = this.#ports;
    const dueMs = clock.nowMs() + delayMs;
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    if (delayMs > 0) {
      this.#timer?.timer.cancel();
      this.#timer = { timer: clock.after(delayMs, () => this.flush()), dueMs };
      return;
    }
    // At the end of this turn: all packets of one read are one tick.
    if (this.#flushing) return;
    this.#flushing = true;
    this.#ports.yieldTurn(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  #turn(): void {
    if (this.#turning) return;
    this.#turning = true;
    this.#ports.yieldTurn(() => {
      this.#turning = false;
      const { clock } = this.#ports;
      const untilMs = clock.nowMs() + TURN_MS;
      for (let message = this.#inbox.shift(); message !== undefined; message = this.#inbox.shift()) {
        this.#handle(message);
        if (clock.nowMs() >= untilMs) break;
      }
      if (this.#inbox.length > 0) this.#turn();
    });
  }

  #handle(message: ToView): void {
    switch (message.kind) {
      case "deliver":
        this.#join(message);
        break;
      case "export":
        this.#confirmed(message.sequence);
        this.#ports.link.post({
          kind: "exported",
          request: message.request,
          deltas: this.#remembrance.export(message.ids),
        });
        break;
      case "forget":
        this.#forget(message);
        break;
      case "answered":
        this.#settle(message.token, message.complete);
        break;
      case "lookup":
        this.#ports.link.post({
          kind: "found",
          request: message.request,
          records: this.#views.answer(message.about),
        });
        break;
      case "status": {
        const resolve = this.#statusPromises.get(message.token);
        this.#statusPromises.delete(message.token);
        resolve?.(message.status);
        break;
      }
      case "state":
        this.#state = message.state;
        this.#remembrance.state(message.state);
        this.#ports.onState?.(message.state);
        break;
      default:
        this.#ports.onOther?.(message);
    }
  }

  #join(message: Extract<ToView, { kind: "deliver" }>): void {
    this.#confirmed(message.sequence);
    const covered = new Uint8Array((message.deltas.count + 7) >> 3);
    const contradicted: Uint8Array[] = [];
    let i = 0;
    for (const bytes of readBatch(message.deltas)) {
      const known = this.#views.joinBytes(bytes);
      const result = known ?? this.#remembrance.carry(bytes);
      if (result === undefined) this.#counts.malformed++;
      else {
        // Who holds all that can be read of it need not hold what is carried of it.
        if (result.covered && (known === undefined || !this.#remembrance.carried.has(bytes)))
          covered[i >> 3] = (covered[i >> 3] as number) | (1 << (i & 7));
        if (result.contradicted) contradicted.push(bytes.slice(0, 16));
        this.#counts.joined++;
      }
      i++;
    }
    this.#ports.link.post({
      kind: "joined",
      batch: message.batch,
      covered,
      contradicted: concatenate(contradicted),
    });
  }

  #forget(message: Extract<ToView, { kind: "forget" }>): void {
    this.#confirmed(message.sequence);
    for (const bytes of readIds(message.ids)) {
      const id = sessionIdFromBytes(bytes);
      const known = this.#views.known(id);
      const isEnded = known?.view.kind.isEnded(known.record) === true;
      if (this.#pending.has(id) || this.#spokenOf.has(id)) {
        // Facts about it are on their way: they need the rest of what is known around them.
        if (!isEnded) {
          if (known !== undefined) this.#local(known.view, known.record, true, true);
          this.#sayAll(this.carriedOf(id));
          continue;
        }
        // Its bytes are about to go.
        this.flush();
      }
      if (known !== undefined && !isEnded) this.#counts.ghosts++;
      known?.view.forget(id);
      this.#remembrance.forget(bytes, id);
    }
  }

  /** The engine has taken in every local message up to `sequence`. */
  #confirmed(sequence: number): void {
    for (const [id, spokenIn] of this.#spokenOf) {
      if (spokenIn > sequence) break;
      this.#spokenOf.delete(id);
    }
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.length * 16);
  for (const [i, part] of parts.entries()) all.set(part, i * 16);
  return all;
}
