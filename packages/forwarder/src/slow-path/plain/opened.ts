// When a connection of TCP is open: its client has acknowledged the endpoint's SYN. The fast path sees that
// first, and forwards from then on; a copy of the packet says so here. Whatever asks before the copy came looks
// into the flow.
import { MARK } from "@holdfast/model";
import { keyOf, type LocalFlow } from "./flow.ts";
import { entryOf, note, publish, type Room } from "./room.ts";

/** Nobody acknowledges a number who does not see the endpoint's answers. */
export function opened(room: Room, flow: LocalFlow): undefined {
  flow.stage = "open";
  room.flows.grown(flow);
  room.core.counters.count("connections-opened");
  note(room, flow, { marks: MARK.answered });
  const isWhole = flow.introduction === undefined;
  if (isWhole && entryOf(room, flow.record)?.service.replicate === "always") publish(room, flow, true);
}

/** The fast path forwarded the acknowledgment. */
export function openedElsewhere(room: Room, handle: number): undefined {
  const flow = room.flows.byHandle(handle);
  if (flow?.stage !== "answered") return;
  flow.lastSeenMs = room.core.clock.nowMs();
  opened(room, flow);
}

/** Whether the fast path has done so, unheard as yet: the flow is open now. */
export function findOpened(room: Room, flow: LocalFlow): boolean {
  if (flow.stage !== "answered" || !flow.isInstalled) return false;
  const fast = room.core.fastPath.plain.read(keyOf(flow.record, "up"))?.flow;
  if (fast === undefined || fast.session !== flow.handle || fast.handshake) return false;
  openedElsewhere(room, flow.handle);
  return true;
}

/**
 * Whether the fast path still has an open connection as one in its handshake, and nobody wants it so: what it
 * writes and what is written here may cross.
 */
export function isStuck(room: Room, flow: LocalFlow, direction: "up" | "down"): boolean {
  if (flow.challenge !== undefined || flow.introduction !== undefined) return false;
  return room.core.fastPath.plain.read(keyOf(flow.record, direction))?.flow.handshake === true;
}
