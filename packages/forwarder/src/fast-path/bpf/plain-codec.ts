// Flows of TCP and UDP as the maps hold them.
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import { plainDeltas } from "../../packet/plain/rewrite.ts";
import type { PlainFlow, PlainFlowState } from "../plain.ts";
import type { FlowKey } from "../port.ts";
import { FLOW4_KEY, FLOW6_KEY, LIMITS, PLAIN_FLAG, PLAIN_HEAD, PLAIN4, PLAIN6 } from "./abi.ts";
import { decodeKey } from "./flow-codec.ts";
import type { KernelClock } from "./kernel-clock.ts";
import { UNRESOLVED } from "./nexthops.ts";

export interface PlainLayout {
  readonly addressSize: 4 | 16;
  readonly keySize: number;
  readonly valueSize: number;
  readonly key: typeof FLOW4_KEY | typeof FLOW6_KEY;
  /** The addresses of the family, and the head, with which every value ends. */
  readonly value: Readonly<Record<HeadField | "newSource" | "newDestination", number>>;
}

type HeadField = Exclude<keyof typeof PLAIN_HEAD, "SIZE">;

function valueLayout(family: typeof PLAIN4 | typeof PLAIN6): PlainLayout["value"] {
  const { SIZE: _, ...head } = PLAIN_HEAD;
  const fields = Object.entries(head).map(([name, offset]) => [name, family.head + offset]);
  const { newSource, newDestination } = family;
  return { ...(Object.fromEntries(fields) as Record<HeadField, number>), newSource, newDestination };
}

export const PLAIN_LAYOUT4: PlainLayout = {
  addressSize: 4,
  keySize: FLOW4_KEY.SIZE,
  valueSize: PLAIN4.SIZE,
  key: FLOW4_KEY,
  value: valueLayout(PLAIN4),
};
export const PLAIN_LAYOUT6: PlainLayout = {
  addressSize: 16,
  keySize: FLOW6_KEY.SIZE,
  valueSize: PLAIN6.SIZE,
  key: FLOW6_KEY,
  value: valueLayout(PLAIN6),
};

/** What the programs write, and an installation keeps. */
const LEARNED = PLAIN_FLAG.EDGES | PLAIN_FLAG.FIN | PLAIN_FLAG.RESET;

export function plainLayoutOf(key: FlowKey): PlainLayout {
  return key.destination.includes(":") ? PLAIN_LAYOUT6 : PLAIN_LAYOUT4;
}

/**
 * Writes the flow over a value, zero or of the same session, whose counters and what was learned stay. The
 * families of all addresses are the key's: anything else is our bug.
 */
export function encodePlain(layout: PlainLayout, flow: PlainFlow, nexthop: number, into: Buffer): void {
  const { value, addressSize } = layout;
  const { key, tcp } = flow;
  if ((key.protocol === PROTOCOL.TCP) !== (tcp !== undefined))
    throw new Error("tcp is for TCP, and required there");
  const source = addressBytes(key.source);
  const destination = addressBytes(key.destination);
  const newSource = addressBytes(flow.newSource);
  const newDestination = addressBytes(flow.newDestination);
  for (const bytes of [source, destination, newSource, newDestination])
    if (bytes.length !== addressSize)
      throw new Error(`flow mixes address families: ${key.source} to ${key.destination}`);
  const shift = tcp?.shift ?? 0;
  const rewrite = { ...flow, newSource, newDestination, shift };
  const deltas = plainDeltas(source, destination, key.sourcePort, key.destinationPort, rewrite);
  into.set(newSource, value.newSource);
  into.set(newDestination, value.newDestination);
  into.writeUInt16BE(flow.newSourcePort, value.newSourcePort);
  into.writeUInt16BE(flow.newDestinationPort, value.newDestinationPort);
  // Words as a little-endian host loads them: written big-endian, they are.
  into.writeUInt16BE(deltas.addresses, value.addressDelta);
  into.writeUInt16BE(deltas.transport, value.transportDelta);
  into.writeUInt32LE(flow.session >>> 0, value.session);
  into.writeUInt16LE(nexthop, value.nexthop);
  into.writeInt16LE(shift, value.shift);
  into.writeUInt8(tcp?.windowScale ?? 0, value.scale);
  let flags = flagsOf(flow) | (into.readUInt16LE(value.flags) & LEARNED);
  if (flow.awaiting !== undefined) {
    if (tcp?.edges !== undefined || !flow.handshake)
      throw new Error("what awaits an answer is in its handshake, and knows no numbers");
    flags &= ~PLAIN_FLAG.EDGES;
    into.writeUInt32LE(flow.awaiting.sequence >>> 0, value.sequence);
    into.writeUInt8(flow.awaiting.scale ?? LIMITS.SCALE_NONE, value.scale);
  } else if (tcp?.edges !== undefined) {
    flags |= PLAIN_FLAG.EDGES;
    into.writeUInt32LE(tcp.edges.sequence >>> 0, value.sequence);
    into.writeUInt32LE(tcp.edges.acknowledged >>> 0, value.acknowledged);
  }
  into.writeUInt16LE(flags, value.flags);
}

function flagsOf(flow: PlainFlow): number {
  return (
    (flow.handshake ? PLAIN_FLAG.HANDSHAKE : 0) |
    (flow.learn ? PLAIN_FLAG.LEARN : 0) |
    (flow.direction === "down" ? PLAIN_FLAG.DOWN : 0) |
    (flow.assured ? PLAIN_FLAG.ASSURED : 0) |
    (flow.opening === true ? PLAIN_FLAG.OPENING : 0) |
    (flow.awaiting === undefined ? 0 : PLAIN_FLAG.AWAITING) |
    (flow.quiet === true ? PLAIN_FLAG.QUIET : 0)
  );
}

export function decodePlain(
  layout: PlainLayout,
  keys: Buffer,
  keyAt: number,
  values: Buffer,
  valueAt: number,
): PlainFlow {
  const { value, addressSize } = layout;
  const flags = values.readUInt16LE(valueAt + value.flags);
  const address = (offset: number): Address => addressFromBytes(values, valueAt + offset, addressSize);
  const key = decodeKey(layout, keys, keyAt);
  const scale = values.readUInt8(valueAt + value.scale);
  const isAwaiting = (flags & PLAIN_FLAG.AWAITING) !== 0;
  return {
    key,
    newSource: address(value.newSource),
    newDestination: address(value.newDestination),
    newSourcePort: values.readUInt16BE(valueAt + value.newSourcePort),
    newDestinationPort: values.readUInt16BE(valueAt + value.newDestinationPort),
    direction: flags & PLAIN_FLAG.DOWN ? "down" : "up",
    session: values.readUInt32LE(valueAt + value.session),
    handshake: (flags & PLAIN_FLAG.HANDSHAKE) !== 0,
    learn: (flags & PLAIN_FLAG.LEARN) !== 0,
    assured: (flags & PLAIN_FLAG.ASSURED) !== 0,
    ...(flags & PLAIN_FLAG.OPENING && { opening: true }),
    ...(isAwaiting && {
      awaiting: {
        sequence: values.readUInt32LE(valueAt + value.sequence),
        scale: scale === LIMITS.SCALE_NONE ? undefined : scale,
      },
    }),
    ...(flags & PLAIN_FLAG.QUIET && { quiet: true }),
    ...(key.protocol === PROTOCOL.TCP && {
      tcp: {
        windowScale: isAwaiting ? 0 : scale,
        shift: values.readInt16LE(valueAt + value.shift),
      },
    }),
  };
}

export function decodePlainState(
  { value }: PlainLayout,
  values: Buffer,
  at: number,
  clock: KernelClock,
  nowMs: number,
): PlainFlowState {
  const flags = values.readUInt16LE(at + value.flags);
  return {
    packets: Number(values.readBigUInt64LE(at + value.packets)),
    bytes: Number(values.readBigUInt64LE(at + value.bytes)),
    lastSeenMs: clock.timeMsOf(values.readUInt32LE(at + value.lastSeen), nowMs),
    ...(flags & PLAIN_FLAG.EDGES && {
      edges: {
        sequence: values.readUInt32LE(at + value.sequence),
        acknowledged: values.readUInt32LE(at + value.acknowledged),
      },
    }),
    ...(flags & PLAIN_FLAG.FIN && { finEnd: values.readUInt32LE(at + value.finEnd) }),
    reset: (flags & PLAIN_FLAG.RESET) !== 0,
  };
}

export function nexthopIn({ value }: PlainLayout, values: Buffer, at: number): number {
  return values.readUInt16LE(at + value.nexthop);
}

/** The next hop that was counted as the flow's; UNRESOLVED: none was. */
export function heldIn(layout: PlainLayout, values: Buffer, at: number): number {
  const isMade = (values.readUInt16LE(at + layout.value.flags) & PLAIN_FLAG.MADE) !== 0;
  return isMade ? UNRESOLVED : nexthopIn(layout, values, at);
}
