// The name of a session: two members that see the same INIT, also from different addresses, must give the same.
import { v5 } from "uuid";
import type { Address } from "../address.ts";
import type { ServiceId } from "../service.ts";
import { compareText } from "./order.ts";
import type { SessionId, Tag } from "./record.ts";

/** Namespace of Holdfast's session ids (RFC 9562 §5.5). Never changes. */
const SESSION_NAMESPACE = "4b1d0c6e-6a55-5f0e-9d56-3f6c1f1f5a10";

/**
 * uuid v5 of service, client port, initiate tag and the smallest (by code unit) of the INIT's source and the addresses
 * it lists, before any filter: a retransmitted INIT may come from another source (RFC 9260 §5.1.2).
 */
export function sessionIdOf(
  serviceId: ServiceId,
  clientPort: number,
  initiateTag: Tag,
  source: Address,
  listed: readonly Address[],
): SessionId {
  let smallest: string = source;
  for (const address of listed) if (compareText(address, smallest) < 0) smallest = address;
  return v5(`${serviceId}|${clientPort}|${initiateTag}|${smallest}`, SESSION_NAMESPACE);
}

/** The 16 bytes of an id. Throws on text that is no uuid: ids come from `sessionIdOf` or the codec only. */
export function sessionIdToBytes(id: SessionId, target = new Uint8Array(16), offset = 0): Uint8Array {
  if (id.length !== 36) throw new RangeError(`not a session id: ${id}`);
  let at = offset;
  for (let i = 0; i < 36; i += 2) {
    if (i === 8 || i === 13 || i === 18 || i === 23) i++;
    const byte = (digit(id.charCodeAt(i)) << 4) | digit(id.charCodeAt(i + 1));
    if (byte < 0) throw new RangeError(`not a session id: ${id}`);
    target[at++] = byte;
  }
  return target;
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

export function sessionIdFromBytes(bytes: Uint8Array, offset = 0): SessionId {
  const h = (i: number) => HEX[bytes[offset + i] as number] as string;
  return `${h(0)}${h(1)}${h(2)}${h(3)}-${h(4)}${h(5)}-${h(6)}${h(7)}-${h(8)}${h(9)}-${h(10)}${h(11)}${h(12)}${h(13)}${h(14)}${h(15)}`;
}
