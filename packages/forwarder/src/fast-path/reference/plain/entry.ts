// A plain flow as the reference translator wants it, and what its packets teach.
import { PROTOCOL } from "@holdfast/sctp";
import { type PlainHeader, TCP_FLAG } from "../../../packet/plain/header.ts";
import { type PlainDeltas, plainDeltas } from "../../../packet/plain/rewrite.ts";
import { isNear, isWithin, windowOf } from "../../../packet/plain/window.ts";
import { bytesOf } from "../../../packet/translate.ts";
import type { PlainAwaiting, PlainFlow, PlainFlowState, TcpEdges } from "../../plain.ts";
import type { FlowKey } from "../../port.ts";
import { flowKeyBytes } from "../flow-entry.ts";

/** So many implausible packets in a row are believed: the connection went on elsewhere meanwhile. */
export const STRANGE_COUNT_MAX = 16;

export interface PlainFlowEntry {
  readonly flow: PlainFlow;
  readonly newSource: Uint8Array;
  readonly newDestination: Uint8Array;
  readonly deltas: PlainDeltas;
  /** 0 for UDP. */
  readonly shift: number;
  /** Key of the other direction. */
  readonly reverse: Uint8Array;
  handshake: boolean;
  opening: boolean;
  awaiting: PlainAwaiting | undefined;
  learn: boolean;
  windowScale: number;
  /** Of the largest possible window, bytes. */
  window: number;
  packets: number;
  bytes: number;
  lastSeenMs: number;
  edges: TcpEdges | undefined;
  /** Implausible packets since the last plausible one. */
  strangeCount: number;
  finEnd: number | undefined;
  reset: boolean;
}

export function plainFlowEntry(
  flow: PlainFlow,
  nowMs: number,
  replaced: PlainFlowEntry | undefined,
): PlainFlowEntry {
  const { key, tcp } = flow;
  if ((key.protocol === PROTOCOL.TCP) !== (tcp !== undefined))
    throw new Error("tcp is for TCP, and required there");
  const { awaiting } = flow;
  if (awaiting !== undefined && (tcp?.edges !== undefined || !flow.handshake))
    throw new Error("what awaits an answer is in its handshake, and knows no numbers");
  const windowScale = awaiting === undefined ? (tcp?.windowScale ?? 0) : 0;
  const [source, destination] = [bytesOf(key.source), bytesOf(key.destination)];
  const newSource = bytesOf(flow.newSource);
  const newDestination = bytesOf(flow.newDestination);
  for (const bytes of [destination, newSource, newDestination])
    if (bytes.length !== source.length)
      throw new Error(`flow mixes address families: ${key.source} to ${key.destination}`);
  const shift = tcp?.shift ?? 0;
  const { newSourcePort, newDestinationPort, direction } = flow;
  const rewrite = { newSource, newDestination, newSourcePort, newDestinationPort, shift, direction };
  const before = replaced?.flow.session === flow.session ? replaced : undefined;
  return {
    flow,
    newSource,
    newDestination,
    deltas: plainDeltas(source, destination, key.sourcePort, key.destinationPort, rewrite),
    shift,
    reverse: flowKeyBytes(reverseKey(flow)),
    handshake: flow.handshake,
    opening: flow.opening === true,
    awaiting,
    learn: flow.learn,
    windowScale,
    window: windowOf(windowScale),
    packets: before?.packets ?? 0,
    bytes: before?.bytes ?? 0,
    lastSeenMs: before?.lastSeenMs ?? nowMs,
    edges: awaiting === undefined ? (tcp?.edges ?? before?.edges) : undefined,
    strangeCount: before?.strangeCount ?? 0,
    finEnd: before?.finEnd,
    reset: before?.reset ?? false,
  };
}

/** What the other direction of a flow is known by. */
export function reverseKey(flow: PlainFlow): FlowKey {
  return {
    protocol: flow.key.protocol,
    source: flow.newDestination,
    destination: flow.newSource,
    sourcePort: flow.newDestinationPort,
    destinationPort: flow.newSourcePort,
  };
}

export function plainState(entry: PlainFlowEntry): PlainFlowState {
  return {
    packets: entry.packets,
    bytes: entry.bytes,
    lastSeenMs: entry.lastSeenMs,
    ...(entry.edges === undefined ? {} : { edges: entry.edges }),
    ...(entry.finEnd === undefined ? {} : { finEnd: entry.finEnd }),
    reset: entry.reset,
  };
}

/** Its sender's acknowledgment as the other end counts. */
function acknowledged(entry: PlainFlowEntry, header: PlainHeader): number {
  return (header.acknowledgment - (entry.flow.direction === "down" ? entry.shift : 0)) >>> 0;
}

/**
 * Of a FIN or RST: "counts" inside what the other direction acknowledged, "unproven" when it only continues
 * its own, "outside" otherwise (docs/decisions/0385).
 */
export function endClaim(
  entry: PlainFlowEntry,
  other: PlainFlowEntry | undefined,
  header: PlainHeader,
): "counts" | "unproven" | "outside" {
  const isFin = header.has(TCP_FLAG.FIN);
  const end = header.sequenceEnd;
  // Sent again.
  if (isFin && entry.finEnd === end) return "counts";
  const number = isFin ? (end - 1) >>> 0 : header.sequence;
  const theirs = other?.edges;
  if (theirs !== undefined && isWithin(number, theirs.acknowledged, entry.window)) return "counts";
  const continues = entry.edges === undefined || isNear(number, entry.edges.sequence, entry.window);
  if (theirs === undefined) return continues ? "counts" : "outside";
  return entry.edges !== undefined && continues ? "unproven" : "outside";
}

/**
 * Whether a packet ends the handshake: it acknowledges just the endpoint's first number, which nobody makes up
 * who does not see its answers, and what it says of its own is near.
 */
export function opensPlain(
  entry: PlainFlowEntry,
  other: PlainFlowEntry | undefined,
  header: PlainHeader,
): boolean {
  const { edges, flow } = entry;
  if (!entry.opening || edges === undefined || other?.flow.session !== flow.session) return false;
  if (header.has(TCP_FLAG.SYN | TCP_FLAG.FIN | TCP_FLAG.RST)) return false;
  const isNext = isNear(header.sequenceEnd, edges.sequence, entry.window);
  return isNext && header.acknowledgment === edges.acknowledged;
}

/** Learns from a packet that is forwarded. Returns whether it showed that its sender is who it was. */
export function notePlain(
  entry: PlainFlowEntry,
  other: PlainFlowEntry | undefined,
  header: PlainHeader,
  { claim, opens }: { readonly claim: ReturnType<typeof endClaim> | undefined; readonly opens: boolean },
  size: number,
  nowMs: number,
): boolean {
  if (opens) {
    entry.handshake = false;
    entry.opening = false;
    if (other !== undefined) other.handshake = false;
  }
  entry.packets += 1;
  entry.bytes += size;
  if (!header.isTcp) {
    entry.lastSeenMs = nowMs;
    return entry.flow.assured;
  }
  if (header.has(TCP_FLAG.RST)) {
    if (claim === "counts") {
      entry.reset = true;
      if (other !== undefined) other.reset = true;
    }
    return false;
  }
  const seen: TcpEdges = { sequence: header.sequenceEnd, acknowledged: acknowledged(entry, header) };
  const before = entry.edges;
  const plausible =
    before === undefined ||
    (isNear(seen.sequence, before.sequence, entry.window) &&
      isNear(seen.acknowledged, before.acknowledged, entry.window));
  if (!plausible && entry.strangeCount + 1 < STRANGE_COUNT_MAX) {
    entry.strangeCount += 1;
    return false;
  }
  entry.edges = seen;
  entry.strangeCount = 0;
  entry.reset = false;
  entry.lastSeenMs = nowMs;
  if (header.has(TCP_FLAG.FIN) && claim === "counts") entry.finEnd = seen.sequence;
  return plausible && before !== undefined;
}
