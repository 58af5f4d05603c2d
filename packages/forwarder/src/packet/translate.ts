// The slow path's own translation: the same edits as the fast path's, on a copy.
import { type Address, addressBytes, familyOf } from "@holdfast/model";
import {
  checksumChange,
  encodeIp,
  IPV4_TTL_OFFSET,
  IPV6_HOP_LIMIT_OFFSET,
  portDelta,
  readChecksum,
  storeChecksum,
  write16,
  writeChecksum,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import type { SctpInput } from "./input.ts";

export interface Rewrite {
  readonly newSource: Address;
  readonly newDestination: Address;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
}

/**
 * The packet with other addresses and ports, hop limit less one; options and extension headers stay. Address
 * families must be the packet's. The checksum changes by the difference of the ports, or is filled in when it
 * was partial.
 */
export function translate(input: SctpInput, rewrite: Rewrite): Uint8Array {
  const bytes = input.bytes.slice(0, input.ip.end);
  const { ip, packet } = input;
  bytes.set(bytesOf(rewrite.newSource), ip.sourceOffset);
  bytes.set(bytesOf(rewrite.newDestination), ip.destinationOffset);
  if (ip.version === 4) {
    bytes[IPV4_TTL_OFFSET] = ip.hopLimit - 1;
    writeIpv4Checksum(bytes);
  } else bytes[IPV6_HOP_LIMIT_OFFSET] = ip.hopLimit - 1;
  const delta = portDelta(
    packet.sourcePort,
    packet.destinationPort,
    rewrite.newSourcePort,
    rewrite.newDestinationPort,
  );
  write16(bytes, packet.start, rewrite.newSourcePort);
  write16(bytes, packet.start + 2, rewrite.newDestinationPort);
  if (input.checksumPartial) writeChecksum(bytes, packet.start, packet.end);
  else if (delta !== 0) {
    const change = checksumChange(delta, packet.end - packet.start);
    storeChecksum(bytes, packet.start, readChecksum(bytes, packet.start) ^ change);
  }
  return bytes;
}

/** A packet with a payload made here in the place of the received one: INIT, INIT-ACK, filtered ERROR. */
export function replacePayload(
  input: SctpInput,
  newSource: Address,
  newDestination: Address,
  payload: Uint8Array,
): Uint8Array {
  const { ip } = input;
  return encodeIp({
    source: bytesOf(newSource),
    destination: bytesOf(newDestination),
    payload,
    hopLimit: ip.hopLimit - 1,
    trafficClass: ip.trafficClass,
    identification: ip.version === 4 ? ip.identification : 0,
    dontFragment: ip.dontFragment,
  });
}

/** A packet of our own between two addresses of one family; undefined when they are not. */
export function ownPacket(
  source: Address,
  destination: Address,
  payload: Uint8Array,
): Uint8Array | undefined {
  if (familyOf(source) !== familyOf(destination)) return undefined;
  return encodeIp({ source: bytesOf(source), destination: bytesOf(destination), payload });
}

const BYTES_MAX = 16_384;
const known = new Map<Address, Uint8Array>();

/** The bytes of an address, remembered. Never written to. */
export function bytesOf(address: Address): Uint8Array {
  let bytes = known.get(address);
  if (bytes === undefined) {
    if (known.size >= BYTES_MAX) known.clear();
    bytes = ipv4Bytes(address) ?? addressBytes(address);
    known.set(address, bytes);
  }
  return bytes;
}

const DOT = 46;
const ZERO = 48;

/** Canonical IPv4 text needs no checks: an INIT from an address never seen must be cheap. undefined: IPv6. */
function ipv4Bytes(address: Address): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  let octet = 0;
  let index = 0;
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === DOT) {
      bytes[index++] = octet;
      octet = 0;
    } else if (code >= ZERO && code < ZERO + 10) octet = octet * 10 + code - ZERO;
    else return undefined;
  }
  bytes[index] = octet;
  return index === 3 ? bytes : undefined;
}
