// The compact form of records and deltas, and at once their canonical form: equal records have equal bytes,
// whatever the order in which their maps were filled. A record takes 100–250 bytes.
//
//   record     = id(16) flags(1) [identity] [createdAt] [clients] [generations] [commit] [heard] [activity]
//   [end]
//   identity   = protocol(1) service clientPort(2)
//   service    = 4 ipv4(4) port(2) | 6 ipv6(16) port(2) | 0 text
//   address    = 0 text | 4 ipv4(4) | 6 ipv6(16) | 16+i: the i-th address written in full before (i < 224)
//   generation = tag(4) ordinal flags(1: aborted, phase in 3 bits, probed VIPs in 4) arrivalVip(1) source
//   listed pairing candidates
//   candidate  = member flags(1: echoed) endpoint endpointPort(2) natPort(2) tag(4) addresses
//   commit     = epoch tag(4) candidate(index | 255 identity | 254 text) (0 | 1: as listed | 2 generation)
// Numbers without a width are varints; lists have a count byte before them. Numbers of kinds are append-only.
//
// Decoding is total: any bytes give a delta within the bounds, or the reason why not.
import { compareText } from "../order.ts";
import type { EndCause } from "../record.ts";

/** Append-only: positions are on the wire. */
export const CAUSES: readonly EndCause[] = [
  "shutdown",
  "abortByClient",
  "abortByEndpoint",
  "operator",
  "endpointDown",
  "endpointRemoved",
  "superseded",
  "idle",
  "handshakeTimeout",
  "closed",
  "resetByClient",
  "resetByEndpoint",
];

export const FLAGS_OFFSET = 16;
export const HAS_IDENTITY = 1;
export const HAS_CREATED = 2;
export const HAS_CLIENTS = 4;
export const HAS_GENERATIONS = 8;
export const HAS_COMMIT = 16;
export const HAS_HEARD = 32;
export const HAS_ACTIVITY = 64;
export const HAS_END = 128;

export const ADDRESS_TEXT = 0;
export const ADDRESS_IPV4 = 4;
export const ADDRESS_IPV6 = 6;
export const ADDRESS_BACK = 16;
export const ADDRESS_BACK_COUNT_MAX = 224;

export const COMMIT_EXPLICIT = 255;
export const COMMIT_TEXT = 254;

/** Of a generation's flags: the phase's place and width, and where the bits of the probed VIPs begin. */
export const PHASE_SHIFT = 1;
export const PHASE_MASK = 7;
export const PROBED_SHIFT = 4;

export const TEXT_LENGTH_MAX = 255;
export const VIP_INDEX_MAX = 3;
/**
 * Addresses of one list (INIT's list, pairing). Longer lists are cut when they are made; see
 * CLIENT_ADDRESS_COUNT_MAX.
 */
export const LIST_COUNT_MAX = 64;
/** Bytes of one record. Longer ones are malformed. */
export const RECORD_BYTES_MAX = 16 * 1024;

/** Keys in the one order in which they are written, and by which a commit's index counts. */
export function sortedKeys(map: ReadonlyMap<string, unknown>): string[] {
  const keys = new Array<string>(map.size);
  let count = 0;
  let isSorted = true;
  for (const key of map.keys()) {
    if (count > 0 && compareText(keys[count - 1] as string, key) > 0) isSorted = false;
    keys[count++] = key;
  }
  return isSorted ? keys : keys.sort(compareText);
}
