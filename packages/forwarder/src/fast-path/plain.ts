// Flows of TCP and UDP in the fast path. They have tables of their own, so that SCTP's entry stays one
// cache line. What the fast path does by itself, and what it tells: docs/decisions/0385.
import type { Address } from "@holdfast/model";
import type { FlowCounters, FlowKey } from "./port.ts";

/**
 * The last sequence number and acknowledgment that are believed of one direction, as the *other* end knows
 * the numbers of its own.
 */
export interface TcpEdges {
  /** Number behind the last byte sent, as the sender counts (before translation). */
  readonly sequence: number;
  /** The last acknowledgment, as the other end counts (after translation). */
  readonly acknowledged: number;
}

export interface PlainTcp {
  /**
   * The larger of both ends' window scales (RFC 7323 §2.2), 0 when they do not scale, 14 when unknown: no
   * sequence number lies further than 65,535 << scale from the last one.
   */
  readonly windowScale: number;
  /**
   * Bytes that were sent to the endpoint before the client's (PROXY protocol), −32,768 … 32,767. Up: added
   * to sequence numbers. Down: taken from acknowledgments and from the blocks of SACK.
   */
  readonly shift: number;
  /**
   * What is known from the handshake. Absent: what was learned stays; a new flow believes its first packet.
   */
  readonly edges?: TcpEdges;
}

/**
 * A client's SYN went to the endpoint, whose answer the fast path knows by itself: what acknowledges just
 * that SYN is forwarded, ends the waiting in both directions, and makes the flow up `opening`
 * (docs/decisions/0540). The same SYN, and the same answer, are forwarded again.
 */
export interface PlainAwaiting {
  /** The client's first sequence number, and one: what the answer acknowledges. */
  readonly sequence: number;
  /** The client's window scale, 0 … 14; undefined: it offered none. */
  readonly scale: number | undefined;
}

/** One direction of a TCP connection or of an exchange of datagrams. `key.protocol` is 6 or 17. */
export interface PlainFlow {
  readonly key: FlowKey;
  readonly newSource: Address;
  readonly newDestination: Address;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
  readonly direction: "up" | "down";
  /** As in `Flow`; of one number space with SCTP's. */
  readonly session: number;
  /** Every packet is punted as `handshake`: while a PROXY header is not acknowledged, for one. */
  readonly handshake: boolean;
  /**
   * Of TCP, up, with `handshake` and edges: a packet that acknowledges just what they say, and neither begins
   * nor ends anything, is forwarded and ends the handshake in both directions. Absent: no.
   */
  readonly opening?: boolean;
  /**
   * Of TCP, with `handshake`, without edges, the same in both directions of one session. `tcp.windowScale`
   * is 0 until the answer has come. `learn` stays as it is until the client's acknowledgment.
   */
  readonly awaiting?: PlainAwaiting;
  /** The slow path is given no copies of its FINs and RSTs. Absent: it is. */
  readonly quiet?: boolean;
  /**
   * The first packet that is forwarded is punted as a copy, `learn`: the ACK of a handshake, the first
   * datagram.
   */
  readonly learn: boolean;
  /**
   * The source has shown that it is there: fragments from it are not a stranger's. A TCP flow whose edges
   * fit shows it by itself.
   */
  readonly assured: boolean;
  /** TCP only; there it is required. */
  readonly tcp?: PlainTcp;
}

/**
 * Counters of a handshake: its SYNs and their answers count. `lastSeenMs` says since when the endpoint's
 * answer is awaited (installed), or since when the client's is (answered), of both directions: what is sent again
 * does not change it.
 */
export interface PlainFlowState extends FlowCounters {
  /** Believed now; undefined: no packet was seen, or they were forgotten. */
  readonly edges?: TcpEdges;
  /**
   * The number behind the last FIN of this direction that lay inside the window, as its sender counts. It
   * is proven when the other direction's `edges.acknowledged` equals it.
   */
  readonly finEnd?: number;
  /**
   * A reset inside the window passed in either direction, and this direction has not spoken since. Both of
   * them: nobody has (RFC 7857 §2.2: such a mapping goes after four minutes, and lives on if anybody
   * speaks).
   */
  readonly reset: boolean;
}

export interface PlainEntry {
  readonly flow: PlainFlow;
  readonly state: PlainFlowState;
}

/**
 * "forget": keeps the flow, and believes its next packet's numbers. For whoever takes a VIP over, or gets
 * it back: meanwhile others forwarded.
 */
export type PlainVisit = "keep" | "remove" | "forget";

/** A VIP, and a port that it serves by TCP. */
export interface OfferedService {
  readonly vip: Address;
  readonly port: number;
}

/** What a connection becomes whose SYN the fast path forwards by itself, but for who the client is. */
export interface PlainOffer {
  readonly session: number;
  readonly endpoint: Address;
  readonly endpointPort: number;
  /** Reserved, of `source`. */
  readonly natPort: number;
  /** What the endpoint sees: the VIP, or another address. */
  readonly source: Address;
}

/**
 * A connection that was begun from an offer and is over gives way to its client's next SYN on the same ports
 * for so long after its last packet. Whoever clears it away waits for longer: what stands there then is not
 * another one's.
 */
export const GIVES_WAY_MS = 850;

/** What became of a connection that was begun from an offer. */
export interface PlainLife {
  /** `answered`: the endpoint's SYN-ACK has come, the client's answer to it has not. */
  readonly stage: "opening" | "answered" | "open";
  /**
   * Both FINs are acknowledged; or it was reset, and nobody has spoken since; or it gave way to another one.
   */
  readonly isOver: boolean;
  /** Of the direction that spoke last. */
  readonly lastSeenMs: number;
}

/**
 * A SYN to such a service that has no flow takes the next offer, the first one first; so does one of a
 * connection that was begun from an offer and is over, with a number behind all of its numbers unless it was
 * reset: of that one the direction up goes, and the direction down waits for `review`, in its `handshake`.
 * Both directions are
 * installed, awaiting its answer, `quiet`, not to `learn`; and it is forwarded. Where that does not go without
 * the slow path (no offer, no next hop, a segment size to be lowered, a source that is not allowed …) it is
 * punted as ever, and takes none. What was taken is found by its keys, and by sweeping; where the table was
 * full, or had such a flow, it is in neither place any more.
 */
export interface PlainOffers {
  /** Behind those that are there, of the VIP's family. How many were taken in: there is a limit. */
  offer(service: OfferedService, offers: readonly PlainOffer[]): number;
  /** How many nobody has taken as yet. */
  left(service: OfferedService): number;
  /**
   * From now on none is taken. Sessions that nobody took.
   */
  withdraw(service: OfferedService): readonly number[];
  /**
   * A client has opened a connection to a service, and is no made-up address: SYNs of its may take offers
   * from now on.
   */
  meet(service: OfferedService, client: Address): void;
}

export interface PlainFlows {
  /**
   * Inserts or replaces. Counters, edges, FIN and reset go on when the session is the same. false: the
   * table is full (a counter says so).
   */
  install(flow: PlainFlow): boolean;
  /** `session`: only the flow of this one; another has come by the same key. */
  remove(key: FlowKey, session?: number): void;
  read(key: FlowKey): PlainEntry | undefined;
  /** What `read` says of the state, for less. */
  stateOf(key: FlowKey): PlainFlowState | undefined;
  /**
   * One more packet of the flow, of so many bytes (whole IP packet), was seen just now, and went another way: in
   * fragments, for one. What the fast path counts at the same moment may be lost. No such flow: nothing.
   */
  refresh(key: FlowKey, bytes: number): void;
  /** Absent: SYNs are never forwarded without the slow path. */
  readonly offers?: PlainOffers;
  /**
   * Visits what became of offers that were taken, for less than two reads; undefined: there is no direction
   * down. "remove": what is there of it goes, once all were visited. Absent: as `offers`.
   */
  review?<Offer extends PlainOffer>(
    offers: readonly Offer[],
    visit: (offer: Offer, life: PlainLife | undefined) => "keep" | "remove",
  ): void;
  /**
   * As `FastPath.sweep`: at most 1,024 a call, undefined at the end. `isSpared`: asked about sessions of
   * `quiet` flows, which may be left out.
   */
  sweep(
    cursor: unknown,
    visit: (flow: PlainFlow, state: PlainFlowState) => PlainVisit,
    isSpared?: (session: number) => boolean,
  ): unknown;
}
