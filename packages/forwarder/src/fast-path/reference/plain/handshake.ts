// SYNs and SYN-ACKs of flows that await them: docs/decisions/0540.
import { type PlainHeader, TCP_FLAG } from "../../../packet/plain/header.ts";
import { MSS_LEAST, MSS_OVERHEAD } from "../../../packet/plain/options.ts";
import { windowOf } from "../../../packet/plain/window.ts";
import type { PlainFlowEntry } from "./entry.ts";

function next(sequence: number): number {
  return (sequence + 1) >>> 0;
}

/** What the endpoint's answer acknowledges, while this direction up is in such a handshake. */
function expectedBy(up: PlainFlowEntry): number | undefined {
  return up.awaiting?.sequence ?? (up.opening ? up.edges?.sequence : undefined);
}

/** Of a SYN or SYN-ACK of `entry`: whether it is what the handshake begins or goes on with, or that again. */
export function continuesHandshake(
  entry: PlainFlowEntry,
  other: PlainFlowEntry | undefined,
  header: PlainHeader,
): other is PlainFlowEntry {
  if (other === undefined || other.flow.session !== entry.flow.session) return false;
  if (!entry.handshake || !other.handshake) return false;
  const isUp = entry.flow.direction === "up";
  if (!header.has(TCP_FLAG.ACK)) return isUp && next(header.sequence) === expectedBy(entry);
  if (isUp || (entry.awaiting === undefined) !== (other.awaiting === undefined)) return false;
  if (header.acknowledgment !== expectedBy(other)) return false;
  return entry.awaiting !== undefined || next(header.sequence) === entry.edges?.sequence;
}

/** Whether both ways take what the packet lets its receiver send. `mss`: what it says, if it does. */
export function fitsWays(mss: number | undefined, mtu: number, version: 4 | 6): boolean {
  return mss === undefined || mss <= MSS_LEAST || mss + MSS_OVERHEAD[version] <= mtu;
}

/** Counts one that is forwarded. `scale`: what it says of its sender's windows. */
export function noteHandshake(
  entry: PlainFlowEntry,
  other: PlainFlowEntry | undefined,
  header: PlainHeader,
  scale: number | undefined,
  size: number,
  nowMs: number,
): void {
  entry.packets += 1;
  entry.bytes += size;
  if (!header.has(TCP_FLAG.ACK) || other?.awaiting === undefined) return;
  const { awaiting } = other;
  const sequence = next(header.sequence);
  const isScaled = awaiting.scale !== undefined && scale !== undefined;
  const windowScale = isScaled ? Math.max(awaiting.scale, scale) : 0;
  for (const each of [entry, other]) {
    each.awaiting = undefined;
    each.windowScale = windowScale;
    each.window = windowOf(windowScale);
    each.lastSeenMs = nowMs;
  }
  entry.edges = { sequence, acknowledged: awaiting.sequence };
  other.edges = { sequence: awaiting.sequence, acknowledged: sequence };
  other.opening = true;
}
