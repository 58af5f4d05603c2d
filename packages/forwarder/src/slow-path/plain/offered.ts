// A connection that the fast path has begun from an offer.
import { type Address, PROTOCOL_TCP } from "@holdfast/model";
import { sourcePrefix } from "../../embryos/nursery.ts";
import { GIVES_WAY_MS, type PlainEntry, type PlainLife, type PlainOffer } from "../../fast-path/plain.ts";
import { stageOf } from "../../fast-path/plain-life.ts";
import type { FlowKey } from "../../fast-path/port.ts";
import { factsOf } from "./adoption.ts";
import { type LocalFlow, takeNumbers } from "./flow.ts";
import { install, installAwaiting, makeFlow, type Room } from "./room.ts";

/**
 * What is over is cleared away once nothing was heard of it for so long: late packets have their way, and it
 * gives way to nobody any more, who would be cleared away with it. A short connection is cleared at the first
 * look, a second after its SYN.
 */
export const OVER_SILENT_MS = GIVES_WAY_MS + 50;

export interface Offered extends PlainOffer {
  readonly vip: Address;
  readonly serviceId: string;
  takenMs: number;
  lookedMs: number;
  /** It was seen open. */
  isOpen: boolean;
}

export interface Entries {
  readonly up: PlainEntry;
  readonly down: PlainEntry;
}

/** What its endpoint sends: all that is known of it before a client has come. */
export function downKeyOf({ endpoint, endpointPort, source, natPort }: PlainOffer): FlowKey {
  return {
    protocol: PROTOCOL_TCP,
    source: endpoint,
    destination: source,
    sourcePort: endpointPort,
    destinationPort: natPort,
  };
}

/** `closing`: over, but not long enough. */
export type Verdict = PlainLife["stage"] | "closing" | "over";

/** `nowMs`: as the fast path counts. */
export function verdictOn({ stage, isOver, lastSeenMs }: PlainLife, nowMs: number): Verdict {
  if (stage !== "open" || !isOver) return stage;
  return nowMs - lastSeenMs >= OVER_SILENT_MS ? "over" : "closing";
}

/** It is a flow as any other from now on; `up`: as the fast path has it. */
export function adoptOffered(room: Room, offered: Offered, up: PlainEntry): LocalFlow {
  const stage = stageOf(up.flow);
  const flow = makeFlow(room, factsOf(up.flow, offered.serviceId), stage, {
    handle: offered.session,
    member: room.core.memberNumber,
    bornMs: offered.takenMs || room.core.clock.nowMs(),
  });
  flow.isScaled = stage !== "opening";
  if (stage === "open") {
    if (!offered.isOpen) room.core.counters.count("connections-opened");
    install(room, flow, false);
    return flow;
  }
  room.flows.embryo(flow, sourcePrefix(flow.record.client));
  const { awaiting } = up.flow;
  if (awaiting !== undefined) {
    flow.clientSequence = (awaiting.sequence - 1) >>> 0;
    flow.clientScale = awaiting.scale;
    installAwaiting(room, flow);
    return flow;
  }
  const edges = up.state.edges;
  if (edges === undefined) return flow;
  takeNumbers(flow, edges);
  const down = { sequence: edges.acknowledged, acknowledged: edges.sequence };
  install(room, flow, true, { edges: { up: edges, down } });
  return flow;
}
