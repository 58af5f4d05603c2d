// Services of UDP with `stateless: true`: a client's endpoint follows from its address alone, at every member
// alike, and nothing is remembered of it but the way back for the answers, in the fast path's table. No session,
// no record, nobody else is told (docs/decisions/0407).
import { emptyPlain, idleOf, PROTOCOL_UDP } from "@holdfast/model";
import { drop } from "../../core.ts";
import type { PlainEntry, PlainFlow, PlainFlowState, PlainVisit } from "../../fast-path/plain.ts";
import type { FlowKey } from "../../fast-path/port.ts";
import { keyedHash } from "../../nat-ports/allocator.ts";
import { translatePlain } from "../../packet/plain/translate.ts";
import { isAllowedSource, type ServiceEntry } from "../../services/registry.ts";
import { answerKeyOf, fastFlowsOf, STATELESS_HANDLE } from "./flow.ts";
import type { PlainInput } from "./input.ts";
import { findPlainPlace, type PlainPlace, type PlainSeeker, wantedPlace } from "./place.ts";
import { installAll, portsOf, type Room, type Side, sendOn } from "./room.ts";

/** What datagrams that came this way say of their flow is written down so often: it costs calls of the kernel. */
const REFRESH_PERIOD_MS = 1_000;
/** When all NAT ports are in use, one whose flow was silent for so long goes to the newcomer, … */
const SILENT_LEAST_MS = 1_000;
/** … if there is one among so many. */
const TRIAL_COUNT = 32;

const reverse = (flow: PlainFlow): FlowKey => answerKeyOf(PROTOCOL_UDP, flow);

/** A datagram of a client's that no flow in the fast path has taken, or that came in parts. */
export function statelessUp(room: Room, side: Side, input: PlainInput, entry: ServiceEntry): undefined {
  const { core } = room;
  if (input.copy) return;
  const seeker = { vip: input.destination, client: input.source, clientPort: input.header.sourcePort };
  const known = statelessFlow(room, keyOf(input));
  if (known !== undefined) return sendAlong(room, input, known);
  if (!core.isReady()) return drop(core, "not-ready", input.bytes);
  if (!isAllowedSource(entry, input.source)) return drop(core, "source-not-allowed", input.bytes);
  const found = findPlainPlace(room, side, entry, seeker);
  const place = found === "nat-ports-exhausted" ? takeSilent(room, side, entry, seeker) : found;
  if (typeof place === "string") return drop(core, place, input.bytes);
  const flows = flowsOf(entry, seeker, place);
  core.counters.count("exchanges-begun");
  // Without room the answer finds no way back, but the question is answered all the same by some servers.
  installAll(room, flows);
  sendVia(room, input, flows[0]);
}

/** An endpoint's datagram that came here all the same: in parts, or without a next hop. false: it is none. */
export function statelessDown(room: Room, input: PlainInput): boolean {
  const known = statelessFlow(room, keyOf(input));
  if (known === undefined) return false;
  if (!input.copy) sendAlong(room, input, known);
  return true;
}

/** A flow goes when it was silent, or when its client's datagrams belong elsewhere by now. */
export function sweepStateless(
  room: Room,
  flow: PlainFlow,
  state: PlainFlowState,
  nowMs: number,
): PlainVisit {
  const { plain } = room.core.fastPath;
  const other = plain.read(reverse(flow));
  if (flow.direction === "down") {
    if (other !== undefined) return "keep";
    release(room, flow, nowMs);
    return "remove";
  }
  if (isCurrent(room, flow, state, other)) return "keep";
  if (other !== undefined) {
    plain.remove(other.flow.key);
    release(room, other.flow, nowMs);
  }
  return "remove";
}

function isCurrent(room: Room, up: PlainFlow, state: PlainFlowState, down: PlainEntry | undefined): boolean {
  const { source: client, sourcePort: clientPort, destination: vip, destinationPort } = up.key;
  const side = room.sides.get(PROTOCOL_UDP);
  const entry = side?.registry.byVip(PROTOCOL_UDP, vip, destinationPort);
  if (side === undefined || entry?.service.stateless !== true || down === undefined) return false;
  const { flowS, oneShotS } = idleOf(entry.service);
  // The first datagram went by way of the slow path.
  const isLively = state.packets > 0 && down.state.packets > 0;
  const lastMs = Math.max(state.lastSeenMs, down.state.lastSeenMs);
  if (room.core.fastPath.nowMs() - lastMs >= 1_000 * (isLively ? flowS : oneShotS)) return false;
  const wanted = wantedPlace(room, side, entry, { vip, client, clientPort });
  return wanted?.address === up.newDestination && wanted.port === up.newDestinationPort;
}

function statelessFlow(room: Room, key: FlowKey): PlainEntry | undefined {
  const known = room.core.fastPath.plain.read(key);
  return known?.flow.session === STATELESS_HANDLE ? known : undefined;
}

function keyOf({ source, destination, header }: PlainInput): FlowKey {
  const { sourcePort, destinationPort } = header;
  return { protocol: PROTOCOL_UDP, source, destination, sourcePort, destinationPort };
}

function flowsOf({ service }: ServiceEntry, seeker: PlainSeeker, place: PlainPlace) {
  const facts = { protocol: PROTOCOL_UDP, serviceId: service.id, ...seeker, ...place };
  const record = { ...emptyPlain(""), ...facts };
  return fastFlowsOf({ record, handle: STATELESS_HANDLE }, false);
}

/** The NAT port of a flow that was silent for a second: whoever it was asks again if need be. */
function takeSilent(
  room: Room,
  side: Side,
  entry: ServiceEntry,
  seeker: PlainSeeker,
): PlainPlace | "nat-ports-exhausted" {
  const { core } = room;
  const { plain } = core.fastPath;
  const wanted = wantedPlace(room, side, entry, seeker);
  if (wanted === undefined) return "nat-ports-exhausted";
  const start = keyedHash(core.nextTurn(), `${seeker.client}|${seeker.clientPort}`);
  for (let i = 0; i < TRIAL_COUNT; i++) {
    const natPort = side.natPorts.ownPort(start + i);
    const key = {
      ...{ protocol: PROTOCOL_UDP, source: wanted.address, destination: seeker.vip },
      ...{ sourcePort: wanted.port, destinationPort: natPort },
    };
    const down = plain.read(key);
    if (down?.flow.session !== STATELESS_HANDLE) continue;
    const up = plain.read(reverse(down.flow));
    const lastMs = Math.max(down.state.lastSeenMs, up?.state.lastSeenMs ?? 0);
    if (core.fastPath.nowMs() - lastMs < SILENT_LEAST_MS) continue;
    if (up !== undefined) plain.remove(up.flow.key);
    plain.remove(key);
    return { endpoint: wanted.address, endpointPort: wanted.port, natPort };
  }
  return "nat-ports-exhausted";
}

function release(room: Room, down: PlainFlow, nowMs: number): undefined {
  const { source, sourcePort, destinationPort } = down.key;
  portsOf(room, down)?.release(source, sourcePort, destinationPort, "verified", nowMs);
}

/** On a flow that was there: it lives by datagrams that come in parts as by others. */
function sendAlong(room: Room, input: PlainInput, { flow, state }: PlainEntry): undefined {
  const { fastPath } = room.core;
  if (state.packets === 0 || fastPath.nowMs() - state.lastSeenMs >= REFRESH_PERIOD_MS)
    fastPath.plain.refresh(flow.key, input.ip.end);
  sendVia(room, input, flow);
}

function sendVia(room: Room, input: PlainInput, flow: PlainFlow): undefined {
  const { bytes, ip, header, checksumPartial } = input;
  sendOn(room, input, translatePlain(bytes, ip, header, { ...flow, shift: 0 }, checksumPartial));
}
