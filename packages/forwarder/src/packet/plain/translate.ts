// The slow path's translation of TCP and UDP: the fast path's edits, on a copy.
import type { Address } from "@holdfast/model";
import type { IpHeader } from "@holdfast/sctp";
import { bytesOf } from "../translate.ts";
import type { PlainHeader } from "./header.ts";
import { plainDeltas, rewritePlain, writePlainChecksum } from "./rewrite.ts";

export interface PlainTranslation {
  readonly newSource: Address;
  readonly newDestination: Address;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
  /** See PlainTcp. */
  readonly shift: number;
  readonly direction: "up" | "down";
}

/**
 * A copy of the packet that `ip` and `header` were read from, translated, hop limit less one, ready for
 * `FastPath.send`: a checksum that was not filled in is. Address families must be the packet's.
 */
export function translatePlain(
  bytes: Uint8Array,
  ip: IpHeader,
  header: PlainHeader,
  translation: PlainTranslation,
  checksumPartial: boolean,
): Uint8Array {
  const copy = bytes.slice(0, ip.end);
  const { sourceOffset, destinationOffset, addressSize } = ip;
  const rewrite = {
    newSource: bytesOf(translation.newSource),
    newDestination: bytesOf(translation.newDestination),
    newSourcePort: translation.newSourcePort,
    newDestinationPort: translation.newDestinationPort,
    shift: translation.shift,
    direction: translation.direction,
  };
  const deltas = plainDeltas(
    bytes.subarray(sourceOffset, sourceOffset + addressSize),
    bytes.subarray(destinationOffset, destinationOffset + addressSize),
    header.sourcePort,
    header.destinationPort,
    rewrite,
  );
  rewritePlain(copy, ip, header, rewrite, deltas, checksumPartial);
  if (checksumPartial) writePlainChecksum(copy, ip);
  return copy;
}
