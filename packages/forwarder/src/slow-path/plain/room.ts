// The room of TCP and UDP: their services, NAT ports and health, one of each a protocol, and the flows of
// both.
import {
  type Address,
  type EndCause,
  type Endpoint,
  isPlainEnded,
  joinPlain,
  MARK,
  PLAIN_SESSIONS,
  type PlainNews,
  type PlainRecord,
  type Protocol,
  plainEnd,
  REPLICATE_DEFAULT,
  type SessionView,
  sessionIdFromBytes,
} from "@holdfast/model";
import { type Core, drop } from "../../core.ts";
import type { PlainFlow } from "../../fast-path/plain.ts";
import { fragmentPacket } from "../../fragments/fragmentation.ts";
import type { EndpointHealth } from "../../health/endpoint-health.ts";
import type { NatPorts, ReleaseReason } from "../../nat-ports/allocator.ts";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import type { ServiceEntry, ServiceRegistry } from "../../services/registry.ts";
import { clampToWays } from "./clamp.ts";
import {
  awaitingOf,
  fastFlowsOf,
  isHandshake,
  isLivingFlow,
  keyOf,
  type LocalFlow,
  newFlow,
  placeKeyOf,
  type Stage,
} from "./flow.ts";
import type { LocalFlows } from "./flows.ts";
import type { PlainHeld } from "./held.ts";
import { type PlainInput, translateInput } from "./input.ts";
import type { Offering } from "./offers.ts";
import type { YoungFlows } from "./young.ts";

/** What is one protocol's. */
export interface Side {
  readonly protocol: Protocol;
  readonly registry: ServiceRegistry;
  readonly natPorts: NatPorts;
  /** By source address beside the VIPs; see `portsFrom`. */
  readonly sourcePorts: Map<Address, NatPorts>;
  readonly makeNatPorts: () => NatPorts;
  readonly health: EndpointHealth;
  /** Living flows by endpoint. */
  readonly counts: Map<string, number>;
}

export interface Room {
  readonly core: Core;
  readonly sides: ReadonlyMap<Protocol, Side>;
  readonly flows: LocalFlows;
  /** Those that the others may have to hear of soon. */
  readonly young: YoungFlows;
  /** What the members share of them. */
  readonly view: SessionView<PlainRecord>;
  readonly held: PlainHeld;
  /** Connections that the fast path begins by itself. */
  readonly offering: Offering;
  /** Whether every member can read such records. */
  readonly mayReplicate: () => boolean;
  /**
   * Whether another member may know flows of this VIP that nobody else does yet: it came here a moment ago,
   * or is not here.
   */
  readonly mayBeElsewhere: (vip: Address) => boolean;
  /** A flow begins, changes or ends. */
  readonly changed: (previous: PlainRecord | undefined, record: PlainRecord | undefined) => void;
}

export function sideOf(room: Room, { protocol }: Pick<PlainRecord, "protocol">): Side {
  return room.sides.get(protocol) as Side;
}

/** NAT ports of what an endpoint sees: all VIPs have them in common, every other source address its own. */
export function portsFrom(side: Side, source: Address | undefined): NatPorts {
  if (source === undefined) return side.natPorts;
  let ports = side.sourcePorts.get(source);
  if (ports === undefined) {
    ports = side.makeNatPorts();
    side.sourcePorts.set(source, ports);
  }
  return ports;
}

/**
 * … and of a flow of the fast path's. `down`: what comes from the endpoint, to the VIP or to another address that
 * it was talked to from. undefined: nothing of its protocol is served.
 */
export function portsOf(room: Room, { key, newSource: vip }: PlainFlow): NatPorts | undefined {
  const side = room.sides.get(key.protocol as Protocol);
  return side && portsFrom(side, key.destination === vip ? undefined : key.destination);
}

export function entryOf(room: Room, record: PlainRecord): ServiceEntry | undefined {
  return sideOf(room, record).registry.get(record.serviceId);
}

/** A flow of this member's own, that nobody else knows yet. */
export function makeFlow(
  room: Room,
  facts: Omit<PlainRecord, "id" | "createdAtMs" | "activity" | "end" | "member">,
  stage: Stage,
  found: { readonly handle?: number; readonly member?: number; readonly bornMs?: number } = {},
): LocalFlow {
  const { core, flows } = room;
  const nowMs = core.clock.nowMs();
  const { handle = flows.freeHandle(), member = core.memberNumber, bornMs = nowMs } = found;
  const record: PlainRecord = {
    id: sessionIdFromBytes(core.random.bytes(16)),
    protocol: facts.protocol,
    serviceId: facts.serviceId,
    clientPort: facts.clientPort,
    createdAtMs: Math.round(core.clock.wallMs() - (nowMs - bornMs)),
    activity: 0,
    end: undefined,
    vip: facts.vip,
    client: facts.client,
    endpoint: facts.endpoint,
    endpointPort: facts.endpointPort,
    natPort: facts.natPort,
    member,
    windowScale: facts.windowScale,
    shift: facts.shift,
    marks: facts.marks,
    ...(facts.source !== undefined && { source: facts.source }),
  };
  const flow = newFlow(record, handle, stage, bornMs);
  flows.add(flow);
  room.young.add(flow, entryOf(room, record)?.service);
  count(room, record, 1);
  room.changed(undefined, record);
  return flow;
}

/** What this member has seen of a flow, and others hear of when they know it. */
export function note(room: Room, flow: LocalFlow, news: PlainNews, urgent = false): undefined {
  const { id } = flow.record;
  if (flow.isPublished) room.view.apply({ id, ...news }, { urgent });
  else settle(room, flow, joinPlain(flow.record, { id, ...news }));
}

/** The record is another one now, whoever said so. */
export function settle(room: Room, flow: LocalFlow, record: PlainRecord): undefined {
  const before = flow.record;
  if (record === before) return;
  flow.record = record;
  const nowMs = room.core.clock.nowMs();
  if (record.activity !== before.activity) flow.activityAtMs = nowMs;
  if ((record.marks & MARK.introduced) !== 0 && flow.introduction !== undefined) {
    flow.introduction = undefined;
    if (flow.isInstalled) install(room, flow, false);
  }
  if (flow.stage !== "open" && !isHandshake(record)) {
    flow.stage = "open";
    flow.syn = undefined;
    room.flows.grown(flow);
    install(room, flow, false);
  }
  const [was, is] = [isPlainEnded(before), isPlainEnded(record)];
  if (is && !was) {
    flow.endedMs = nowMs;
    // The others' table keeps it a while; a quota would count it for as long, and evict it again and again.
    room.flows.grown(flow);
    room.core.counters.count("sessions-ended");
    count(room, record, -1);
    uninstall(room, flow);
    release(room, flow, reasonOf(flow, record));
  } else if (was && !is) {
    flow.endedMs = undefined;
    count(room, record, 1);
    reserve(room, record);
    install(room, flow, false);
  }
  room.changed(before, record);
}

/** `absorbing`: it was witnessed, or an operator wants it. */
export function end(room: Room, flow: LocalFlow, cause: EndCause, absorbing: boolean): undefined {
  if (!isLivingFlow(flow)) return;
  note(room, flow, { end: plainEnd(flow.record, cause, absorbing) }, absorbing);
  if (!flow.isPublished) forget(room, flow);
}

/** The flow is gone from here; late packets of it are nobody's. */
export function forget(room: Room, flow: LocalFlow): undefined {
  uninstall(room, flow);
  if (isLivingFlow(flow)) {
    count(room, flow.record, -1);
    release(room, flow, "unseen");
  }
  room.flows.delete(flow);
  room.changed(flow.record, undefined);
}

/** From now on the others know it. */
export function publish(room: Room, flow: LocalFlow, urgent = false): undefined {
  const { record } = flow;
  const policy = entryOf(room, record)?.service.replicate ?? REPLICATE_DEFAULT;
  if (flow.isPublished || policy === "never" || !room.mayReplicate()) return;
  learnScale(room, flow);
  // What the ends agree on passes elsewhere.
  if (flow.stage === "opening") flow.record = { ...flow.record, windowScale: SCALE_UNKNOWN };
  const wasQuiet = isQuiet(room, flow);
  flow.isPublished = true;
  room.view.apply(flow.record, { urgent });
  // While a challenge is out, or the fast path ends a handshake, what stands there stays.
  if (wasQuiet && flow.isInstalled && flow.stage === "open" && flow.challenge === undefined)
    install(room, flow, false);
}

/**
 * The others are told of an end as soon as it is seen. Of a connection that they do not know, mostly a short
 * one, the sweep finds it.
 */
function isQuiet(room: Room, flow: LocalFlow): boolean {
  return !flow.isPublished && entryOf(room, flow.record)?.service.replicate !== "always";
}

/** `handshake`: every packet is to come here. So it is while the endpoint is told who the client is. */
export function install(
  room: Room,
  flow: LocalFlow,
  handshake: boolean,
  numbers?: Parameters<typeof fastFlowsOf>[2],
): undefined {
  if (!room.flows.isFirst(flow) || entryOf(room, flow.record) === undefined) return;
  learnScale(room, flow);
  flow.isInstalled = true;
  const told = { ...numbers, quiet: isQuiet(room, flow) };
  installAll(room, fastFlowsOf(flow, handshake || flow.introduction !== undefined, told));
}

/**
 * From the client's SYN on: the fast path forwards the endpoint's SYN-ACK, and takes its numbers. Where a PROXY
 * header is to be sent the slow path sees it all.
 */
export function installAwaiting(room: Room, flow: LocalFlow): undefined {
  if (flow.record.shift === 0) install(room, flow, true, { awaiting: awaitingOf(flow) });
}

/** Larger than any window that both ends agreed on: what is not known. */
const SCALE_UNKNOWN = 14;

/** What the ends agreed on stands in the fast path alone when the SYN-ACK went through it. */
export function learnScale(room: Room, flow: LocalFlow, known?: PlainFlow): undefined {
  if (flow.isScaled || flow.stage === "opening") return;
  const fast = known ?? room.core.fastPath.plain.read(keyOf(flow.record, "up"))?.flow;
  const isIts = fast?.session === flow.handle && fast.awaiting === undefined;
  flow.isScaled = true;
  flow.record = { ...flow.record, windowScale: isIts ? (fast.tcp?.windowScale ?? 0) : SCALE_UNKNOWN };
}

/** A full table is a normal event: the packets of such a flow are punted, and forwarded by the slow path. */
export function installAll({ core }: Pick<Room, "core">, flows: readonly PlainFlow[]): undefined {
  for (const flow of flows) {
    core.counters.count("flow-installs");
    if (!core.fastPath.plain.install(flow)) core.counters.count("flow-table-full");
  }
}

/** Its packets come to the slow path from now on. */
export function uninstall(room: Room, flow: LocalFlow): undefined {
  if (!flow.isInstalled) return;
  flow.isInstalled = false;
  const { plain } = room.core.fastPath;
  for (const direction of ["up", "down"] as const) plain.remove(keyOf(flow.record, direction), flow.handle);
}

/**
 * What a packet's numbers are shifted by: a PROXY header is sent once the connection is open, and first sequence
 * numbers stay what they are.
 */
function shiftOf({ stage, record }: LocalFlow, { header }: PlainInput): number {
  return stage !== "open" || header.has(TCP_FLAG.SYN) ? 0 : record.shift;
}

/** The packet as it goes on; what its flow is known to have sent is counted. */
export function forward(
  room: Room,
  input: PlainInput,
  flow: LocalFlow,
  direction: "up" | "down",
  shift = shiftOf(flow, input),
): undefined {
  flow.lastSeenMs = room.core.clock.nowMs();
  if (direction === "up") flow.upCount += 1;
  else flow.downCount += 1;
  const bytes = translateInput(input, flow, direction, shift);
  clampToWays(room.core, input, flow, bytes);
  sendOn(room, input, bytes);
}

/** `bytes`: the packet as it goes on; in fragments when it came in some, or is too long. */
export function sendOn(
  { core }: Pick<Room, "core">,
  { fragmentSize }: PlainInput,
  bytes: Uint8Array,
): undefined {
  const parts =
    fragmentSize !== undefined && bytes.length > fragmentSize
      ? fragmentPacket(bytes, fragmentSize, core.random.uint32())
      : [bytes];
  for (const part of parts) if (!core.fastPath.send(part)) return drop(core, "send-failed", part);
  core.counters.count("forwarded");
}

export function reserve(room: Room, record: PlainRecord): undefined {
  const { endpoint, endpointPort, natPort, source } = record;
  portsFrom(sideOf(room, record), source).reserve(endpoint, endpointPort, natPort);
}

function release(room: Room, flow: LocalFlow, reason: ReleaseReason): undefined {
  const { endpoint, endpointPort, natPort, source } = flow.record;
  if (flow.hands) return;
  if (room.flows.sharesPort(flow)) return;
  portsFrom(sideOf(room, flow.record), source).release(
    endpoint,
    endpointPort,
    natPort,
    reason,
    room.core.clock.nowMs(),
  );
}

/**
 * Of what was closed, and of datagrams, nothing comes any more; what was silent may speak at its endpoint
 * still.
 */
function reasonOf(flow: LocalFlow, { end: last, protocol }: PlainRecord): ReleaseReason {
  if (last?.cause === "handshakeTimeout") return "evicted";
  if (last?.absorbing === true || flow.stage !== "open") return "verified";
  return PLAIN_SESSIONS.protocols.indexOf(protocol) === 0 ? "unseen" : "verified";
}

export function count(room: Room, record: PlainRecord, by: 1 | -1): undefined {
  countAt(sideOf(room, record), record, by);
}

export function countAt(
  { counts }: Side,
  toward: Pick<PlainRecord, "endpoint" | "endpointPort">,
  by: 1 | -1,
): undefined {
  const key = placeKeyOf(toward);
  const next = (counts.get(key) ?? 0) + by;
  if (next <= 0) counts.delete(key);
  else counts.set(key, next);
}

/** Flows of an endpoint's, to whichever of its addresses. */
export function livingAt(side: Side, endpoint: Pick<Endpoint, "address" | "port">): number {
  let sum = 0;
  for (const key of side.registry.configuredKeysOf(endpoint)) sum += side.counts.get(key) ?? 0;
  return sum;
}
