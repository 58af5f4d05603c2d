// What the daemon needs of replication: the session table, the shared configuration, the other members. Two
// implementations: alone (here) and replicated (open-link.ts).
import {
  type MemberName,
  noReplication,
  PLAIN_SESSIONS,
  type PlainRecord,
  type Replication,
  type ServiceId,
  type SessionId,
  type SessionQuestion,
  type SessionTable,
  SessionView,
} from "@holdfast/model";
import { type Applicant, CAPABILITIES, type Listing, type MemberTls, type Revocation } from "@holdfast/sync";
import type { ReplicationMetrics } from "../metrics/sources.ts";
import { type ConfigurationStore, createLocalConfigurationStore } from "../services/store.ts";
import { SessionTables } from "../sessions/tables.ts";

export type RequestHandler = (from: number, body: Uint8Array) => Promise<Uint8Array> | Uint8Array;

export interface ReplicaState {
  readonly member: number;
  readonly state: "holds" | "behind" | "unknown";
  readonly lagMs?: number;
}

export interface DiskState {
  /** What keeps the store from being written, in words; undefined: nothing. */
  readonly failure: string | undefined;
  /** Broken files that were put aside. */
  readonly brokenCount: number;
}

export interface ClusterLink {
  /** SCTP's sessions. */
  readonly table: SessionTable;
  /** TCP's and UDP's: what the members share of them. */
  readonly plain: SessionView<PlainRecord>;
  /** All sessions, of every kind; those included that are only carried. */
  readonly sessions: SessionTables;
  readonly replication: Replication;
  readonly store: ConfigurationStore;
  /**
   * Resolves when what `store` was told is on this member's disk. Throws CONFIGURATION_NOT_KEPT when it is
   * not.
   */
  storeKept(): Promise<void>;
  /** How the disk of the store is. */
  disk(): DiskState;
  /** Certificates for the links that begin from now on. */
  setTls(tls: MemberTls): void;
  /** Certificates that are not believed from now on. */
  setRevoked(list: readonly Revocation[]): void;
  /** The members from now on; links to others that are gone end. */
  setMembers(listing: Listing): void;
  /** Called when a listed member says that this one was taken out of the list. */
  onExcluded(listener: (by: MemberName) => void): void;
  /** Called at every try to connect with a listed member that does not believe this one's certificate. */
  onRevoked(listener: (by: MemberName) => void): void;
  /**
   * Called when somebody with a certificate of the cluster, who is not on the list, wants to be a member; at
   * every try.
   */
  onApplied(listener: (applicant: Applicant) => void): void;
  /** Replication gives signs of life. */
  answers(): boolean;
  /** Called when replication failed for good. */
  onFailed(listener: (error: Error) => void): void;
  /** This member holds what the others hold. */
  caughtUp(): boolean;
  /** NAT ports may be allocated: everything that lives in this member's slots is known. */
  mayAllocate(): boolean;
  /** Called when `caughtUp` or the set of connected members may have changed. */
  onState(listener: () => void): void;
  /** Before a question of another member is answered. */
  beforeAnswer(action: (question: SessionQuestion) => void): void;
  onConnect(listener: (member: number) => void): void;
  /** Called when the link to a member closes. */
  onDisconnect(listener: (member: number) => void): void;
  connected(): readonly number[];
  /** What a member offered when it was connected last; undefined: not since this one's start. */
  capabilitiesOf(member: number): readonly string[] | undefined;
  /**
   * Capabilities that every member has: a new kind of key, record or entry is written only while its name is
   * there.
   */
  offered(): readonly string[];
  /** Numbers of the members that own a service's VIPs: an INIT-ACK waits for those. */
  setOwners(service: ServiceId, owners: readonly number[]): void;
  metrics(): Promise<ReplicationMetrics | undefined>;
  replicasOf(id: SessionId): Promise<readonly ReplicaState[]>;
  /** Asks a member; undefined when it does not answer in time. */
  request(member: number, topic: string, body: Uint8Array): Promise<Uint8Array | undefined>;
  /** Answers other members. */
  onRequest(topic: string, handler: RequestHandler): void;
  stop(): Promise<void>;
}

/** One member alone: nothing to wait for, nobody to ask, nothing kept beyond the process. */
export function createLoneLink(): ClusterLink {
  const table = new SessionView();
  const plain = new SessionView<PlainRecord>(PLAIN_SESSIONS);
  return {
    table,
    plain,
    sessions: new SessionTables([table, plain]),
    replication: noReplication,
    store: createLocalConfigurationStore(),
    storeKept: async () => {},
    disk: () => ({ failure: undefined, brokenCount: 0 }),
    setTls: () => {},
    setRevoked: () => {},
    setMembers: () => {},
    onExcluded: () => {},
    onRevoked: () => {},
    onApplied: () => {},
    answers: () => true,
    onFailed: () => {},
    caughtUp: () => true,
    mayAllocate: () => true,
    onState: () => {},
    beforeAnswer: () => {},
    onConnect: () => {},
    onDisconnect: () => {},
    connected: () => [],
    capabilitiesOf: () => undefined,
    offered: () => CAPABILITIES,
    setOwners: () => {},
    metrics: async () => undefined,
    replicasOf: async () => [],
    request: async () => undefined,
    onRequest: () => {},
    stop: async () => {},
  };
}
