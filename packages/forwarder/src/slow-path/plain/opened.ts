// How far a connection of TCP is. The fast path sees first that its endpoint has answered, and that its client has
// acknowledged that: it forwards both, and from then on everything. A copy of the acknowledgment says so here.
// Whatever asks before the copy came looks into the flow.
import { MARK } from "@holdfast/model";
import type { PlainEntry } from "../../fast-path/plain.ts";
import { keyOf, type LocalFlow, takeNumbers } from "./flow.ts";
import { entryOf, note, publish, type Room } from "./room.ts";

/** Nobody acknowledges a number who does not see the endpoint's answers. */
export function opened(room: Room, flow: LocalFlow): undefined {
  flow.stage = "open";
  flow.syn = undefined;
  room.flows.grown(flow);
  room.core.counters.count("connections-opened");
  const { record } = flow;
  const service = entryOf(room, record)?.service;
  if (service?.stateless === true)
    room.core.fastPath.plain.offers?.meet({ vip: record.vip, port: service.port }, record.client);
  note(room, flow, { marks: MARK.answered });
  const isWhole = flow.introduction === undefined;
  if (isWhole && service?.replicate === "always") publish(room, flow, true);
}

/** The fast path forwarded the acknowledgment. */
export function openedElsewhere(room: Room, handle: number): undefined {
  const flow = room.flows.byHandle(handle);
  if (flow === undefined || flow.stage === "open" || !flow.isInstalled) return;
  flow.lastSeenMs = room.core.clock.nowMs();
  opened(room, flow);
}

/**
 * Whether the fast path has forwarded the acknowledgment, unheard as yet: the flow is open now. What it has
 * forwarded before that is known from here on, too.
 */
export function findOpened(room: Room, flow: LocalFlow): boolean {
  if (flow.stage === "open" || !flow.isInstalled) return false;
  const entry = room.core.fastPath.plain.read(keyOf(flow.record, "up"));
  if (entry === undefined || entry.flow.session !== flow.handle) return false;
  noteAnswer(flow, entry);
  // While it awaits an answer all is of a handshake.
  if (entry.flow.handshake) return false;
  openedElsewhere(room, flow.handle);
  return true;
}

/** Of the direction up: the endpoint's SYN-ACK went through the fast path, and both numbers are known there. */
export function noteAnswer(flow: LocalFlow, { flow: fast, state: { edges } }: PlainEntry): undefined {
  if (flow.stage !== "opening" || !flow.isInstalled || fast.awaiting !== undefined) return;
  if (fast.handshake && fast.opening !== true) return;
  flow.stage = "answered";
  flow.syn = undefined;
  if (edges === undefined) return;
  takeNumbers(flow, edges);
}

/**
 * Whether the fast path still has an open connection as one in its handshake, and nobody wants it so: what it
 * writes and what is written here may cross.
 */
export function isStuck(room: Room, flow: LocalFlow, direction: "up" | "down"): boolean {
  if (flow.challenge !== undefined || flow.introduction !== undefined) return false;
  return room.core.fastPath.plain.read(keyOf(flow.record, direction))?.flow.handshake === true;
}
