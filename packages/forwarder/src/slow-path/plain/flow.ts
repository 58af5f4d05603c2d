// A TCP connection or an exchange of datagrams as this member keeps it: the record, and beside it what is of
// no use to the others.
import {
  type Address,
  endpointKey,
  idleOf,
  isPlainEnded,
  MARK,
  type PlainRecord,
  PROTOCOL_TCP,
  type Service,
  sourceOf,
} from "@holdfast/model";
import type { PlainAwaiting, PlainFlow, PlainFlowState, PlainTcp, TcpEdges } from "../../fast-path/plain.ts";
import type { FlowKey } from "../../fast-path/port.ts";
import { SYN_WINDOW } from "../../packet/plain/window.ts";
import type { Syn } from "./syn-data.ts";

/** Of all flows that are no session's (stateless.ts). */
export const STATELESS_HANDLE = 0xffff_ffff;

/** `opening`: a SYN; `answered`: and its SYN-ACK; `open`: from the ACK, or a first datagram, on. */
export type Stage = "opening" | "answered" | "open";

export interface HeldSyn {
  /** Whole IP packet as it came. */
  readonly packet: Uint8Array;
  readonly checksumPartial: boolean;
  /** Endpoints that cannot be reached, as `placeKeyOf` names them. */
  readonly unreachable: ReadonlySet<string>;
}

/** PROXY protocol: while the endpoint has not acknowledged the header. */
export interface Introduction {
  /**
   * The flow's first sequence numbers are known: this member saw the handshake, or the endpoint said it again.
   */
  isNumbered: boolean;
  /** As it was sent last; undefined: not from here. */
  segment: Uint8Array | undefined;
  sentMs: number;
}

export interface LocalFlow {
  record: PlainRecord;
  /** What the fast path names it by. */
  readonly handle: number;
  stage: Stage;
  /** Others know it, or are about to. */
  isPublished: boolean;
  isInstalled: boolean;
  readonly bornMs: number;
  /** When a packet was last seen here, and when another member last said that one was. */
  lastSeenMs: number;
  activityAtMs: number;
  endedMs: number | undefined;
  /** The record's window scale is what both ends agreed on. false: the fast path knows it (see `learnScale`). */
  isScaled: boolean;
  /** Of the handshake: first sequence numbers, and window scales; undefined: not offered. */
  clientSequence: number;
  /**
   * Bytes that came with the client's SYN at most, which the endpoint may acknowledge with it. Of one that
   * was not seen here: as many as come before a window is known.
   */
  synSize: number;
  endpointSequence: number;
  clientScale: number | undefined;
  endpointScale: number | undefined;
  /** Numbers behind FINs that went by way of the slow path. */
  finUp: number | undefined;
  finDown: number | undefined;
  /** Whose reset came last. */
  resetBy: "client" | "endpoint" | undefined;
  /** Datagrams that went by way of the slow path. */
  upCount: number;
  downCount: number;
  /** Until the endpoint answers: the client's SYN, so that another endpoint can have it, and who cannot. */
  syn: HeldSyn | undefined;
  /**
   * Before the endpoint's SYN-ACK: what it acknowledged instead, of an earlier connection of the NAT port's. The
   * client resets that with just this number (RFC 9293 §3.10.7.3).
   */
  leftover: number | undefined;
  /** A SYN into the open connection was let through, and when. */
  challenge: (Syn & { readonly sinceMs: number }) | undefined;
  /** What the fast path said last. */
  up: PlainFlowState | undefined;
  down: PlainFlowState | undefined;
  /** PROXY protocol: the endpoint may not have its header yet. */
  introduction: Introduction | undefined;
  /** Directions whose numbers are to be learned anew, as others may have forwarded meanwhile. */
  forgets: number;
  /** Its NAT port goes to another flow, and is not given back. */
  hands: boolean;
  /** Quotas that an embryo takes room in; undefined: it is none. */
  quota: { readonly prefix: string } | undefined;
  older: LocalFlow | undefined;
  younger: LocalFlow | undefined;
}

/** Of a new flow. `isNumbered`: its first sequence numbers are about to be known. */
function introductionOf(
  { shift, marks }: Pick<PlainRecord, "shift" | "marks">,
  isNumbered: boolean,
): Introduction | undefined {
  if (shift === 0 || (marks & MARK.introduced) !== 0) return undefined;
  return { isNumbered, segment: undefined, sentMs: Number.NEGATIVE_INFINITY };
}

export const FORGET_UP = 1;
export const FORGET_DOWN = 2;

export function newFlow(record: PlainRecord, handle: number, stage: Stage, nowMs: number): LocalFlow {
  // One literal: each connection makes one, and pieces put together cost a multiple.
  return {
    record,
    handle,
    stage,
    isPublished: false,
    isInstalled: false,
    bornMs: nowMs,
    lastSeenMs: nowMs,
    activityAtMs: nowMs,
    endedMs: undefined,
    isScaled: stage === "open",
    clientSequence: 0,
    // Before a PROXY header nothing comes.
    synSize: record.shift === 0 ? SYN_WINDOW : 0,
    endpointSequence: 0,
    clientScale: undefined,
    endpointScale: undefined,
    finUp: undefined,
    finDown: undefined,
    resetBy: undefined,
    upCount: 0,
    downCount: 0,
    syn: undefined,
    leftover: undefined,
    challenge: undefined,
    up: undefined,
    down: undefined,
    introduction: introductionOf(record, stage !== "open"),
    forgets: 0,
    hands: false,
    quota: undefined,
    older: undefined,
    younger: undefined,
  };
}

/** A connection whose handshake no member has seen to its end. */
export function isHandshake({ protocol, marks }: Pick<PlainRecord, "protocol" | "marks">): boolean {
  return protocol === PROTOCOL_TCP && (marks & MARK.answered) === 0;
}

/** The service's port, which its id ends with. */
export function servicePortOf({ serviceId }: Pick<PlainRecord, "serviceId">): number {
  return Number(serviceId.slice(serviceId.lastIndexOf(":") + 1));
}

type Toward = Pick<PlainRecord, "endpoint" | "endpointPort">;

export function placeOf({ endpoint, endpointPort }: Toward): { address: Address; port: number } {
  return { address: endpoint, port: endpointPort };
}

export function placeKeyOf(toward: Toward): string {
  return endpointKey(placeOf(toward));
}

type Leaving = Pick<PlainFlow, "newSource" | "newDestination" | "newSourcePort" | "newDestinationPort">;

/** Addresses and ports of a packet as it leaves in a direction. */
export function leavingOf(record: PlainRecord, direction: "up" | "down"): Leaving {
  const { client, clientPort, vip, endpoint, endpointPort, natPort } = record;
  return direction === "up"
    ? {
        ...{ newSource: sourceOf(record), newDestination: endpoint },
        ...{ newSourcePort: natPort, newDestinationPort: endpointPort },
      }
    : {
        ...{ newSource: vip, newDestination: client },
        ...{ newSourcePort: servicePortOf(record), newDestinationPort: clientPort },
      };
}

/** The key of what answers packets that leave so. */
export function answerKeyOf(protocol: number, leaving: Leaving): FlowKey {
  const { newSource, newDestination, newSourcePort, newDestinationPort } = leaving;
  return {
    ...{ protocol, source: newDestination, destination: newSource },
    ...{ sourcePort: newDestinationPort, destinationPort: newSourcePort },
  };
}

/** The key of a record's packets as they come in a direction: what leaves in the other one is answered so. */
export function keyOf(record: PlainRecord, direction: "up" | "down"): FlowKey {
  return answerKeyOf(record.protocol, leavingOf(record, direction === "up" ? "down" : "up"));
}

/** What of a flow the fast path is told beside its record; of a handshake, so that it can go on by itself. */
export interface Told {
  /** Of TCP: copies of what ends it are of no use. */
  readonly quiet?: boolean;
  /** Both ends' first numbers. */
  readonly edges?: { readonly up: TcpEdges; readonly down: TcpEdges };
  /** The client's alone: the endpoint's SYN-ACK is awaited. */
  readonly awaiting?: PlainAwaiting;
}

/** What the endpoint's SYN-ACK is to acknowledge. */
export function awaitingOf({
  clientSequence,
  clientScale,
}: Pick<LocalFlow, "clientSequence" | "clientScale">): PlainAwaiting {
  return { sequence: (clientSequence + 1) >>> 0, scale: clientScale };
}

/** The two directions as the fast path has them. */
export function fastFlowsOf(
  { record, handle }: Pick<LocalFlow, "record" | "handle">,
  handshake: boolean,
  { edges, awaiting, quiet }: Told = {},
): readonly [up: PlainFlow, down: PlainFlow] {
  const { windowScale, shift, protocol, client, clientPort, vip, endpoint, endpointPort, natPort } = record;
  const isTcp = protocol === PROTOCOL_TCP;
  const source = sourceOf(record);
  const port = servicePortOf(record);
  // A PROXY header takes the place of the client's acknowledgment, which the slow path sends.
  const silence = isTcp && quiet === true && { quiet };
  const opens = isTcp && handshake && edges !== undefined && shift === 0;
  const up: PlainFlow = {
    key: { protocol, source: client, destination: vip, sourcePort: clientPort, destinationPort: port },
    newSource: source,
    newDestination: endpoint,
    newSourcePort: natPort,
    newDestinationPort: endpointPort,
    direction: "up",
    session: handle,
    handshake,
    ...(opens && { opening: true }),
    learn: opens || awaiting !== undefined,
    assured: (record.marks & (isTcp ? MARK.answered : MARK.lively)) !== 0,
    ...(isTcp && { tcp: tcpOf(windowScale, shift, edges?.up) }),
    ...(awaiting !== undefined && { awaiting }),
    ...silence,
  };
  const down: PlainFlow = {
    key: {
      protocol,
      source: endpoint,
      destination: source,
      sourcePort: endpointPort,
      destinationPort: natPort,
    },
    newSource: vip,
    newDestination: client,
    newSourcePort: port,
    newDestinationPort: clientPort,
    direction: "down",
    session: handle,
    handshake,
    learn: false,
    assured: true,
    ...(isTcp && { tcp: tcpOf(windowScale, shift, edges?.down) }),
    ...(awaiting !== undefined && { awaiting }),
    ...silence,
  };
  return [up, down];
}

function tcpOf(windowScale: number, shift: number, edges: TcpEdges | undefined): PlainTcp {
  return edges === undefined ? { windowScale, shift } : { windowScale, shift, edges };
}

/** Both first numbers, as the direction up has them after the endpoint's SYN-ACK. */
export function takeNumbers(flow: LocalFlow, { sequence, acknowledged }: TcpEdges): undefined {
  flow.clientSequence = (sequence - 1) >>> 0;
  flow.endpointSequence = (acknowledged - 1) >>> 0;
}

/** Marks of those FINs that the other side has acknowledged. */
export function finMarksOf(
  up: PlainFlowState | undefined,
  down: PlainFlowState | undefined,
  finUp = up?.finEnd,
  finDown = down?.finEnd,
): number {
  const isUpOver = finUp !== undefined && down?.edges?.acknowledged === finUp;
  const isDownOver = finDown !== undefined && up?.edges?.acknowledged === finDown;
  return (isUpOver ? MARK.finUp : 0) | (isDownOver ? MARK.finDown : 0);
}

export function isFinished(marks: number): boolean {
  return (marks & MARK.finUp) !== 0 && (marks & MARK.finDown) !== 0;
}

/** A reset passed, and nobody has spoken since. */
export function wasReset(up: PlainFlowState | undefined, down: PlainFlowState | undefined): boolean {
  return up?.reset === true && down?.reset === true;
}

/** What can be told of a flow's life from what its two directions say. */
export interface Judgement {
  /** To be joined into the record's. */
  readonly marks: number;
  /** Resets passed, and nobody has spoken since (RFC 7857 §2.2). */
  readonly isReset: boolean;
  /** Nothing more is expected: both FINs are acknowledged, or it was reset. */
  readonly isClosing: boolean;
  /** Without a packet for so long it is over, ms. */
  readonly idleMs: number;
}

/**
 * RFC 6146 §3.5.2 and RFC 7857 §2: an open connection, and one that is half closed, may be silent for the
 * established time; one that opens, has both FINs, or was reset, for the transitory one.
 */
export function judge(flow: LocalFlow, service: Pick<Service, "idle"> | undefined): Judgement {
  const times = idleOf(service ?? {});
  const { record } = flow;
  if (record.protocol !== PROTOCOL_TCP) return judgeDatagrams(flow, times);
  const { up, down } = flow;
  const marks = record.marks | finMarksOf(up, down, up?.finEnd ?? flow.finUp, down?.finEnd ?? flow.finDown);
  const isReset = wasReset(up, down);
  const isClosing = isReset || isFinished(marks);
  const isTransitory = isClosing || flow.stage !== "open" || isHandshake(record);
  return {
    marks,
    isReset,
    isClosing,
    idleMs: 1_000 * (isTransitory ? times.transitoryS : times.establishedS),
  };
}

function judgeDatagrams(flow: LocalFlow, times: ReturnType<typeof idleOf>): Judgement {
  const { up, down, record } = flow;
  const upCount = flow.upCount + (up?.packets ?? 0);
  const downCount = flow.downCount + (down?.packets ?? 0);
  let { marks } = record;
  if (downCount > 0) marks |= MARK.answered;
  // A question and its answer are over with it.
  if (downCount > 0 && upCount > 1) marks |= MARK.lively;
  const isLively = (marks & MARK.lively) !== 0;
  return {
    marks,
    isReset: false,
    isClosing: false,
    idleMs: 1_000 * (isLively ? times.flowS : times.oneShotS),
  };
}

/** There is one, and it has not ended. */
export function isLivingFlow<F extends LocalFlow | undefined>(flow: F): flow is F & LocalFlow {
  return flow !== undefined && !isPlainEnded(flow.record);
}
