// TCP packets that the fast path would not decide: what begins a connection, packets of connections that have no
// flow, and copies of what ends one. What a SYN makes has quotas, in the fast path's table, too.
import { MARK, PROTOCOL_TCP } from "@holdfast/model";
import { drop } from "../../core.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import { type PlainHeader, TCP_FLAG } from "../../packet/plain/header.ts";
import { windowScaleOf } from "../../packet/plain/options.ts";
import { isWithin, SYN_WINDOW, windowOf } from "../../packet/plain/window.ts";
import { isAllowedSource, type ServiceEntry } from "../../services/registry.ts";
import { isHandshake, isLivingFlow, judge, keyOf, type LocalFlow } from "./flow.ts";
import { type PlainInput, questionOf } from "./input.ts";
import {
  acknowledgesHeader,
  beginsAnew,
  introduce,
  introduceAgain,
  proxyShiftOf,
  wantsHeadersPlace,
} from "./introduction.ts";
import { findOpened, isStuck, opened } from "./opened.ts";
import { heldSyn, holdSyn, moveFromDown } from "./opening.ts";
import { findPlainPlace } from "./place.ts";
import { refuseUnknown } from "./resets.ts";
import {
  end,
  entryOf,
  forward,
  install,
  installAwaiting,
  makeFlow,
  note,
  publish,
  type Room,
  type Side,
} from "./room.ts";
import { acknowledgesSyn, type Syn, synOf, takeSyn, withoutSynData } from "./syn-data.ts";

/** SYNs into an open connection that are let through, so often. */
const CHALLENGE_PERIOD_MS = 1_000;

export function tcpUp(room: Room, side: Side, input: PlainInput, entry: ServiceEntry): undefined {
  const { header, source, destination } = input;
  const flow = room.flows.byClient(entry.service.id, destination, source, header.sourcePort);
  if (flow !== undefined) catchUp(room, input, flow);
  if (header.has(TCP_FLAG.SYN) && !header.has(TCP_FLAG.ACK)) return synUp(room, side, input, entry, flow);
  if (!isLivingFlow(flow)) return unknownUp(room, input, entry);
  if (input.copy) return copied(room, flow, input, "client");
  if (flow.stage === "open") return openUp(room, input, flow);
  if (header.has(TCP_FLAG.SYN)) return synAckUp(room, input, flow);
  if (header.has(TCP_FLAG.RST)) {
    if (flow.stage === "opening" && header.sequence === flow.leftover)
      return resetLeftover(room, input, flow);
    // RFC 9293 §3.10.7.3: before it is open, the client alone knows its number.
    if (!follows(header.sequence, flow.clientSequence)) return drop(room.core, "wrong-phase", input.bytes);
    forward(room, input, flow, "up");
    return end(room, flow, "resetByClient", true);
  }
  const isAnswer = flow.stage === "answered" && follows(header.acknowledgment, flow.endpointSequence);
  if (!isAnswer || wantsHeadersPlace(flow, header)) {
    // An old duplicate: the endpoint answers with a reset, which the client understands.
    return flow.stage === "opening" && flow.introduction === undefined
      ? forward(room, input, flow, "up")
      : drop(room.core, "wrong-phase", input.bytes);
  }
  opened(room, flow);
  install(room, flow, false);
  if (header.has(TCP_FLAG.FIN)) flow.finUp = header.sequenceEnd;
  forwardIntroduced(room, input, flow);
}

/** The endpoint is told first who the client is; an acknowledgment alone is in what tells it. */
function forwardIntroduced(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header } = input;
  if (flow.introduction === undefined) return forward(room, input, flow, "up");
  introduce(room, flow, input);
  if (header.sequenceEnd === header.sequence && !header.has(TCP_FLAG.RST)) return;
  forward(room, input, flow, "up");
}

/** From the endpoint of `flow`. */
export function tcpDown(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header } = input;
  catchUp(room, input, flow);
  if (input.copy) return copied(room, flow, input, "endpoint");
  if (header.has(TCP_FLAG.SYN)) {
    if (flow.stage === "open") return synIntoOpenDown(room, input, flow);
    return header.has(TCP_FLAG.ACK) ? synAckDown(room, input, flow) : synDown(room, input, flow);
  }
  if (header.has(TCP_FLAG.RST)) return resetDown(room, input, flow);
  if (flow.introduction !== undefined && flow.stage === "open") introduced(room, input, flow);
  if (flow.stage === "open") {
    noteAcknowledged(room, header, flow);
    // It answered a SYN into the open connection: it knows the connection, which goes on.
    if (flow.challenge !== undefined) install(room, flow, false);
    else if (!flow.isInstalled || hangs(room, input, flow, "down")) install(room, flow, false);
    flow.challenge = undefined;
  }
  if (header.has(TCP_FLAG.FIN)) flow.finDown = header.sequenceEnd;
  if (flow.stage === "opening" && header.has(TCP_FLAG.ACK)) flow.leftover = header.acknowledgment;
  forward(room, input, flow, "down");
}

/**
 * The endpoint has an old connection of the NAT port's, in TIME-WAIT or half open, and answered the SYN with what
 * that one is at. The client resets it, as it would without anybody between; the SYN is said again at
 * once, as the client would after a second.
 */
function resetLeftover(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  flow.leftover = undefined;
  room.core.counters.count("leftovers-reset");
  forward(room, input, flow, "up");
  const syn = heldSyn(flow);
  if (syn !== undefined) forward(room, syn, flow, "up");
}

function synUp(
  room: Room,
  side: Side,
  given: PlainInput,
  entry: ServiceEntry,
  known: LocalFlow | undefined,
): undefined {
  const isIntroduced = entry.service.proxyProtocol === true || (known?.record.shift ?? 0) !== 0;
  const input = isIntroduced ? withoutSynData(given) : given;
  const { header } = input;
  if (isLivingFlow(known)) {
    if (known.stage !== "open") {
      beginsAnew(known, header.sequence);
      // Sent again; or the client has given up and begins anew from the same port: its endpoint sorts it out.
      takeSyn(known, input);
      if (known.stage === "opening") {
        holdSyn(known, input);
        if (moveFromDown(room, known)) return;
        installAwaiting(room, known);
      }
      return forward(room, input, known, "up");
    }
    if (!mayBeReused(room, known, header.sequence)) return challenge(room, input, known);
    end(room, known, "superseded", true);
  }
  const { core } = room;
  if (!core.isReady()) return drop(core, "not-ready", input.bytes);
  if (!isAllowedSource(entry, input.source)) return drop(core, "source-not-allowed", input.bytes);
  const { id } = entry.service;
  const prefix = sourcePrefix(input.source);
  const evict = (flow: LocalFlow) => {
    // Grown up, it makes room as well.
    if (findOpened(room, flow)) return;
    core.counters.count("embryos-evicted");
    end(room, flow, "handshakeTimeout", false);
  };
  if (!room.flows.admits(id, prefix, core.clock.nowMs(), evict))
    return drop(core, "embryo-quota", input.bytes);
  const client = { vip: input.destination, client: input.source, clientPort: header.sourcePort };
  const place = findPlainPlace(room, side, entry, client);
  if (typeof place === "string") return drop(core, place, input.bytes);
  const facts = { protocol: PROTOCOL_TCP, serviceId: id, ...client, ...place };
  const shift = proxyShiftOf(entry.service, client.vip);
  const flow = makeFlow(room, { ...facts, windowScale: 0, shift, marks: 0 }, "opening");
  takeSyn(flow, input);
  holdSyn(flow, input);
  room.flows.embryo(flow, prefix);
  core.counters.count("connections-begun");
  installAwaiting(room, flow);
  forward(room, input, flow, "up");
  if (entry.service.stateless === true) room.offering.hurry(entry, client.vip);
}

/**
 * RFC 9293 §3.6.1, RFC 6191: a SYN opens a new connection on the ports of one in TIME-WAIT when its number
 * lies behind all of that one's. Of one that was reset nobody expects anything any more.
 */
function mayBeReused(room: Room, flow: LocalFlow, sequence: number): boolean {
  look(room, flow);
  const { isReset, isClosing } = judge(flow, entryOf(room, flow.record)?.service);
  if (isReset) return true;
  const last = flow.up?.finEnd ?? flow.finUp;
  // Closed through another member, its numbers are not known here: what its flow would carry would end with it.
  return isClosing && (last === undefined || (sequence - last) >>> 0 < 0x8000_0000);
}

/**
 * RFC 5961 §4: a SYN into an open connection changes nothing; the endpoint answers with an acknowledgment,
 * and a client that began anew resets the old connection with what that says. One that knows of no
 * connection resets it itself, with numbers that say which SYN it means, so that its answer has to come
 * here.
 */
function challenge(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const nowMs = room.core.clock.nowMs();
  if (flow.challenge !== undefined && nowMs - flow.challenge.sinceMs < CHALLENGE_PERIOD_MS)
    return drop(room.core, "syn-rate", input.bytes);
  flow.challenge = { ...synOf(input), sinceMs: nowMs };
  room.core.counters.count("syns-into-connections");
  install(room, flow, true);
  forward(room, input, flow, "up");
}

/** The endpoint answers: it has what it was told of the client, or is told again. */
function introduced(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  if (!acknowledgesHeader(flow, input)) return introduceAgain(room, flow, false);
  flow.introduction = undefined;
  note(room, flow, { marks: MARK.introduced });
  install(room, flow, false);
  if (entryOf(room, flow.record)?.service.replicate === "always") publish(room, flow, true);
}

/** A SYN-ACK of an open connection: said again, or the answer to a SYN into it. */
function synIntoOpenDown(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header } = input;
  const { introduction, challenge: asked } = flow;
  const isAnew = asked !== undefined && acknowledgesSyn(header.acknowledgment, asked);
  if (flow.record.shift !== 0 && isAnew) {
    // A server that began anew has nobody's header: nor has the client's next SYN an old connection.
    drop(room.core, "wrong-phase", input.bytes);
    return end(room, flow, "superseded", true);
  }
  if (introduction?.isNumbered === false) {
    flow.clientSequence = (header.acknowledgment - 1) >>> 0;
    flow.endpointSequence = header.sequence;
    introduction.isNumbered = true;
  }
  if (isHandshake(flow.record)) flow.endpointSequence = header.sequence;
  forward(room, input, flow, "down");
}

/**
 * The endpoint goes on behind its SYN-ACK, which was seen here: the client has acknowledged that where it
 * sent its SYN to.
 */
function noteAcknowledged(room: Room, { sequence }: PlainHeader, flow: LocalFlow): undefined {
  if (!isHandshake(flow.record) || !follows(sequence, flow.endpointSequence)) return;
  note(room, flow, { marks: MARK.answered }, true);
}

/** Before the endpoint has acknowledged who the client is. */
function introducingUp(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header } = input;
  // Another member began it: the endpoint says where when it sends its SYN-ACK again.
  if (flow.introduction?.isNumbered !== true) return drop(room.core, "wrong-phase", input.bytes);
  const window = windowOf(flow.record.windowScale);
  if (header.has(TCP_FLAG.RST)) {
    if (!isWithin(header.sequence, next(flow.clientSequence), window))
      return drop(room.core, "wrong-phase", input.bytes);
    introduceAgain(room, flow, false);
    forward(room, input, flow, "up");
    return end(room, flow, "resetByClient", true);
  }
  if (!follows(header.acknowledgment, flow.endpointSequence, window) || wantsHeadersPlace(flow, header))
    return drop(room.core, "wrong-phase", input.bytes);
  if (header.has(TCP_FLAG.FIN)) flow.finUp = header.sequenceEnd;
  if (flow.introduction.segment === undefined) introduce(room, flow, input);
  else introduceAgain(room, flow, false);
  forward(room, input, flow, "up");
}

function openUp(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header } = input;
  if (flow.introduction !== undefined) return introducingUp(room, input, flow);
  // While a challenge is out all packets come here; so do those of a flow that the table had no room for.
  if (header.has(TCP_FLAG.FIN)) flow.finUp = header.sequenceEnd;
  // Another member saw the handshake up to here, and is told that it was done.
  const opens = isHandshake(flow.record) && !header.has(TCP_FLAG.RST);
  if (opens) note(room, flow, { marks: MARK.answered }, true);
  if (!flow.isInstalled || hangs(room, input, flow, "up")) install(room, flow, false);
  forward(room, input, flow, "up");
}

/**
 * A packet that is no handshake's any more says that it was ended in the fast path; and whether the endpoint has
 * answered is known there first.
 */
function catchUp(room: Room, { reason }: PlainInput, flow: LocalFlow): undefined {
  if (flow.stage === "opening" || reason !== "handshake") findOpened(room, flow);
}

function hangs(room: Room, { reason }: PlainInput, flow: LocalFlow, direction: "up" | "down"): boolean {
  return reason === "handshake" && isStuck(room, flow, direction);
}

/** Both ends opened at once (RFC 9293 §3.5, RFC 5382 REQ-2): the client answers the endpoint's SYN. */
function synAckUp(room: Room, given: PlainInput, flow: LocalFlow): undefined {
  const { header } = given;
  const isAnswer = flow.stage === "answered" && follows(header.acknowledgment, flow.endpointSequence);
  // It is its SYN, said again with an acknowledgment.
  if (!isAnswer || header.sequence !== flow.clientSequence)
    return drop(room.core, "wrong-phase", given.bytes);
  const input = flow.record.shift === 0 ? given : withoutSynData(given);
  takeSyn(flow, input);
  forward(room, input, flow, "up");
}

function synDown(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  answered(room, input, flow);
  forward(room, input, flow, "down");
}

function synAckDown(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  // It answers another SYN than the last one: the client would reset what it has begun since.
  if (!acknowledgesSyn(input.header.acknowledgment, lastSynOf(flow)))
    return drop(room.core, "wrong-phase", input.bytes);
  answered(room, input, flow);
  forward(room, input, flow, "down");
}

function answered(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header } = input;
  const isNews = flow.stage === "opening" || flow.endpointSequence !== header.sequence;
  flow.endpointSequence = header.sequence;
  flow.endpointScale = windowScaleOf(input.bytes, input.header);
  if (!isNews) return;
  flow.stage = "answered";
  flow.syn = undefined;
  const { clientScale, endpointScale } = flow;
  const isScaled = clientScale !== undefined && endpointScale !== undefined;
  const windowScale = isScaled ? Math.max(clientScale, endpointScale) : 0;
  flow.record = { ...flow.record, windowScale };
  flow.isScaled = true;
  const isSynAck = header.has(TCP_FLAG.ACK);
  const sequence = isSynAck ? header.acknowledgment : next(flow.clientSequence);
  const up = { sequence, acknowledged: next(flow.endpointSequence) };
  const down = { sequence: up.acknowledged, acknowledged: up.sequence };
  install(room, flow, true, { edges: { up, down } });
}

function resetDown(room: Room, input: PlainInput, flow: LocalFlow): undefined {
  const { header, bytes } = input;
  const { challenge: asked } = flow;
  const isIntroducing = flow.introduction?.isNumbered === true;
  if (flow.stage !== "open" || asked !== undefined || isIntroducing) {
    // RFC 9293 §3.10.7.3: it refuses a SYN when it acknowledges just that.
    const syn = asked ?? lastSynOf(flow);
    const isRefusal = header.has(TCP_FLAG.ACK) && acknowledgesSyn(header.acknowledgment, syn);
    const isOpening = flow.stage === "answered" || isIntroducing;
    const window = isIntroducing ? windowOf(flow.record.windowScale) : undefined;
    const isReset = isOpening && follows(header.sequence, flow.endpointSequence, window);
    if (!isRefusal && !isReset) return drop(room.core, "wrong-phase", bytes);
    // SYNs went to the endpoint as the client numbered them.
    forward(room, input, flow, "down", isRefusal ? 0 : undefined);
    if (flow.stage === "opening") room.sides.get(PROTOCOL_TCP)?.health.refused(placeAt(flow));
    return end(room, flow, "resetByEndpoint", true);
  }
  forward(room, input, flow, "down");
}

function placeAt({ record }: LocalFlow) {
  return { address: record.endpoint, port: record.endpointPort };
}

/** Forwarded by the fast path, which checked that it lies in the window. */
function copied(room: Room, flow: LocalFlow, input: PlainInput, by: "client" | "endpoint"): undefined {
  flow.lastSeenMs = room.core.clock.nowMs();
  if (input.header.has(TCP_FLAG.RST)) flow.resetBy = by;
  look(room, flow);
  const { marks, isClosing } = judge(flow, entryOf(room, flow.record)?.service);
  if (marks !== flow.record.marks) note(room, flow, { marks });
  room.flows.setSpent(flow, isClosing);
}

/** What the fast path knows of it now. */
export function look(room: Room, flow: LocalFlow): undefined {
  const { plain } = room.core.fastPath;
  flow.up = plain.stateOf(keyOf(flow.record, "up")) ?? flow.up;
  flow.down = plain.stateOf(keyOf(flow.record, "down")) ?? flow.down;
}

/** A packet in the midst of a connection that this member does not know: another one may. */
function unknownUp(room: Room, input: PlainInput, entry: ServiceEntry): undefined {
  if (input.copy) return;
  // Most resets are of nobody's connection any more; behind a VIP that moves they may be of a young one's.
  const isQuestion = !input.header.has(TCP_FLAG.RST) || room.mayBeElsewhere(input.destination);
  if (input.asked || !isQuestion) return refuseUnknown(room, input);
  room.held.ask(input, questionOf(input, entry.service.id));
}

function lastSynOf({ clientSequence: sequence, synSize: size }: LocalFlow): Syn {
  return { sequence, size };
}

function next(sequence: number): number {
  return (sequence + 1) >>> 0;
}

/**
 * The number lies behind a first sequence number, and not far. An acknowledgment of a handshake may be of
 * later bytes, too (RFC 7413). A stranger who makes numbers up meets one of 65,536.
 */
function follows(number: number, first: number, size = SYN_WINDOW): boolean {
  return isWithin(number, next(first), size);
}
