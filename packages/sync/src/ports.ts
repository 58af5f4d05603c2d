// The ports of replication: what the engine needs from the outside (transport, store) and what it says to the thread
// that holds the session view. The engine itself is deterministic: clock, randomness, transport, store and journal
// factory are parameters, so that the same code runs in a worker thread and in a seeded simulation.
//
//   forwarder ── SessionReplica (main thread: SessionView) ══ EngineLink ══ ReplicationEngine ── Transport, Store
import type { MemberName, SessionId, SessionQuestion } from "@holdfast/model";
import type { Applicant, Listing } from "./transport/settings.ts";

// ---------------------------------------------------------------------------------------------------------------
// Limits. What happens at each maximum stands beside it.

/** Members of a cluster; a further one is refused at its hello. */
export const MEMBER_COUNT_MAX = 64;
/** Bytes of one peer message on the wire. The transport closes a peer that sends a longer one. */
export const PEER_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of one change (a tick of a journal). A longer one is refused, its sender counted as broken. */
export const CHANGE_BYTES_MAX = 1024 * 1024;
/** Bytes of one change of the configuration: all of it, when a new epoch begins. */
export const CONFIGURATION_CHANGE_BYTES_MAX = 2 * 1024 * 1024;
/** Changes of one `segment` message; more go into further messages. */
export const SEGMENT_MESSAGE_CHANGE_COUNT_MAX = 256;
/** Bytes of changes after which a `segment` message is closed. */
export const SEGMENT_MESSAGE_BYTES_AIM = 256 * 1024;
/** Entries of a summary. A writer retires segments long before; a longer summary is refused. */
export const SUMMARY_ENTRY_COUNT_MAX = 4096;
/** Records of one answer; the rest is left out, anti-entropy brings it. */
export const ANSWER_RECORD_COUNT_MAX = 64;
/**
 * Bytes queued to one peer; all of the configuration fits. Beyond, its queue is dropped, and summaries and the
 * configuration's heads bring it what it missed.
 */
export const PEER_QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes of the body of a request or response between nodes. */
export const REQUEST_BYTES_MAX = 1024 * 1024;

// ---------------------------------------------------------------------------------------------------------------
// Journals on the wire.

/**
 * The writer of a journal: one incarnation of one member, 32 hexadecimal digits. Bytes 0–1 are the member's number,
 * 2–7 its incarnation counter (greater is later), 8–15 random. A new one for every start: Automerge actors are never
 * used twice.
 */
export type Actor = string;

/** One segment as its holder has it. */
export interface SegmentSummary {
  /** 0, 1, 2, … per actor. */
  readonly segment: number;
  /** Ticks held, 0 … ticks - 1 without a gap. */
  readonly ticks: number;
  /** Hash (32 bytes) of the last change; empty while `ticks` is 0. */
  readonly head: Uint8Array;
  /** The writer will add no tick to it. */
  readonly sealed: boolean;
}

/** A place in a journal: everything of the segments before, and this many ticks of this one. */
export interface JournalPosition {
  readonly segment: number;
  readonly ticks: number;
}

/** What a member holds of one actor's journal. */
export interface JournalSummary {
  readonly actor: Actor;
  /** First segment that still counts; those below are retired. */
  readonly base: number;
  readonly segments: readonly SegmentSummary[];
}

/** Everything a member holds, and whom it hears. */
export interface Summary {
  readonly incarnation: Actor;
  readonly journals: readonly JournalSummary[];
  /** Numbers of the members that the sender is connected with now. */
  readonly connected: readonly number[];
  /** Member number → incarnation counter: incarnations with a smaller counter are retired, nobody takes their changes. */
  readonly floors: readonly (readonly [member: number, counter: number])[];
  /** The sender holds everything it knows of. */
  readonly caughtUp: boolean;
}

/**
 * What members say to each other once the transport has authenticated both and agreed on cluster and version.
 * `kind` numbers on the wire are append-only.
 */
export type PeerMessage =
  /** First message of the engine on a new connection, both ways. */
  | { readonly kind: "hello"; readonly summary: Summary }
  /** Every few seconds and after a dropped queue. */
  | { readonly kind: "summary"; readonly summary: Summary }
  /** One live change of the sender's own journal, or relayed. */
  | {
      readonly kind: "tick";
      readonly actor: Actor;
      readonly segment: number;
      readonly tick: number;
      readonly change: Uint8Array;
    }
  /** "Send me this segment from that tick on." */
  | { readonly kind: "fetch"; readonly actor: Actor; readonly segment: number; readonly fromTick: number }
  /** Answer to `fetch`, in parts: changes of ticks fromTick, fromTick + 1, … */
  | {
      readonly kind: "segment";
      readonly actor: Actor;
      readonly segment: number;
      readonly fromTick: number;
      readonly changes: readonly Uint8Array[];
      readonly sealed: boolean;
    }
  /**
   * How far the sender is with a journal of the receiver's; both cumulative. `held`: verified and kept in the sender's
   * own copy, which it relays, writes to its store and joins. `joined`: its view shows it.
   */
  | {
      readonly kind: "acknowledge";
      readonly actor: Actor;
      readonly held: JournalPosition;
      readonly joined: JournalPosition;
    }
  /** The writer seals a segment / advances its base (a hint; the journal itself says so too). */
  | { readonly kind: "base"; readonly actor: Actor; readonly base: number }
  | { readonly kind: "ask"; readonly question: number; readonly about: SessionQuestion }
  /** `records`: canonical bytes of session records. Empty: the sender does not know either. */
  | { readonly kind: "answer"; readonly question: number; readonly records: readonly Uint8Array[] }
  /** The configuration document's sync: changes that the receiver lacks (each verified by its receiver). */
  | {
      readonly kind: "configuration";
      readonly heads: readonly string[];
      readonly changes: readonly Uint8Array[];
    }
  /** For the node: collect counters, health verdicts and the like from another member. `body` is the node's business. */
  | { readonly kind: "request"; readonly id: number; readonly topic: string; readonly body: Uint8Array }
  | { readonly kind: "response"; readonly id: number; readonly body: Uint8Array };

// ---------------------------------------------------------------------------------------------------------------
// Transport.

export interface PeerIdentity {
  readonly name: MemberName;
  /** From its certificate; names its NAT port slots. */
  readonly number: number;
  /** What its greeting offers (messages/capabilities.ts); absent: nothing. */
  readonly capabilities?: readonly string[];
}

export interface TransportHandlers {
  /** Authenticated, same cluster, compatible version; at most one connection a peer at a time. */
  connected(peer: PeerIdentity): void;
  disconnected(peer: PeerIdentity, reason: string): void;
  /** Decoded and within the limits above. Buffers belong to the receiver. In order per connection. */
  message(peer: PeerIdentity, message: PeerMessage): void;
  /** The queue to the peer was dropped as it was full: what was sent and not delivered is lost, the link is up. */
  dropped(peer: PeerIdentity): void;
  /** A listed member says that this one was taken out of the list, or that its certificate is revoked. */
  turnedAway?(by: MemberName, why: "excluded" | "revoked"): void;
  /** Somebody with a certificate of the cluster, who is not on the list, wants to be a member. */
  applied?(applicant: Applicant): void;
}

/** Between this member and every other. Implementations: ws with TLS; in memory, for tests and simulation. */
export interface Transport {
  /** Call once. Connects, and goes on trying, to all configured members. */
  start(handlers: TransportHandlers): void;
  /** Connected and authenticated now, by ascending number. */
  peers(): readonly PeerIdentity[];
  /** Queues a message. false: not connected, or the queue was full (then `dropped` follows). */
  send(peer: number, message: PeerMessage): boolean;
  /** Bytes that wait to be sent to a peer. */
  queuedBytes(peer: number): number;
  /** Closes the connection because the peer broke the rules; it may come back after a pause. */
  refuse(peer: number, reason: string): void;
  /** The list is another one: connections to whoever is not on it end, and those that are new are connected with. */
  setMembers(listing: Listing): void;
  stop(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------
// Store.

export interface StoredSegment {
  readonly actor: Actor;
  readonly segment: number;
  readonly sealed: boolean;
  /** Changes of ticks 0, 1, …; a torn tail is left out by the store. */
  readonly changes: readonly Uint8Array[];
}

export interface StoredState {
  readonly segments: readonly StoredSegment[];
  /** Small named values: "incarnation", "floors", "configuration", … */
  readonly values: ReadonlyMap<string, Uint8Array>;
  /** What was torn or corrupt and left out, in words for the log. */
  readonly damaged: readonly string[];
}

/**
 * What survives a restart. Written behind: calls return at once and are applied in order; a crash may lose the last
 * moments, never tear what is older. Implementations: files; in memory.
 */
export interface Store {
  load(): Promise<StoredState>;
  append(actor: Actor, segment: number, tick: number, change: Uint8Array): void;
  seal(actor: Actor, segment: number): void;
  /** Drops the actor's segments below `base`; all of them when `base` is Infinity. */
  drop(actor: Actor, base: number): void;
  put(name: string, value: Uint8Array): void;
  /**
   * Resolves when everything before is on disk: then to undefined; or when a value was tried and is not, which goes on
   * being tried: then to the reason.
   */
  flush(): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface StoreState {
  /** What keeps the store from being written, in words; undefined: nothing. */
  readonly failure: string | undefined;
  /** Broken files that were put aside, at this start and earlier ones. */
  readonly brokenCount: number;
}

// ---------------------------------------------------------------------------------------------------------------
// The link between the thread with the view (main) and the thread with the engine. All messages are plain data that
// structured clone takes; Uint8Arrays own their buffers and may be transferred.

/** Deltas as bytes, one after the other, each with a varint length before it. */
export interface DeltaBatch {
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Ids as bytes, 16 each. */
export type IdList = Uint8Array;

export type ToEngine =
  /** Facts that this member observed. `sequence` rises by one per message. */
  | {
      readonly kind: "local";
      readonly sequence: number;
      readonly urgent: boolean;
      readonly deltas: DeltaBatch;
    }
  /** A delivered batch was joined: credit returns. `covered`: its records that now equal the view's (per index, a bit). */
  | {
      readonly kind: "joined";
      readonly batch: number;
      readonly covered: Uint8Array;
      readonly contradicted: IdList;
    }
  | {
      readonly kind: "exported";
      readonly request: number;
      readonly deltas: DeltaBatch;
    }
  | {
      readonly kind: "release";
      readonly token: number;
      readonly id: SessionId;
      /** Local messages up to here must be with the others. */
      readonly sequence: number;
      /** Owners of the service's other VIPs; empty: one other member is enough. */
      readonly members: readonly number[];
    }
  | { readonly kind: "ask"; readonly token: number; readonly about: SessionQuestion }
  | { readonly kind: "found"; readonly request: number; readonly records: readonly Uint8Array[] }
  /** To one member, or to all. */
  | {
      readonly kind: "configuration";
      readonly to: number | undefined;
      readonly heads: readonly string[];
      readonly changes: readonly Uint8Array[];
    }
  /** Keeps a small named value in the store; with a token, `stored` says when it is on disk. */
  | {
      readonly kind: "keep";
      readonly name: string;
      readonly value: Uint8Array;
      readonly token: number | undefined;
    }
  | {
      readonly kind: "request";
      readonly token: number;
      readonly member: number;
      readonly topic: string;
      readonly body: Uint8Array;
    }
  | { readonly kind: "response"; readonly token: number; readonly body: Uint8Array }
  /** The members of the cluster from now on, this one among them. */
  | { readonly kind: "members"; readonly listing: Listing }
  | { readonly kind: "status"; readonly token: number };

export type ToView =
  /** Deltas of other members, to be joined in order. `sequence`: the last `local` message that was taken in. */
  | {
      readonly kind: "deliver";
      readonly batch: number;
      readonly sequence: number;
      readonly deltas: DeltaBatch;
    }
  /** Send what must be written again of each id. */
  | {
      readonly kind: "export";
      readonly request: number;
      /** The last `local` message that the engine had taken in. */
      readonly sequence: number;
      readonly ids: IdList;
    }
  /** No journal carries these any longer. `sequence`: the last `local` message that the engine had taken in. */
  | { readonly kind: "forget"; readonly sequence: number; readonly ids: IdList }
  | { readonly kind: "released"; readonly token: number; readonly ok: boolean }
  /** `complete`: every other configured member has answered. */
  | { readonly kind: "answered"; readonly token: number; readonly complete: boolean }
  | { readonly kind: "lookup"; readonly request: number; readonly about: SessionQuestion }
  | {
      readonly kind: "configuration";
      readonly from: number;
      readonly heads: readonly string[];
      readonly changes: readonly Uint8Array[];
    }
  /** The queue to the member was dropped: of the configuration, too, it may have missed something. */
  | { readonly kind: "dropped"; readonly member: number }
  /** Once, at the start: what `keep` stored in earlier lives, and what the store found damaged. */
  | {
      readonly kind: "kept";
      readonly values: ReadonlyMap<string, Uint8Array>;
      readonly damaged: readonly string[];
    }
  /** What `keep` with this token gave is on disk; with a failure: it is not yet, and goes on being tried. */
  | { readonly kind: "stored"; readonly token: number; readonly failure: string | undefined }
  /** How the store on disk is; after its start, and when it changes. */
  | { readonly kind: "store"; readonly state: StoreState }
  | {
      readonly kind: "request";
      readonly token: number;
      readonly from: number;
      readonly topic: string;
      readonly body: Uint8Array;
    }
  | { readonly kind: "response"; readonly token: number; readonly body: Uint8Array | undefined }
  | { readonly kind: "status"; readonly token: number; readonly status: EngineStatus }
  /** A listed member says that this one was taken out of the list, or that its certificate is revoked. */
  | { readonly kind: "excluded" | "revoked"; readonly by: MemberName }
  | { readonly kind: "applied"; readonly applicant: Applicant }
  /** Sent when `ready` or the set of connected members changes. */
  | { readonly kind: "state"; readonly state: EngineState };

/** One end of the link. In order, without loss. */
export interface EngineLink<Out, In> {
  post(message: Out): void;
  /** Call once. */
  listen(listener: (message: In) => void): void;
}

export interface EngineState {
  readonly incarnation: Actor;
  /** Caught up with all that are there: every member, one that had caught up, or whoever came in `startWaitMs`. */
  readonly ready: boolean;
  /** Heard every configured member since the start, or waited long enough: NAT ports may be allocated. */
  readonly mayAllocate: boolean;
  readonly connected: readonly number[];
  /** Configured members that nobody in reach is connected with. While there are any, tombstones are kept. */
  readonly missing: readonly number[];
  /** What every configured member offers, as its last greeting said: only such may be written. By name, sorted. */
  readonly offered: readonly string[];
}

export interface PeerStatus {
  readonly number: number;
  readonly name: MemberName;
  readonly connected: boolean;
  /** Ticks of this member's journal that the peer has not acknowledged. */
  readonly lagTicks: number;
  /** Milliseconds between the last acknowledged tick's flush and its acknowledgement. */
  readonly lagMs: number;
  readonly queuedBytes: number;
  /** What it offered when it was connected last; undefined: not since this member's start. */
  readonly capabilities: readonly string[] | undefined;
}

export interface EngineStatus {
  readonly state: EngineState;
  readonly peers: readonly PeerStatus[];
  readonly segmentCount: number;
  readonly carriedCount: number;
  readonly sessionCount: number;
  /** By stable name, for the metrics: counters and gauges. */
  readonly totals: Readonly<Record<string, number>>;
  /** Histogram of replication lag (flush to acknowledgement), upper bounds in ms and counts. */
  readonly lagHistogram: { readonly boundsMs: readonly number[]; readonly counts: readonly number[] };
}

/** The engine as its host (worker thread or simulation) sees it. */
export interface Engine {
  /** Loads the store, opens a new incarnation, starts the transport. */
  start(): Promise<void>;
  /** Flushes journals and store, stops the transport, frees documents. */
  stop(): Promise<void>;
}
