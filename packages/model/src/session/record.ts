// The replicated record of one session: a state-based CRDT of an envelope, which all protocols share, and a
// body of its protocol. It holds facts that change a few times in a session's life; what changes with every
// packet (counters, last seen) stays with the member that sees it.
//
// Every field joins by meaning (see join.ts): sets by union, phases by their lattice, epochs by maximum,
// and what is left by an explicit tie-break. A *delta* is a record with only the facts that are new, so
// join(record, delta) and join(record, record) are the same function.
import type { Address } from "../address.ts";
import type { Protocol, ServiceId } from "../service.ts";

/**
 * uuid v5 of service, client port, first initiate tag and the smallest of source and listed addresses before
 * filtering: a retransmitted INIT may come from another address (RFC 9260 §5.1.2), and two members that see
 * it must name the same session.
 */
export type SessionId = string;

/** 32-bit initiate tag, never 0. */
export type Tag = number;

/** Phases of a generation, in lattice order: a join takes the maximum. */
export const PHASES = [
  "init",
  "initAck",
  "cookieEchoed",
  "established",
  "shutdown",
  "shutdownAck",
  "closed",
] as const;
export type Phase = (typeof PHASES)[number];

/** `MEMBER/ENDPOINT_ADDRESS/ENDPOINT_PORT/NAT_PORT/ENDPOINT_TAG`: identity of a candidate. */
export type CandidateKey = string;

export const PENDING_GENERATION_COUNT_MAX = 4;
/**
 * An INIT and its retransmissions (RFC 9260 §16, Max.Init.Retransmits 8): some stacks answer each with a new
 * tag.
 */
export const CANDIDATE_COUNT_MAX_PER_MEMBER = 9;
/** Candidates of one generation over all members; the smallest keys stay. */
export const CANDIDATE_COUNT_MAX = 32;
/** Client addresses kept per session, RFC limits aside (docs/sctp.md §4). */
export const CLIENT_ADDRESS_COUNT_MAX = 16;
/** Addresses of one endpoint in one association. */
export const ENDPOINT_ADDRESS_COUNT_MAX = 8;

/**
 * One answer (INIT-ACK) of one endpoint to one INIT. Immutable once made, except `echoed`, which only rises.
 */
export interface Candidate {
  /** Number of the member that allocated the NAT port. */
  readonly member: number;
  readonly endpoint: Address;
  readonly endpointPort: number;
  readonly natPort: number;
  /** The endpoint's initiate tag from its INIT-ACK; 0 while only the INIT was forwarded. */
  readonly endpointTag: Tag;
  /**
   * The endpoint's addresses in this association, as its INIT-ACKs told (source and list); union. Empty: the
   * one that it is configured with. They are this session's alone: nothing else follows from them.
   */
  readonly endpointAddresses: readonly Address[];
  /** A COOKIE-ECHO carried this candidate's tag. */
  readonly echoed: boolean;
}

/** One INIT's worth of tags. Keyed by the client's tag. */
export interface Generation {
  readonly clientTag: Tag;
  /**
   * Which INIT of this session it was: 1 + the greatest that its creator knew of; absent is 1.
   * `SessionTable.apply` fills it in, and of two INITs that two members saw at once, and gave the same one, a
   * COOKIE-ECHO makes the later. Of more than PENDING_GENERATION_COUNT_MAX generations the greatest (ordinal,
   * tag) stay; of two observations of one tag the one with the greater ordinal stays, equal ones are joined.
   */
  readonly ordinal?: number;
  /** Which VIP the INIT arrived on (0 … 3) and from where; of two observations the smaller pair wins. */
  readonly arrivalVip: number;
  readonly source: Address;
  /** Addresses that the INIT listed, after the filter, in its order; fixed with `arrivalVip`/`source`. */
  readonly listed: readonly Address[];
  /** pair[j]: the client address paired with VIP j; fixed with `arrivalVip`/`source`. */
  readonly pairing: readonly Address[];
  readonly phase: Phase;
  readonly candidates: ReadonlyMap<CandidateKey, Candidate>;
  /** Tag-verified ABORT of this generation alone. */
  readonly aborted: boolean;
  /**
   * Bits by VIP index: the address paired with the VIP has had a HEARTBEAT and did not prove itself, so that
   * the next one goes elsewhere, whichever member forwards it. Union; absent is 0.
   */
  readonly probedVips?: number;
}

/**
 * Which generation and candidate the endpoint has shown to be in force. The greater (epoch, tag, key) wins.
 */
export interface Commit {
  /** 1 for the first; raised when tag-valid endpoint traffic contradicts the record, or by a restart. */
  readonly epoch: number;
  readonly clientTag: Tag;
  readonly candidate: CandidateKey;
  /**
   * The committed generation itself, so that pending ones, forged or not, never crowd it out of the record.
   * `SessionTable.apply` fills it in; read it through `currentGeneration(record)` of facts.ts.
   */
  readonly generation?: Generation;
}

/** The client address last heard on a VIP: last writer by (stamp, member). Rate-limited, on change only. */
export interface Heard {
  readonly address: Address;
  /** Hybrid stamp: max(previous + 1, wall ms). */
  readonly stamp: number;
  readonly member: number;
}

export type EndCause =
  | "shutdown"
  | "abortByClient"
  | "abortByEndpoint"
  | "operator"
  | "endpointDown"
  | "endpointRemoved"
  | "superseded"
  | "idle"
  | "handshakeTimeout"
  /** TCP, these three: FINs both ways, resets. */
  | "closed"
  | "resetByClient"
  | "resetByEndpoint";

/**
 * An end. Verified ends and an operator's removal absorb; a time-out names the phase and activity that it saw
 * and loses to any higher, or else the silent half of a partition would kill what the other half carries.
 */
export interface End {
  readonly cause: EndCause;
  readonly absorbing: boolean;
  /** Commit epoch that ended (0: the embryo): a later commit survives an end of an earlier generation. */
  readonly epochSeen: number;
  readonly phaseSeen: Phase;
  readonly activitySeen: number;
}

/** What every session has, whatever its protocol. */
export interface SessionEnvelope {
  readonly id: SessionId;
  readonly protocol: Protocol;
  readonly serviceId: ServiceId;
  readonly clientPort: number;
  /** Smallest wall-clock ms at which a member created it. Display only. */
  readonly createdAtMs: number;
  /** Activity epoch: a maximum, raised each quarter of the idle limit by whoever sees traffic. */
  readonly activity: number;
  readonly end: End | undefined;
}

/** What SCTP adds: its facts, with a join, a codec, phases and NAT ports of their own (sctp/). */
export interface SctpBody {
  /** Client addresses: source and listed, after the filter. true once a tag-valid packet came from it. */
  readonly clients: ReadonlyMap<Address, boolean>;
  /**
   * The latest INITs by client tag, at most PENDING_GENERATION_COUNT_MAX; the committed one usually among
   * them.
   */
  readonly generations: ReadonlyMap<Tag, Generation>;
  readonly commit: Commit | undefined;
  /** By VIP index. */
  readonly heard: ReadonlyMap<number, Heard>;
}

/**
 * A session that this version knows all of: SCTP's. Those of other protocols are carried as bytes
 * (codec/foreign.ts).
 */
export interface SessionRecord extends SessionEnvelope, SctpBody {}

/** Facts to join into a record; everything but the id may be absent. Identity comes with the first delta. */
export type SessionDelta = Pick<SessionRecord, "id"> & Partial<Omit<SessionRecord, "id">>;
