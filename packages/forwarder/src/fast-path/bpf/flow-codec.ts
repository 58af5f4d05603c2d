// Flows as the maps hold them.
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import { checksumDelta, fold, portDelta } from "@holdfast/sctp";
import type { Flow, FlowCounters, FlowKey } from "../port.ts";
import { FLOW_FLAG, FLOW_HEAD, FLOW4, FLOW4_KEY, FLOW6, FLOW6_KEY } from "./abi.ts";
import type { KernelClock } from "./kernel-clock.ts";

export interface FlowLayout {
  readonly addressSize: 4 | 16;
  readonly keySize: number;
  readonly valueSize: number;
  readonly key: typeof FLOW4_KEY | typeof FLOW6_KEY;
  /** The head, which begins every value, and the addresses of the family. */
  readonly value: Omit<typeof FLOW_HEAD, "SIZE"> & Omit<typeof FLOW4 | typeof FLOW6, "SIZE">;
}

export const LAYOUT4: FlowLayout = {
  addressSize: 4,
  keySize: FLOW4_KEY.SIZE,
  valueSize: FLOW4.SIZE,
  key: FLOW4_KEY,
  value: { ...FLOW_HEAD, ...FLOW4 },
};
export const LAYOUT6: FlowLayout = {
  addressSize: 16,
  keySize: FLOW6_KEY.SIZE,
  valueSize: FLOW6.SIZE,
  key: FLOW6_KEY,
  value: { ...FLOW_HEAD, ...FLOW6 },
};

/** "TTL less one" as a summand of the header checksum: ~m + m' is -0x0100 in one's complement. */
const TTL_DELTA = 0xffff - 0x0100;

export function layoutOf(key: FlowKey): FlowLayout {
  return key.destination.includes(":") ? LAYOUT6 : LAYOUT4;
}

export function encodeKey(layout: Pick<FlowLayout, "key">, key: FlowKey, into: Buffer, at = 0): void {
  into.set(addressBytes(key.source), at + layout.key.source);
  into.set(addressBytes(key.destination), at + layout.key.destination);
  into.writeUInt16BE(key.sourcePort, at + layout.key.sourcePort);
  into.writeUInt16BE(key.destinationPort, at + layout.key.destinationPort);
  into.writeUInt32LE(key.protocol, at + layout.key.protocol);
}

export function decodeKey(
  layout: Pick<FlowLayout, "key" | "addressSize">,
  bytes: Buffer,
  at: number,
): FlowKey {
  const { key, addressSize } = layout;
  return {
    protocol: bytes.readUInt8(at + key.protocol),
    source: addressFromBytes(bytes, at + key.source, addressSize),
    destination: addressFromBytes(bytes, at + key.destination, addressSize),
    sourcePort: bytes.readUInt16BE(at + key.sourcePort),
    destinationPort: bytes.readUInt16BE(at + key.destinationPort),
  };
}

/** Fills a value, counters excepted. The families of all addresses are the key's: anything else is our bug. */
export function encodeFlow(
  layout: FlowLayout,
  flow: Flow,
  nexthops: { readonly forward: number; readonly reply: number },
  into: Buffer,
): void {
  const { value, addressSize } = layout;
  const { key } = flow;
  const source = addressBytes(key.source);
  const destination = addressBytes(key.destination);
  const newSource = addressBytes(flow.newSource);
  const newDestination = addressBytes(flow.newDestination);
  const reply = addressBytes(flow.replyDestination ?? flow.newDestination);
  for (const bytes of [source, destination, newSource, newDestination, reply]) {
    if (bytes.length !== addressSize) {
      throw new Error(`flow mixes address families: ${key.source} to ${key.destination}`);
    }
  }
  into.set(newSource, value.newSource);
  into.set(newDestination, value.newDestination);
  into.set(reply, value.replyDestination);
  into.writeUInt16BE(flow.newSourcePort, value.newSourcePort);
  into.writeUInt16BE(flow.newDestinationPort, value.newDestinationPort);
  into.writeInt32LE(
    portDelta(key.sourcePort, key.destinationPort, flow.newSourcePort, flow.newDestinationPort),
    value.portDelta,
  );
  into.writeUInt32BE(flow.tag >>> 0, value.tag);
  into.writeUInt16LE(flagsOf(flow), value.flags);
  into.writeUInt16LE(nexthops.forward, value.nexthop);
  into.writeUInt16LE(nexthops.reply, value.replyNexthop);
  into.writeUInt32LE(flow.session >>> 0, value.session);
  // The packet's last two bytes of the tag, as they stand there.
  into.writeUInt16BE((flow.peerTag ?? 0) & 0xffff, value.peerTag);
  if (addressSize === 4) {
    const both = TTL_DELTA + checksumDelta(source, newSource);
    // Words as a little-endian host loads them: written big-endian, they are.
    into.writeUInt16BE(fold(both + checksumDelta(destination, newDestination)), FLOW4.checksumDelta);
    into.writeUInt16BE(fold(both + checksumDelta(destination, reply)), FLOW4.replyChecksumDelta);
  }
}

function flagsOf(flow: Flow): number {
  return (
    (flow.replyDestination !== undefined ? FLOW_FLAG.REPLY : 0) |
    (flow.pending ? FLOW_FLAG.PENDING : 0) |
    (flow.heartbeatOnly ? FLOW_FLAG.HEARTBEAT_ONLY : 0) |
    (flow.learn ? FLOW_FLAG.LEARN : 0) |
    (flow.direction === "down" ? FLOW_FLAG.DOWN : 0)
  );
}

export function decodeFlow(
  layout: FlowLayout,
  keys: Buffer,
  keyAt: number,
  values: Buffer,
  valueAt: number,
): Flow {
  const { value, addressSize } = layout;
  const flags = values.readUInt16LE(valueAt + value.flags);
  const address = (offset: number): Address => addressFromBytes(values, valueAt + offset, addressSize);
  return {
    key: decodeKey(layout, keys, keyAt),
    newSource: address(value.newSource),
    newDestination: address(value.newDestination),
    newSourcePort: values.readUInt16BE(valueAt + value.newSourcePort),
    newDestinationPort: values.readUInt16BE(valueAt + value.newDestinationPort),
    tag: values.readUInt32BE(valueAt + value.tag),
    direction: flags & FLOW_FLAG.DOWN ? "down" : "up",
    ...(flags & FLOW_FLAG.REPLY ? { replyDestination: address(value.replyDestination) } : {}),
    pending: (flags & FLOW_FLAG.PENDING) !== 0,
    heartbeatOnly: (flags & FLOW_FLAG.HEARTBEAT_ONLY) !== 0,
    learn: (flags & FLOW_FLAG.LEARN) !== 0,
    session: values.readUInt32LE(valueAt + value.session),
    ...peerTagOf(values.readUInt16BE(valueAt + value.peerTag)),
  };
}

function peerTagOf(peerTag: number): Pick<Flow, "peerTag"> {
  return peerTag === 0 ? {} : { peerTag };
}

export function countersOf(
  layout: FlowLayout,
  values: Buffer,
  at: number,
  clock: KernelClock,
  nowMs: number,
): FlowCounters {
  const { value } = layout;
  return {
    packets: Number(values.readBigUInt64LE(at + value.packets)),
    bytes: Number(values.readBigUInt64LE(at + value.bytes)),
    lastSeenMs: clock.timeMsOf(values.readUInt32LE(at + value.lastSeen), nowMs),
  };
}
