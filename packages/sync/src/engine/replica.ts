// The main thread's side of replication: hands local facts to the engine, joins what the engine delivers a
// little at a time, and answers when records must be written again. Deterministic: clock and turns are
// parameters.
import {
  type Clock,
  type ForeignSession,
  type Replication,
  type SessionEnvelope,
  type SessionId,
  type SessionQuestion,
  type SessionView,
  sessionIdFromBytes,
  sessionIdToBytes,
} from "@holdfast/model";
import type { EngineState, EngineStatus } from "../ports/engine.ts";
import type { EngineLink, ToEngine, ToView } from "../ports/link.ts";
import { readBatch, readIds } from "./batch.ts";
import { Outbox, RESTATE_COUNT_MAX, TICK_MS } from "./outbox.ts";
import { Remembrance } from "./remembrance.ts";
import { type AnyView, Views } from "./views.ts";

/** Longest turn of joins before the event loop has its turn. */
const TURN_MS = 2;

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

export class SessionReplica implements Replication {
  readonly #ports: ReplicaPorts;
  readonly #views: Views;
  readonly #remembrance: Remembrance;
  readonly #outbox: Outbox;
  readonly #inbox: ToView[] = [];
  readonly #promises = new Map<number, (ok: boolean) => void>();
  readonly #statusPromises = new Map<number, (status: EngineStatus) => void>();
  readonly #counts = { malformed: 0, joined: 0, ghosts: 0 };
  #state: EngineState | undefined;
  #nextBatchToken = 1;
  #turning = false;

  constructor(ports: ReplicaPorts) {
    this.#ports = ports;
    this.#views = new Views(ports.view, ports.furtherViews);
    this.#remembrance = new Remembrance({ ...ports, views: this.#views });
    this.#outbox = new Outbox(ports);
    // Urgent facts (INIT-ACK, COOKIE-ACK) take the whole record with them: what another member said of the
    // session may not have reached everybody, and facts without it are of no use to whoever must forward the
    // next packet.
    for (const view of this.#views.all)
      view.onLocal((delta, urgent, record) =>
        this.#outbox.say(view, urgent ? record : delta, urgent, urgent),
      );
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
    this.#outbox.release(token, id, members);
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

  /**
   * Says something that the view has no place for: carried here, and by the others, as what later versions
   * say is.
   */
  say(fact: Uint8Array): void {
    if (this.#remembrance.carry(fact) === undefined) throw new RangeError("not a fact");
    this.#outbox.sayAll([fact]);
  }

  /** What is carried of a session, by its id. */
  carriedOf(id: SessionId): readonly Uint8Array[] {
    return this.#remembrance.carried.of(sessionIdToBytes(id));
  }

  /**
   * What this member holds of a session, as bytes: its record, else the longest fact that is carried of it.
   */
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
    this.#outbox.flush();
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
   * A new engine begins with what the store and the other members have: says again all that the view shows,
   * some records a turn, so that nothing stands here that no journal carries. Joins make saying it twice
   * harmless.
   */
  restate(): void {
    this.#outbox.sayAll(this.#remembrance.carried.all());
    const ids = this.#views.all.flatMap((view) =>
      [...view.values()].map((record: SessionEnvelope) => record.id),
    );
    let next = 0;
    const turn = () => {
      const end = Math.min(ids.length, next + RESTATE_COUNT_MAX);
      for (; next < end; next++) {
        const known = this.#views.known(ids[next] as SessionId);
        if (known !== undefined) this.#outbox.say(known.view, known.record, false, true);
      }
      this.#outbox.flush();
      if (next < ids.length) this.#ports.clock.after(TICK_MS, turn);
    };
    turn();
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
        this.#outbox.confirmed(message.sequence);
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
    this.#outbox.confirmed(message.sequence);
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
    this.#outbox.confirmed(message.sequence);
    for (const bytes of readIds(message.ids)) {
      const id = sessionIdFromBytes(bytes);
      const known = this.#views.known(id);
      const isEnded = known?.view.kind.isEnded(known.record) === true;
      if (this.#outbox.speaksOf(id)) {
        // Facts about it are on their way: they need the rest of what is known around them.
        if (!isEnded) {
          if (known !== undefined) this.#outbox.say(known.view, known.record, true, true);
          this.#outbox.sayAll(this.carriedOf(id));
          continue;
        }
        // Its bytes are about to go.
        this.#outbox.flush();
      }
      if (known !== undefined && !isEnded) this.#counts.ghosts++;
      known?.view.forget(id);
      this.#remembrance.forget(bytes, id);
    }
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.length * 16);
  for (const [i, part] of parts.entries()) all.set(part, i * 16);
  return all;
}
