// ICMP messages of the compliance suite.
import { type Address, addressBytes } from "@holdfast/model";
import { encodeIp, internetChecksum, PROTOCOL, pseudoHeaderSum, write16 } from "@holdfast/sctp";

/**
 * An ICMP or ICMPv6 message in an IP packet, checksums right. `rest` is what follows type, code and checksum.
 */
export function icmpMessage(
  source: Address,
  destination: Address,
  type: number,
  code: number,
  rest: Uint8Array,
): Uint8Array {
  const [from, to] = [addressBytes(source), addressBytes(destination)];
  const ipv4 = from.length === 4;
  const protocol = ipv4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6;
  const payload = new Uint8Array(4 + rest.length);
  payload[0] = type;
  payload[1] = code;
  payload.set(rest, 4);
  const sum = ipv4 ? 0 : pseudoHeaderSum(from, to, payload.length, protocol);
  write16(payload, 2, internetChecksum(payload, 0, payload.length, sum));
  return encodeIp({ source: from, destination: to, protocol, payload });
}

/** A ping with 24 bytes of data. */
export function echoRequest(source: Address, destination: Address): Uint8Array {
  const rest = Uint8Array.from({ length: 28 }, (_, i) => i * 7);
  return icmpMessage(source, destination, source.includes(":") ? 128 : 8, 0, rest);
}
