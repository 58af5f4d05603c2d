// IP packets with SCTP or ICMP inside, from addresses as text.
import { type Address, addressBytes } from "@holdfast/model";
import {
  encodeIp,
  encodePacket,
  type IpFields,
  internetChecksum,
  PROTOCOL,
  pseudoHeaderSum,
  write16,
} from "@holdfast/sctp";

/** Header fields that a test may want to set; see `IpFields`. */
export type IpExtras = Partial<Omit<IpFields, "source" | "destination" | "payload">>;

export interface Ends {
  readonly source: Address;
  readonly destination: Address;
}

export interface SctpEnds extends Ends {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A whole IP packet around encoded chunks, checksums right. */
export function sctpPacket(
  ends: SctpEnds,
  verificationTag: number,
  chunks: readonly Uint8Array[],
  extras: IpExtras = {},
): Uint8Array {
  const { sourcePort, destinationPort } = ends;
  return ipPacket(ends, encodePacket({ sourcePort, destinationPort, verificationTag, chunks }), extras);
}

/** A whole IP packet around any payload. */
export function ipPacket(ends: Ends, payload: Uint8Array, extras: IpExtras = {}): Uint8Array {
  return encodeIp({
    source: addressBytes(ends.source),
    destination: addressBytes(ends.destination),
    payload,
    ...extras,
  });
}

/** An ICMP or ICMPv6 message, by the family of the ends. `rest` is what follows type, code and checksum. */
export function icmpPacket(
  ends: Ends,
  type: number,
  code: number,
  rest: Uint8Array,
  extras: IpExtras = {},
): Uint8Array {
  const message = new Uint8Array(4 + rest.length);
  message[0] = type;
  message[1] = code;
  message.set(rest, 4);
  const source = addressBytes(ends.source);
  const ipv4 = source.length === 4;
  const protocol = ipv4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6;
  const sum = ipv4 ? 0 : pseudoHeaderSum(source, addressBytes(ends.destination), message.length, protocol);
  write16(message, 2, internetChecksum(message, 0, message.length, sum));
  return ipPacket(ends, message, { protocol, ...extras });
}
