// Composes replication: the engine's thread, the view's side of it, the shared configuration, questions
// between nodes.
import {
  HoldfastError,
  type Replication,
  type ServiceId,
  type SessionEnvelope,
  sessionIdFromBytes,
  sessionIdToBytes,
  systemRandom,
} from "@holdfast/model";
import { type MemberTls, verifyMemberCertificate } from "./certificates/verify.ts";
import { ConfigurationLink } from "./configuration/shared-configuration.ts";
import { SessionReplica } from "./engine/replica.ts";
import { compareReplica } from "./engine/replica-state.ts";
import { REPLICATION_DEFAULTS } from "./engine/settings.ts";
import { NodeRequests } from "./node-requests.ts";
import type { EngineState, EngineStatus } from "./ports/engine.ts";
import type { StoreState } from "./ports/store.ts";
import { RelayLink, runHosted, runInline, runThread } from "./runners.ts";
import type { MemberSyncState, ReplicaState, Sync, SyncEvents, SyncOptions } from "./sync.ts";
import type { Listing } from "./transport/settings.ts";
import type { HostOptions } from "./worker/protocol.ts";

/** How old `members()` and `metrics()` may be. */
const [STATUS_PERIOD_MS, STATUS_LIMIT_MS] = [1_000, 2_000];
/** What a busy thread may take beyond the release limit before the caller goes on without it. */
const RELEASE_GRACE_MS = 10;
/** How long a stop waits for the engine to take in what was flushed. */
const STOP_FLUSH_LIMIT_MS = 1_000;
/** "Your record of this session": the id, answered by the record's bytes, none when it is not known. */
const RECORD_TOPIC = "sync-record";
const SESSION_ID_SIZE = 16;

/**
 * Resolves when the engine listens, the view is attached and the stored configuration is there; `ready()`
 * becomes true later. Errors: those of `verifyMemberCertificate`, SYNC_NUMBER_MISMATCH,
 * SYNC_NUMBER_OUT_OF_RANGE, SYNC_LISTEN_FAILED, STORE_DIRECTORY_UNUSABLE, SYNC_WORKER_FAILED.
 */
export async function startSync(options: SyncOptions): Promise<Sync> {
  checkIdentity(options);
  const { host, yieldTurn = (action) => void setImmediate(action) } = options;
  const { view, furtherViews = [], clock, logger } = options;
  const settings = { ...REPLICATION_DEFAULTS, ...options.settings };
  let listing: Listing = listingOf(options);
  const others = () => listing.members.filter((member) => member.name !== options.memberName);
  const listeners: { [Name in keyof SyncEvents]: Set<SyncEvents[Name]> } = {
    state: new Set(),
    connected: new Set(),
    disconnected: new Set(),
    excluded: new Set(),
    revoked: new Set(),
    applied: new Set(),
    failed: new Set(),
  };
  const owners = new Map<ServiceId, readonly number[]>();
  let status: EngineStatus | undefined;
  let state: EngineState | undefined;
  let answers = true;
  let store: StoreState = { failure: undefined, brokenCount: 0 };

  const link = new RelayLink();
  const requests = new NodeRequests((message) => link.post(message), clock, logger);
  const configuration = new ConfigurationLink(
    (message) => link.post(message),
    clock,
    options.random ?? systemRandom(),
    logger,
  );
  const replica = new SessionReplica({
    view,
    furtherViews,
    link,
    clock,
    yieldTurn,
    memoryMs: settings.memoryMs,
    release: options.release ?? "peer",
    ownersOf: (record: SessionEnvelope) =>
      (owners.get(record.serviceId) ?? []).filter((owner) => owner !== options.memberNumber),
    onState: (next) => changeState(next),
    onOther: (message) => {
      if (message.kind === "store") {
        store = message.state;
        for (const listener of listeners.state) listener();
      } else if (message.kind === "excluded" || message.kind === "revoked") {
        for (const listener of listeners[message.kind]) listener(message.by);
      } else if (message.kind === "applied") {
        for (const listener of listeners.applied) listener(message.applicant);
      } else if (!configuration.handle(message)) requests.handle(message);
    },
  });

  const tellMembers = () => {
    const own = listing.members.find((member) => member.name === options.memberName);
    const self = own ?? { name: options.memberName, number: options.memberNumber, addresses: [] };
    link.post({ kind: "members", listing: { ...listing, members: [self, ...others()] } });
  };

  function changeState(next: EngineState | undefined): void {
    const before = new Set(state?.connected ?? []);
    const after = new Set(next?.connected ?? []);
    state = next;
    for (const member of after)
      if (!before.has(member)) {
        configuration.connected(member);
        for (const listener of listeners.connected) listener(member);
      }
    for (const member of before)
      if (!after.has(member)) for (const listener of listeners.disconnected) listener(member);
    for (const listener of listeners.state) listener();
  }

  const hostOptions: HostOptions = {
    clusterId: options.clusterId,
    memberName: options.memberName,
    memberNumber: options.memberNumber,
    memberNumberCount: options.memberNumberCount,
    listen: options.listen,
    members: options.members,
    ...(options.join !== undefined && { join: options.join }),
    tls: options.tls,
    storeDirectory: options.storeDirectory,
    settings: options.settings ?? {},
    timing: options.timing ?? {},
    queueBytesMax: options.queueBytesMax,
  };
  const runner =
    host !== undefined
      ? await runHosted(host, link)
      : options.thread === "inline"
        ? await runInline(hostOptions, options, link)
        : await runThread(hostOptions, options, link, {
            unlinked: () => {
              replica.abandon();
              requests.abandon();
              status = undefined;
              answers = true;
              changeState(undefined);
            },
            restarted: () => {
              tellMembers();
              replica.restate();
              configuration.restate();
            },
            answers: (does) => {
              answers = does;
              for (const listener of listeners.state) listener();
            },
            failed: (error) => {
              logger.error({ code: error.code, remedy: error.remedy }, error.message);
              for (const listener of listeners.failed) listener(error);
            },
          });

  if ((options.join ?? []).length > 0) tellMembers();

  // Whoever asks for the services next gets those of the earlier life: a lone member has nobody else to ask.
  await configuration.loaded;

  const statusOf = (limitMs = STATUS_LIMIT_MS): Promise<EngineStatus | undefined> =>
    limited(replica.status(), limitMs, undefined);
  const limited = <Value>(promise: Promise<Value>, limitMs: number, otherwise: Value): Promise<Value> =>
    new Promise((resolve) => {
      const timer = clock.after(limitMs, () => resolve(otherwise));
      void promise.then((value) => {
        timer.cancel();
        resolve(value);
      });
    });
  const poll = clock.every(STATUS_PERIOD_MS, () => {
    void statusOf().then((next) => {
      status = next ?? status;
    });
  });

  const replication: Replication = {
    released: (id) => limited(replica.released(id), settings.releaseLimitMs + RELEASE_GRACE_MS, false),
    ask: (question) => limited(replica.ask(question), settings.askLimitMs + RELEASE_GRACE_MS, false),
  };

  // What a member holds of a session only that member knows: acknowledgements speak of journals, and of own
  // ones alone.
  requests.onRequest(RECORD_TOPIC, (_from, body) => {
    const bytes = body.length === SESSION_ID_SIZE ? replica.bytesOf(sessionIdFromBytes(body)) : undefined;
    return bytes ?? new Uint8Array(0);
  });

  return {
    table: view,
    replication,
    configuration: configuration.document,
    configurationKept: () => configuration.kept(),
    listening: runner.listening,
    answers: () => answers,
    ready: () => answers && (state?.ready ?? false),
    mayAllocate: () => state?.mayAllocate ?? false,
    offered: () => state?.offered ?? [],
    connected: () => state?.connected ?? [],
    members: () =>
      others().map(({ name, number }): MemberSyncState => {
        const known = status?.peers.find((peer) => peer.number === number);
        const connected = state?.connected.includes(number) ?? false;
        return {
          name,
          number,
          connected,
          lagTicks: known?.lagTicks ?? 0,
          lagMs: known?.lagMs ?? 0,
          queuedBytes: known?.queuedBytes ?? 0,
          capabilities: known?.capabilities,
        };
      }),
    async replicationState(id) {
      const states = others().map(async ({ number }): Promise<[number, ReplicaState]> => {
        if (state?.connected.includes(number) !== true) return [number, "unknown"];
        const theirs = await requests.request(number, RECORD_TOPIC, sessionIdToBytes(id));
        return [number, theirs === undefined ? "unknown" : compareReplica(replica.known(id), theirs)];
      });
      return new Map(await Promise.all(states));
    },
    foreignSessions: () => replica.foreignSessions(),
    async metrics() {
      const [engine, host] = await Promise.all([statusOf(), runner.counters()]);
      return { engine, host, restartCount: runner.restartCount(), view: replica.totals };
    },
    store: () => store,
    setTls(tls) {
      checkCertificate(options, tls);
      runner.setTls(tls);
    },
    setMembers(next) {
      listing = next;
      tellMembers();
    },
    setRevoked: (list) => runner.setRevoked(list),
    setOwners(serviceId, numbers) {
      if (numbers.length === 0) owners.delete(serviceId);
      else owners.set(serviceId, numbers);
    },
    request: (member, topic, body) => requests.request(member, topic, body),
    onRequest: (topic, handler) => requests.onRequest(topic, handler),
    on(event, listener) {
      listeners[event].add(listener);
      return () => listeners[event].delete(listener);
    },
    crash: () => runner.crash(),
    async kill() {
      poll.cancel();
      await runner.kill();
    },
    async stop() {
      poll.cancel();
      replica.flush();
      configuration.flush();
      // Its answer says that the engine has taken in what was flushed: the order to stop goes another way.
      if (state !== undefined) await statusOf(STOP_FLUSH_LIMIT_MS);
      await runner.stop();
      replica.abandon();
      requests.abandon();
    },
  };
}

function listingOf({ members, join = [] }: SyncOptions): Listing {
  return { members, join };
}

function checkIdentity(options: SyncOptions): void {
  const { memberNumber, memberNumberCount, tls } = options;
  if (memberNumber >= memberNumberCount)
    throw new HoldfastError("SYNC_NUMBER_OUT_OF_RANGE", { number: memberNumber, count: memberNumberCount });
  if (tls !== "plain") checkCertificate(options, tls);
}

/**
 * One that is not valid now is no obstacle: links that are up stay, and a member alone serves as well as it
 * can.
 */
function checkCertificate({ memberName, memberNumber, clusterId, clock }: SyncOptions, tls: MemberTls): void {
  const verified = verifyMemberCertificate(tls, { clusterId, wallMs: clock.wallMs(), time: "tell" });
  if (verified.memberName !== memberName || verified.memberNumber !== memberNumber) {
    throw new HoldfastError("SYNC_NUMBER_MISMATCH", {
      member: memberName,
      number: memberNumber,
      certifiedMember: verified.memberName,
      certifiedNumber: verified.memberNumber,
    });
  }
}
