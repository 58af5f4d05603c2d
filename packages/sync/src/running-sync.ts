// Replication as the member has it, once its engine runs.
import {
  type Clock,
  type Replication,
  type ServiceId,
  type SessionId,
  sessionIdFromBytes,
  sessionIdToBytes,
  type Timer,
} from "@holdfast/model";
import type { Revocation } from "./certificates/revocation.ts";
import type { MemberTls } from "./certificates/verify.ts";
import { compareReplica } from "./engine/replica-state.ts";
import { checkCertificate } from "./identity-check.ts";
import type { EngineStatus } from "./ports/engine.ts";
import type { Runner } from "./runners.ts";
import type {
  MemberSyncState,
  ReplicaState,
  RequestHandler,
  Sync,
  SyncEvents,
  SyncMetrics,
  SyncOptions,
} from "./sync.ts";
import type { Listing } from "./transport/settings.ts";
import type { ViewSide } from "./view-side.ts";

/** How old `members()` and `metrics()` may be. */
const [STATUS_PERIOD_MS, STATUS_LIMIT_MS] = [1_000, 2_000];
/** What a busy thread may take beyond the release limit before the caller goes on without it. */
const RELEASE_GRACE_MS = 10;
/** How long a stop waits for the engine to take in what was flushed. */
const STOP_FLUSH_LIMIT_MS = 1_000;
/** "Your record of this session": the id, answered by the record's bytes, none when it is not known. */
const RECORD_TOPIC = "sync-record";
const SESSION_ID_SIZE = 16;

/** Of an engine's thread that was started again: what its predecessor told last. */
export interface LastStatus {
  status: EngineStatus | undefined;
}

export class RunningSync implements Sync {
  readonly table: Sync["table"];
  readonly replication: Replication;
  readonly configuration: Sync["configuration"];
  readonly listening: Sync["listening"];
  readonly #options: SyncOptions;
  readonly #side: ViewSide;
  readonly #runner: Runner;
  readonly #last: LastStatus;
  readonly #poll: Timer;

  constructor(options: SyncOptions, side: ViewSide, runner: Runner, last: LastStatus) {
    const { replica, settings, requests } = side;
    const { clock } = options;
    this.#options = options;
    this.#side = side;
    this.#runner = runner;
    this.#last = last;
    this.table = options.view;
    this.configuration = side.configuration.document;
    this.listening = runner.listening;
    const [releaseMs, askMs] = [settings.releaseLimitMs, settings.askLimitMs];
    this.replication = {
      released: (id) => limited(clock, replica.released(id), releaseMs + RELEASE_GRACE_MS, false),
      ask: (question) => limited(clock, replica.ask(question), askMs + RELEASE_GRACE_MS, false),
    };
    // What a member holds of a session only that member knows: acknowledgements speak of journals, and of own
    // ones alone.
    requests.onRequest(RECORD_TOPIC, (_from, body) => {
      const bytes = body.length === SESSION_ID_SIZE ? replica.bytesOf(sessionIdFromBytes(body)) : undefined;
      return bytes ?? new Uint8Array(0);
    });
    this.#poll = clock.every(STATUS_PERIOD_MS, () => {
      void this.#status().then((next) => {
        last.status = next ?? last.status;
      });
    });
  }

  configurationKept(): Promise<void> {
    return this.#side.configuration.kept();
  }

  answers(): boolean {
    return this.#side.answers;
  }

  ready(): boolean {
    return this.#side.answers && (this.#side.state?.ready ?? false);
  }

  mayAllocate(): boolean {
    return this.#side.state?.mayAllocate ?? false;
  }

  offered(): readonly string[] {
    return this.#side.state?.offered ?? [];
  }

  connected(): readonly number[] {
    return this.#side.state?.connected ?? [];
  }

  members(): readonly MemberSyncState[] {
    return this.#side.others().map(({ name, number }): MemberSyncState => {
      const known = this.#last.status?.peers.find((peer) => peer.number === number);
      return {
        name,
        number,
        connected: this.connected().includes(number),
        lagTicks: known?.lagTicks ?? 0,
        lagMs: known?.lagMs ?? 0,
        queuedBytes: known?.queuedBytes ?? 0,
        capabilities: known?.capabilities,
      };
    });
  }

  async replicationState(id: SessionId): Promise<ReadonlyMap<number, ReplicaState>> {
    const { replica, requests } = this.#side;
    const states = this.#side.others().map(async ({ number }): Promise<[number, ReplicaState]> => {
      if (!this.connected().includes(number)) return [number, "unknown"];
      const theirs = await requests.request(number, RECORD_TOPIC, sessionIdToBytes(id));
      return [number, theirs === undefined ? "unknown" : compareReplica(replica.known(id), theirs)];
    });
    return new Map(await Promise.all(states));
  }

  foreignSessions(): ReturnType<Sync["foreignSessions"]> {
    return this.#side.replica.foreignSessions();
  }

  async metrics(): Promise<SyncMetrics> {
    const [engine, host] = await Promise.all([this.#status(), this.#runner.counters()]);
    const { totals } = this.#side.replica;
    return { engine, host, restartCount: this.#runner.restartCount(), view: totals };
  }

  store(): ReturnType<Sync["store"]> {
    return this.#side.store;
  }

  setTls(tls: MemberTls): void {
    checkCertificate(this.#options, tls);
    this.#runner.setTls(tls);
  }

  setMembers(listing: Listing): void {
    this.#side.setListing(listing);
  }

  setRevoked(list: readonly Revocation[]): void {
    this.#runner.setRevoked(list);
  }

  setOwners(serviceId: ServiceId, numbers: readonly number[]): void {
    if (numbers.length === 0) this.#side.owners.delete(serviceId);
    else this.#side.owners.set(serviceId, numbers);
  }

  request(member: number, topic: string, body: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#side.requests.request(member, topic, body);
  }

  onRequest(topic: string, handler: RequestHandler): void {
    this.#side.requests.onRequest(topic, handler);
  }

  on<Name extends keyof SyncEvents>(event: Name, listener: SyncEvents[Name]): () => void {
    return this.#side.listeners.add(event, listener);
  }

  crash(): Promise<void> {
    return this.#runner.crash();
  }

  async kill(): Promise<void> {
    this.#poll.cancel();
    await this.#runner.kill();
  }

  async stop(): Promise<void> {
    this.#poll.cancel();
    this.#side.replica.flush();
    this.#side.configuration.flush();
    // Its answer says that the engine has taken in what was flushed: the order to stop goes another way.
    if (this.#side.state !== undefined) await this.#status(STOP_FLUSH_LIMIT_MS);
    await this.#runner.stop();
    this.#side.abandon();
  }

  #status(limitMs = STATUS_LIMIT_MS): Promise<EngineStatus | undefined> {
    return limited(this.#options.clock, this.#side.replica.status(), limitMs, undefined);
  }
}

/** `otherwise` once the time is over. */
function limited<Value>(
  clock: Clock,
  promise: Promise<Value>,
  limitMs: number,
  otherwise: Value,
): Promise<Value> {
  return new Promise((resolve) => {
    const timer = clock.after(limitMs, () => resolve(otherwise));
    void promise.then((value) => {
      timer.cancel();
      resolve(value);
    });
  });
}
