// A flow as the translator wants it: bytes and checksum deltas computed once, at installation.
import { type Address, addressBytes } from "@holdfast/model";
import { checksumDelta, portDelta, write16 } from "@holdfast/sctp";
import { bytesOf } from "../../packet/translate.ts";
import type { Flow, FlowKey } from "../port.ts";
import { KEY_SIZE_MAX } from "./bytes-map.ts";

export interface FlowEntry {
  readonly flow: Flow;
  readonly newSource: Uint8Array;
  readonly newDestination: Uint8Array;
  /** What the addresses add to the IPv4 header checksum. */
  readonly checksumDelta: number;
  /** Where reply-only packets go; the same as `newDestination` when the flow names no other. */
  readonly replyDestination: Uint8Array;
  readonly replyChecksumDelta: number;
  /** XOR of old and new ports as the CRC sees them; 0 when no port changes. */
  readonly portDelta: number;
  /** The next packet is punted as a copy; cleared by it. */
  learn: boolean;
  packets: number;
  /** IP packet bytes. */
  bytes: number;
  lastSeenMs: number;
}

/** Two addresses, two ports and the protocol: 13 bytes for IPv4, 37 for IPv6. */
export const FLOW_KEY_SIZE_MAX = KEY_SIZE_MAX;

/** The key of a flow as bytes: source, destination, source port, destination port, protocol. */
export function flowKeyBytes(key: FlowKey): Uint8Array {
  const source = bytesOf(key.source);
  const destination = bytesOf(key.destination);
  const portsAt = source.length + destination.length;
  const bytes = new Uint8Array(portsAt + 5);
  bytes.set(source);
  bytes.set(destination, source.length);
  write16(bytes, portsAt, key.sourcePort);
  write16(bytes, portsAt + 2, key.destinationPort);
  bytes[portsAt + 4] = key.protocol;
  return bytes;
}

/** Counters go on when a flow replaces one of the same session. */
export function flowEntry(flow: Flow, nowMs: number, replaced: FlowEntry | undefined): FlowEntry {
  const source = addressBytes(flow.key.source);
  const destination = addressBytes(flow.key.destination);
  const newSource = addressBytes(flow.newSource);
  const newDestination = addressBytes(flow.newDestination);
  const replyDestination = addressBytes(flow.replyDestination ?? flow.newDestination);
  if (
    source.length !== destination.length ||
    source.length !== newSource.length ||
    source.length !== newDestination.length ||
    source.length !== replyDestination.length
  ) {
    throw new Error(`flow mixes address families: ${describe(flow.key.source, flow.key.destination)}`);
  }
  const sourceDelta = checksumDelta(source, newSource);
  const continued = replaced !== undefined && replaced.flow.session === flow.session;
  return {
    flow,
    newSource,
    newDestination,
    checksumDelta: sourceDelta + checksumDelta(destination, newDestination),
    replyDestination,
    replyChecksumDelta: sourceDelta + checksumDelta(destination, replyDestination),
    portDelta: portDelta(
      flow.key.sourcePort,
      flow.key.destinationPort,
      flow.newSourcePort,
      flow.newDestinationPort,
    ),
    learn: flow.learn,
    packets: continued ? replaced.packets : 0,
    bytes: continued ? replaced.bytes : 0,
    lastSeenMs: continued ? replaced.lastSeenMs : nowMs,
  };
}

function describe(source: Address, destination: Address): string {
  return `${source} to ${destination}`;
}
