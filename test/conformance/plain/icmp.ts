// ICMP errors as a router or a host sends them about a packet that it got.
import { write16, write32 } from "@holdfast/sctp";
import { type CapturedPacket, icmpPacket } from "@holdfast/testkit";

const QUOTED_MAX = 548;

/** From whom the packet was for, to whom it was from. `mtu` of "too-big". */
export function quotingError(
  { source, destination, bytes }: Pick<CapturedPacket, "source" | "destination" | "bytes">,
  kind: "too-big" | "unreachable" | "expired",
  mtu = 0,
): Uint8Array {
  const isV6 = source.includes(":");
  const [type, code] = isV6
    ? ({ "too-big": [2, 0], unreachable: [1, 4], expired: [3, 0] } as const)[kind]
    : ({ "too-big": [3, 4], unreachable: [3, 3], expired: [11, 0] } as const)[kind];
  const quoted = bytes.subarray(0, QUOTED_MAX);
  const rest = new Uint8Array(4 + quoted.length);
  if (isV6) write32(rest, 0, mtu);
  else write16(rest, 2, mtu);
  rest.set(quoted, 4);
  return icmpPacket({ source: destination, destination: source }, type, code, rest);
}
