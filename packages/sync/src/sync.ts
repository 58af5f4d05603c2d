// What a daemon sees of replication. `startSync` makes it; everything heavy happens in a thread of its own.
import type {
  Address,
  Clock,
  ConfigurationChange,
  FileImage,
  ForeignSession,
  HoldfastError,
  Logger,
  MemberName,
  Random,
  Replication,
  Service,
  ServiceId,
  ServicePlace,
  SessionId,
  SessionTable,
  SessionView,
} from "@holdfast/model";
import type { Revocation } from "./certificates/revocation.ts";
import type { MemberTls } from "./certificates/verify.ts";
import type { ReplicationSettings } from "./engine/settings.ts";
import type { AnyView } from "./engine/views.ts";
import type { EngineStatus } from "./ports/engine.ts";
import type { EngineLink, ToEngine, ToView } from "./ports/link.ts";
import type { StoreState } from "./ports/store.ts";
import type {
  Applicant,
  ConfiguredMember,
  HostPort,
  JoinAddress,
  LinkTiming,
  Listing,
} from "./transport/settings.ts";
import type { HostCounters } from "./worker/protocol.ts";

export interface SyncOptions {
  readonly memberName: MemberName;
  /** As in the certificate; its NAT port slots follow from it. */
  readonly memberNumber: number;
  readonly memberNumberCount: number;
  readonly clusterId: string;
  /** Addresses and ports on which other members connect. Port 0: any free one, see `Sync.listening`. */
  readonly listen: readonly HostPort[];
  /** All members of the cluster at first; this one may be among them. See `Sync.setMembers`. */
  readonly members: readonly ConfiguredMember[];
  /** Not empty: the list is not known, these know it. */
  readonly join?: readonly JoinAddress[];
  /** PEM texts, see `loadMemberTls`. "plain": neither encrypted nor authenticated, for loopback and labs. */
  readonly tls: MemberTls | "plain";
  /** undefined keeps nothing on disk: a restart of the whole cluster loses the sessions. */
  readonly storeDirectory: string | undefined;
  /** peer: `replication.released` waits for another member; none: it does not. Default peer. */
  readonly release?: "peer" | "none";
  readonly clock: Clock;
  readonly random?: Random;
  readonly logger: Logger;
  /** The sessions of this member; replication feeds and reads it. */
  readonly view: SessionView;
  /** Those of other kinds that this member forwards; what it does not is carried. */
  readonly furtherViews?: readonly AnyView[];
  /** Times and limits of the engine, for tests; `releaseLimitMs` is the operator's. */
  readonly settings?: Partial<ReplicationSettings>;
  readonly timing?: Partial<LinkTiming>;
  /** Bytes that may wait for one member before its queue is dropped. Default PEER_QUEUE_BYTES_MAX. */
  readonly queueBytesMax?: number;
  /** Default "worker". "inline" runs everything in the calling thread, for tests that look inside. */
  readonly thread?: "worker" | "inline";
  /**
   * Runs the engine in place of a thread of its own: a simulation's, with its own transport, store and
   * journals. Gives the view's end of the link to `attach`, then starts; transport, TLS and store of these
   * options lie idle.
   */
  readonly host?: (
    attach: (link: EngineLink<ToEngine, ToView>) => void,
  ) => Promise<{ stop(): Promise<void> }>;
  /** Runs `action` after whatever else waits for its turn. Default `setImmediate`. */
  readonly yieldTurn?: (action: () => void) => void;
}

/** The configuration that all members share: services, drained members, pins. Every change is local first. */
export interface SharedConfiguration {
  services(): readonly Service[];
  service(id: ServiceId): Service | undefined;
  /** Changes with the content, and with nothing else: equal at all members that agree. */
  version(): string;
  /** It was there and was deleted. What is merely unknown here was not. */
  isDeleted(place: ServicePlace): boolean;
  /** Secondary VIPs that a service does not get, as another one has them. */
  withheld(): readonly { readonly service: ServiceId; readonly vip: Address; readonly by: ServiceId }[];
  /** What a member's file said when it was last applied; undefined: it never had one. */
  fileOf(member: MemberName): ReadonlyMap<ServiceId, FileImage> | undefined;
  /** All of it or nothing, here and at every other member. Errors: SERVICE_INVALID, SERVICE_VIP_TAKEN. */
  commit(change: ConfigurationChange): void;
  /** Creates or replaces. */
  putService(service: Service): void;
  deleteService(id: ServiceId): void;
  /** Members that an operator drains. */
  drainedMembers(): ReadonlySet<MemberName>;
  setMemberDrained(member: MemberName, drained: boolean): void;
  /** VIP → member that an operator pinned it to. */
  pins(): ReadonlyMap<Address, MemberName>;
  /** undefined removes the pin. */
  setPin(vip: Address, member: MemberName | undefined): void;
  /** What parts of the daemon want all members to know, beside the configuration proper. */
  notes(): ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  setNote(name: string, note: Readonly<Record<string, unknown>> | undefined): void;
  /** Called after every change, also those made at other members. */
  subscribe(listener: () => void): () => void;
}

export interface MemberSyncState {
  readonly name: MemberName;
  readonly number: number;
  readonly connected: boolean;
  /** Ticks of this member's journal that the other has not acknowledged. */
  readonly lagTicks: number;
  /** Milliseconds between the last acknowledged tick's flush and its acknowledgement. */
  readonly lagMs: number;
  readonly queuedBytes: number;
  /** What it offered when it was connected last; undefined: not since this member's start. */
  readonly capabilities: readonly string[] | undefined;
}

/**
 * "holds": its record says all that this member's says, or more; "unknown": not connected, or it did not
 * answer.
 */
export type ReplicaState = "holds" | "behind" | "unknown";

export interface SyncMetrics {
  /**
   * Sessions, journals, lag histogram and totals of the engine, as of the last status (about a second old).
   */
  readonly engine: EngineStatus | undefined;
  /** Transport, store and loop delay of the engine's thread. */
  readonly host: HostCounters | undefined;
  /** Times that the engine's thread was started again. */
  readonly restartCount: number;
  /** Of the view's side: deltas joined and refused, tombstones kept and given up. */
  readonly view: Readonly<Record<string, number>>;
}

/** A request of another member; what it resolves with is the answer. A rejection is answered by silence. */
export type RequestHandler = (from: number, body: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface SyncEvents {
  /** `ready`, `answers`, `mayAllocate`, the set of connected members or the store's state changed. */
  state: () => void;
  connected: (member: number) => void;
  disconnected: (member: number) => void;
  /** A listed member says that this one was taken out of the list. */
  excluded: (by: MemberName) => void;
  /** A listed member does not believe this one's certificate any more; at every try to connect. */
  revoked: (by: MemberName) => void;
  /**
   * Somebody with a certificate of the cluster, who is not on the list, wants to be a member; said at every
   * try.
   */
  applied: (applicant: Applicant) => void;
  /** Replication crashed too often, or hangs, and stays down: the daemon has to end. Forwarding goes on. */
  failed: (error: HoldfastError) => void;
}

export interface Sync {
  readonly table: SessionTable;
  readonly replication: Replication;
  readonly configuration: SharedConfiguration;
  /**
   * Resolves when every change of the configuration so far is on this member's disk. Throws
   * CONFIGURATION_NOT_KEPT when it is not, after KEPT_LIMIT_MS at the latest: the change is in force all the
   * same, and goes on being written.
   */
  configurationKept(): Promise<void>;
  /** Where it listens, ports filled in. */
  readonly listening: readonly HostPort[];
  /** The engine's thread gives signs of life; false once it has not for a few seconds. */
  answers(): boolean;
  /** This member holds what the others hold (or waited long enough for them), and its engine answers. */
  ready(): boolean;
  /** NAT ports may be allocated: everything that lives in this member's slots is known. */
  mayAllocate(): boolean;
  /**
   * What every configured member offers (messages/capabilities.ts), this one included, by name: a new kind of
   * entry, key or record is written only while the name of it is among them. `state` says when it changes.
   */
  offered(): readonly string[];
  /** Numbers of the members that are connected now, ascending. */
  connected(): readonly number[];
  /** The other configured members; at most a second old, `connected` is as of now. */
  members(): readonly MemberSyncState[];
  /** Sessions of protocols that this version does not know: carried for others, in no order. */
  foreignSessions(): Iterable<ForeignSession>;
  /** By member number, for the other configured members: who holds the session as it is here. Asks them. */
  replicationState(id: SessionId): Promise<ReadonlyMap<number, ReplicaState>>;
  metrics(): Promise<SyncMetrics>;
  /** How the store on disk is; nothing fails and nothing is broken where there is none. */
  store(): StoreState;
  /**
   * New certificates and keys of this member: links that begin from now on use them, those that are up stay.
   * Throws what `verifyMemberCertificate` throws, or SYNC_NUMBER_MISMATCH, and changes nothing then.
   */
  setTls(tls: MemberTls): void;
  /**
   * The members of the cluster from now on; this one may be among them. Links to others that are gone end.
   */
  setMembers(listing: Listing): void;
  /** Certificates that are not believed from now on: whoever shows one is refused, and its links end. */
  setRevoked(list: readonly Revocation[]): void;
  /** Numbers of the members that own a service's VIPs; `released` waits for the others among them. */
  setOwners(serviceId: ServiceId, owners: readonly number[]): void;
  /** Asks a member; undefined when it is not connected, has no handler or does not answer within a second. */
  request(member: number, topic: string, body: Uint8Array): Promise<Uint8Array | undefined>;
  /** Answers other members; one handler a topic. */
  onRequest(topic: string, handler: RequestHandler): void;
  on<Name extends keyof SyncEvents>(event: Name, listener: SyncEvents[Name]): () => void;
  /** Ends the engine's thread as a crash does, for tests; it is started again. */
  crash(): Promise<void>;
  /** Ends replication as a killed process does, for tests: nothing is flushed, nobody is told. */
  kill(): Promise<void>;
  /** Flushes journals and store, says goodbye, ends the thread. */
  stop(): Promise<void>;
}
