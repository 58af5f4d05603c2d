// What an ABORT says, and of what.
import type { Generation, SessionDelta, SessionRecord } from "@holdfast/model";
import { CHUNK, T_BIT } from "@holdfast/sctp";
import type { SctpInput } from "../packet/input.ts";

/**
 * RFC 9260 §8.5.1: with the T bit, ABORT and SHUTDOWN-COMPLETE carry the tag that was sent to their sender.
 */
export function isReflected(input: Pick<SctpInput, "packet">): boolean {
  for (const chunk of input.packet.chunks) {
    if (chunk.type === CHUNK.ABORT || chunk.type === CHUNK.SHUTDOWN_COMPLETE)
      return (chunk.flags & T_BIT) !== 0;
  }
  return false;
}

/** The generation alone is over; the association that it wanted to replace lives on. */
export function aborted(record: SessionRecord, generation: Generation): SessionDelta {
  return {
    id: record.id,
    generations: new Map([[generation.clientTag, { ...generation, aborted: true }]]),
  };
}
