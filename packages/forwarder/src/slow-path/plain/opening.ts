// A connection whose endpoint has said nothing yet: it is here alone, and its SYN can go to another endpoint.
import { type Address, endpointKey, PROTOCOL_TCP } from "@holdfast/model";
import { IpHeader } from "@holdfast/sctp";
import { sourcePrefix } from "../../embryos/nursery.ts";
import type { PlainEntry } from "../../fast-path/plain.ts";
import type { FlowKey } from "../../fast-path/port.ts";
import { fastFlowsOf, isLivingFlow, type LocalFlow, placeOf } from "./flow.ts";
import { type PlainInput, readPlain } from "./input.ts";
import { findOpened } from "./opened.ts";
import { findPlainPlace } from "./place.ts";
import { end, entryOf, forward, installAwaiting, makeFlow, type Room, sideOf, uninstall } from "./room.ts";

/** Larger SYNs carry data, and are not kept: their client sends them again. */
const SYN_SIZE_MAX = 128;

const NOBODY: ReadonlySet<string> = new Set();

/** The SYN is kept until the endpoint answers. */
export function holdSyn(
  flow: LocalFlow,
  { bytes, checksumPartial, ip, fragmentSize }: PlainInput,
): undefined {
  const unreachable = flow.syn?.unreachable ?? NOBODY;
  const isSmall = ip.end <= SYN_SIZE_MAX && fragmentSize === undefined;
  flow.syn = isSmall ? { packet: bytes.slice(0, ip.end), checksumPartial, unreachable } : undefined;
}

/** … as it came. */
export function heldSyn({ syn }: LocalFlow): PlainInput | undefined {
  return syn && inputOf(syn.packet, syn.checksumPartial);
}

/** The look into the fast path has found it. */
function hasAnswer({ stage }: LocalFlow): boolean {
  return stage !== "opening";
}

/** What ICMP errors about a SYN come to. */
export interface Opening {
  /** The flow that its answer would come on. */
  readonly back: PlainEntry;
  /** The SYN's sequence number, which an error has to quote. */
  readonly sequence: number;
  /** Its endpoint cannot be reached: true when another one has the SYN now. */
  moves(): boolean;
}

/** `key`: of what comes back from the endpoint. */
export function openingAt(room: Room, key: FlowKey): Opening | undefined {
  const { protocol, source, sourcePort, destination, destinationPort } = key;
  if (protocol === PROTOCOL_TCP) room.offering.adoptAt(key);
  const flow = room.flows.byNatPort(protocol, source, sourcePort, destinationPort, destination);
  if (protocol !== PROTOCOL_TCP || !isLivingFlow(flow) || flow.stage !== "opening") return undefined;
  if (findOpened(room, flow) || hasAnswer(flow)) return undefined;
  // SYNs are numbered as the client numbers them.
  const [, down] = fastFlowsOf({ ...flow, record: { ...flow.record, shift: 0 } }, true);
  return {
    back: { flow: down, state: { packets: 0, bytes: 0, lastSeenMs: 0, reset: false } },
    sequence: flow.clientSequence,
    moves: () => {
      sideOf(room, flow.record).health.refused(placeOf(flow.record));
      return move(room, flow);
    },
  };
}

/** An endpoint was called down: SYNs to it that come again are to be seen here, and go elsewhere. */
export function watchOpenings(room: Room, endpoint: Address, port: number): undefined {
  // Those that are found open leave the list.
  for (const flow of [...room.flows.embryos()]) {
    const { record } = flow;
    if (record.protocol !== PROTOCOL_TCP || record.endpoint !== endpoint || record.endpointPort !== port)
      continue;
    if (flow.stage === "opening" && !findOpened(room, flow) && !hasAnswer(flow)) uninstall(room, flow);
  }
}

/** A SYN that comes again, whose endpoint was called down meanwhile. */
export function moveFromDown(room: Room, flow: LocalFlow): boolean {
  if (flow.stage !== "opening") return false;
  return !sideOf(room, flow.record).health.isUp(placeOf(flow.record)) && move(room, flow);
}

function move(room: Room, flow: LocalFlow): boolean {
  const { syn, record, clientSequence, synSize, clientScale } = flow;
  const entry = entryOf(room, record);
  if (syn === undefined || entry === undefined) return false;
  const unreachable = new Set([...syn.unreachable, endpointKey(placeOf(record))]);
  const place = findPlainPlace(room, sideOf(room, record), entry, record, unreachable);
  const input = heldSyn(flow);
  if (typeof place === "string" || input === undefined) return false;
  end(room, flow, "endpointDown", true);
  const { id: _, createdAtMs: __, activity: ___, end: ____, member: _____, ...facts } = record;
  const next = makeFlow(room, { ...facts, ...place }, "opening");
  Object.assign(next, { clientSequence, synSize, clientScale, syn: { ...syn, unreachable } });
  room.flows.embryo(next, sourcePrefix(record.client));
  room.core.counters.count("syns-moved");
  installAwaiting(room, next);
  forward(room, input, next, "up");
  return true;
}

function inputOf(packet: Uint8Array, checksumPartial: boolean): PlainInput | undefined {
  const ip = new IpHeader();
  if (ip.read(packet) !== undefined) return undefined;
  const about = { reason: "syn", interfaceIndex: 0, timeMs: 0, session: 0, copy: false } as const;
  const input = readPlain({ ...about, packet, checksumPartial }, ip, undefined);
  return typeof input === "string" ? undefined : input;
}
