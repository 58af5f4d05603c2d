// The row of TCP and UDP in the table of kinds. Their records are always written whole.
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../service.ts";
import { foreignFactOf } from "../session/codec/foreign.ts";
import type { DecodingOf, SessionKind } from "../session/kind.ts";
import { decodePlain, writePlain } from "./codec.ts";
import {
  comparePlain,
  emptyPlain,
  isPlainEnded,
  joinPlain,
  PLAIN_PHASES,
  type PlainRecord,
  plainPhase,
} from "./record.ts";

export const PLAIN_SESSIONS: SessionKind<PlainRecord> = {
  protocols: [PROTOCOL_TCP, PROTOCOL_UDP],
  phases: PLAIN_PHASES,
  empty: emptyPlain,
  join: joinPlain,
  // A delta alone would be of no use to a member that lacks the rest, and is hardly shorter.
  complete: (record, delta) => joinPlain(record, delta),
  write: (out, delta) => writePlain(out, joinPlain(emptyPlain(delta.id), delta)),
  tombstoneOf: (record) => record,
  decode(bytes, offset = 0, end = bytes.length): DecodingOf<PlainRecord> {
    const delta = decodePlain(bytes, offset, end);
    return delta === undefined ? { malformed: "out-of-bounds" } : { delta, end };
  },
  // What cannot be read of their bodies is a later version's, and is carried.
  isSound: (bytes) => foreignFactOf(bytes) !== undefined,
  isEnded: isPlainEnded,
  phaseOf: plainPhase,
  comparePrecedence: comparePlain,
  clientsOf: ({ client }) => ({
    size: 1,
    has: (address) => address === client,
    keys: () => [client],
  }),
  natPortsOf: portsOf,
  currentPort: (record) => portsOf(record)[0],
  shownPort: (record) => portsOf(record)[0],
  tagsOf: () => NO_TAGS,
  hasTag: () => false,
  hasSameBody: (a, b) => a.marks === b.marks,
  hasSamePorts: (a, b) => a.natPort === b.natPort && a.endpoint === b.endpoint,
};

const NO_TAGS: readonly number[] = [];

function portsOf({ endpoint, endpointPort, natPort, member }: PlainRecord) {
  return [{ endpoint, endpointPort, natPort, member }];
}
