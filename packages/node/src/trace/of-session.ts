// Whether a packet is of one session, by its addresses and ports: a trace of this session only.
import {
  type Address,
  addressFromBytes,
  familyOf,
  IPV4_ADDRESS_SIZE,
  IPV6_ADDRESS_SIZE,
  type Service,
} from "@holdfast/model";
import type { KnownSession } from "../sessions/tables.ts";

const IPV4_HEADER_SIZE_MIN = 20;
const IPV4_PROTOCOL_OFFSET = 9;
const IPV4_SOURCE_OFFSET = 12;
const IPV6_NEXT_HEADER_OFFSET = 6;
const IPV6_SOURCE_OFFSET = 8;
const IPV6_HEADER_SIZE = 40;

interface Ends {
  readonly protocol: number;
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/**
 * Of an IP packet without extension headers or with SCTP's ports right behind its header; undefined: too
 * short.
 */
function endsOf(packet: Uint8Array): Ends | undefined {
  const isV6 = (packet[0] ?? 0) >> 4 === 6;
  const size = isV6 ? IPV6_ADDRESS_SIZE : IPV4_ADDRESS_SIZE;
  const at = isV6 ? IPV6_SOURCE_OFFSET : IPV4_SOURCE_OFFSET;
  const header = isV6 ? IPV6_HEADER_SIZE : ((packet[0] ?? 0) & 15) * 4;
  if (packet.length < header + 4 || header < IPV4_HEADER_SIZE_MIN) return undefined;
  const port = (offset: number) => ((packet[offset] ?? 0) << 8) | (packet[offset + 1] ?? 0);
  return {
    protocol: packet[isV6 ? IPV6_NEXT_HEADER_OFFSET : IPV4_PROTOCOL_OFFSET] ?? 0,
    source: addressFromBytes(packet, at, size),
    destination: addressFromBytes(packet, at + size, size),
    sourcePort: port(header),
    destinationPort: port(header + 2),
  };
}

/**
 * Either way, at the clients' side and at the endpoints'. ICMP errors, which carry ports elsewhere, are not
 * seen.
 */
export function isOfSession(
  packet: Uint8Array,
  { kind, record }: KnownSession,
  { vips, port, sourceAddresses = [] }: Pick<Service, "vips" | "port" | "sourceAddresses">,
): boolean {
  const ends = endsOf(packet);
  if (ends === undefined || ends.protocol !== record.protocol) return false;
  const served = new Set([...vips, ...sourceAddresses]);
  const matches = ({ source, destination, sourcePort, destinationPort }: Ends): boolean => {
    if (!served.has(destination) || familyOf(source) !== familyOf(destination)) return false;
    // client → VIP
    if (destinationPort === port && sourcePort === record.clientPort && kind.clientsOf(record).has(source))
      return true;
    // endpoint → VIP
    return kind
      .natPortsOf(record)
      .some(
        (held) =>
          held.natPort === destinationPort &&
          held.endpointPort === sourcePort &&
          (held.endpoint === source || held.endpointAddresses?.includes(source) === true),
      );
  };
  const back: Ends = {
    protocol: ends.protocol,
    source: ends.destination,
    destination: ends.source,
    sourcePort: ends.destinationPort,
    destinationPort: ends.sourcePort,
  };
  return matches(ends) || matches(back);
}
