// How far a connection is that the fast path began.
import type { PlainEntry, PlainFlow, PlainLife } from "./plain.ts";

/** Of the direction up. What the fast path goes on with by itself is no open connection yet. */
export function stageOf({ awaiting, handshake, opening }: PlainFlow): PlainLife["stage"] {
  if (awaiting !== undefined) return "opening";
  return handshake && opening === true ? "answered" : "open";
}

export function lifeOf(up: PlainEntry, down: PlainEntry): PlainLife {
  const [a, b] = [up.state, down.state];
  return {
    stage: stageOf(up.flow),
    isOver: (a.reset && b.reset) || (hasEnded(up, down) && hasEnded(down, up)),
    lastSeenMs: Math.max(a.lastSeenMs, b.lastSeenMs),
  };
}

/** One direction's FIN was acknowledged by the other. */
function hasEnded({ state: { finEnd } }: PlainEntry, { state: { edges } }: PlainEntry): boolean {
  return finEnd !== undefined && edges?.acknowledged === finEnd;
}
