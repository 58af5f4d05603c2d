// ERROR and ABORT chunks carry addresses in two causes only: 5 (Unresolvable Address) and 11 (Restart with
// New Addresses). Passed on as they are, they would show one side the other's addresses.
import { writeChecksum } from "../checksum/crc32c.ts";
import { isMalformed, type Malformed } from "../wire/malformed.ts";
import { CAUSE, CHUNK } from "../wire/numbers.ts";
import { allChunks, type Chunk, COMMON_HEADER_SIZE, type Packet } from "../wire/packet.ts";
import { addressSize, parseCauses, parseParameters } from "../wire/parameters.ts";
import { paddedLength, TLV_HEADER_SIZE, write16 } from "../wire/tlv.ts";

/** Whether any chunk of the packet carries a cause with addresses, so that `filterErrorCauses` is needed. */
export function carriesCauseWithAddresses(packet: Packet): boolean {
  if (!packet.chunks.some(hasCauses)) return false;
  for (const chunk of allChunks(packet)) {
    if (!hasCauses(chunk)) continue;
    const causes = parseCauses(chunk);
    if (!isMalformed(causes) && causes.some((cause) => isAddressCause(cause.type))) return true;
  }
  return false;
}

/**
 * The packet without the address parameters of causes 5 and 11 for which `keep` (4 or 16 bytes) is false; a
 * cause that loses all of them goes with them, the chunk stays. A cause list that does not parse is refused:
 * addresses could hide in it. The caller has verified the checksum, and that no AUTH covers the chunk; a new
 * one is computed.
 */
export function filterErrorCauses(
  packet: Packet,
  keep: (address: Uint8Array) => boolean,
): Uint8Array | Malformed {
  const out = new Uint8Array(packet.end - packet.start + TLV_HEADER_SIZE);
  out.set(packet.bytes.subarray(packet.start, packet.start + COMMON_HEADER_SIZE));
  let end = COMMON_HEADER_SIZE;
  for (const chunk of allChunks(packet)) {
    if (!hasCauses(chunk)) {
      out.set(chunk.bytes.subarray(chunk.offset, chunk.offset + chunk.length), end);
      end += paddedLength(chunk.length);
      continue;
    }
    const length = filterChunk(chunk, keep, out, end);
    if (typeof length !== "number") return length;
    end += paddedLength(length);
  }
  writeChecksum(out, 0, end);
  return out.subarray(0, end);
}

function hasCauses(chunk: Chunk): boolean {
  return chunk.type === CHUNK.ERROR || chunk.type === CHUNK.ABORT;
}

function isAddressCause(code: number): boolean {
  return code === CAUSE.UNRESOLVABLE_ADDRESS || code === CAUSE.RESTART_WITH_NEW_ADDRESSES;
}

/** Writes the filtered chunk at `at`; returns its length. */
function filterChunk(
  chunk: Chunk,
  keep: (address: Uint8Array) => boolean,
  out: Uint8Array,
  at: number,
): number | Malformed {
  const causes = parseCauses(chunk);
  if (isMalformed(causes)) return causes;
  out.set(chunk.bytes.subarray(chunk.offset, chunk.offset + TLV_HEADER_SIZE), at);
  let end = at + TLV_HEADER_SIZE;
  let unpaddedEnd = end;
  for (const cause of causes) {
    if (!isAddressCause(cause.type)) {
      out.set(cause.bytes.subarray(cause.offset, cause.offset + cause.length), end);
      unpaddedEnd = end + cause.length;
      end += paddedLength(cause.length);
      continue;
    }
    const parameters = parseParameters(
      cause.bytes,
      cause.offset + TLV_HEADER_SIZE,
      cause.offset + cause.length,
    );
    if (isMalformed(parameters)) return parameters;
    const start = end;
    end += TLV_HEADER_SIZE;
    for (const parameter of parameters) {
      const value = parameter.bytes.subarray(
        parameter.offset + TLV_HEADER_SIZE,
        parameter.offset + parameter.length,
      );
      // A host name (cause 5) names the sender as surely as an address.
      if (addressSize(parameter.type) !== value.length || !keep(value)) continue;
      out.set(parameter.bytes.subarray(parameter.offset, parameter.offset + parameter.length), end);
      end += paddedLength(parameter.length);
    }
    if (end === start + TLV_HEADER_SIZE) {
      end = start;
      continue;
    }
    write16(out, start, cause.type);
    write16(out, start + 2, end - start);
    unpaddedEnd = end;
  }
  write16(out, at + 2, unpaddedEnd - at);
  return unpaddedEnd - at;
}
