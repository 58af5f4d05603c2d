// Packets that Holdfast sends in its own name: ABORT, ERROR, SHUTDOWN-COMPLETE. Always from the VIP that was
// addressed.
import type { Address, SessionRecord } from "@holdfast/model";
import { currentCandidate, currentGeneration, familyOf } from "@holdfast/model";
import {
  CHUNK,
  encodeAbort,
  encodeError,
  encodePacket,
  encodeRestartWithNewAddresses,
  encodeShutdownComplete,
  encodeUnrecognizedChunk,
  encodeUnresolvableAddress,
  encodeUserInitiatedAbort,
  type Parameter,
} from "@holdfast/sctp";
import { type Core, drop } from "../../core.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import type { SctpInput } from "../../packet/input.ts";
import { bytesOf, ownPacket } from "../../packet/translate.ts";
import { endpointAddressFor } from "../../path-mapping/endpoint-addresses.ts";
import type { ServiceEntry } from "../../services/registry.ts";

/** Answers the sender of `input` from the address that it used. */
function reply(core: Core, input: SctpInput, verificationTag: number, chunk: Uint8Array): boolean {
  const payload = encodePacket({
    sourcePort: input.packet.destinationPort,
    destinationPort: input.packet.sourcePort,
    verificationTag,
    chunks: [chunk],
  });
  const packet = ownPacket(input.destination, input.source, payload);
  return packet !== undefined && core.fastPath.send(packet);
}

/** RFC 9260 §3.3.2.1.4: a Host Name Address is answered with an ABORT, cause Unresolvable Address. */
export function refuseHostName(
  core: Core,
  input: SctpInput,
  clientTag: number,
  parameter: Parameter,
): undefined {
  drop(core, "init-host-name", input.bytes);
  if (!core.answerRate.take(core.clock.nowMs(), sourcePrefix(input.source))) return;
  const whole = parameter.bytes.slice(parameter.offset, parameter.offset + parameter.length);
  if (reply(core, input, clientTag, encodeAbort({ causes: [encodeUnresolvableAddress(whole)] }))) {
    core.counters.count("aborts-sent");
  }
}

/** RFC 9260 §5.2.2: a restart that adds addresses, or touches two associations, is refused; those live on. */
export function refuseRestart(
  core: Core,
  input: SctpInput,
  clientTag: number,
  added: readonly Address[],
  reason: "init-restart-new-addresses" | "init-two-associations",
): undefined {
  drop(core, reason, input.bytes);
  if (!core.answerRate.take(core.clock.nowMs(), sourcePrefix(input.source))) return;
  const cause = encodeRestartWithNewAddresses(added.map((address) => bytesOf(address)));
  if (reply(core, input, clientTag, encodeAbort({ causes: [cause] }))) core.counters.count("aborts-sent");
}

/** `natPort: require`: the endpoint could not see the client's own port, and no other will do. */
export function refusePort(
  core: Core,
  input: SctpInput,
  clientTag: number,
  reason: "nat-port-taken" | "nat-port-unreachable",
): undefined {
  drop(core, reason, input.bytes);
  if (!core.answerRate.take(core.clock.nowMs(), sourcePrefix(input.source))) return;
  const { sourcePort } = input.packet;
  const text =
    reason === "nat-port-taken"
      ? `source port ${sourcePort} is in use toward the endpoint`
      : `the member that lends source port ${sourcePort} does not answer`;
  if (reply(core, input, clientTag, encodeAbort({ causes: [encodeUserInitiatedAbort(text)] })))
    core.counters.count("aborts-sent");
}

/**
 * ASCONF would carry addresses past the translation. RFC 5061 §4.2: an endpoint that does not know the chunk
 * says so with an ERROR, after which the sender stops; silence would run into its retransmission limit and
 * end the association.
 */
export function refuseAsconf(core: Core, input: SctpInput, peerTag: number): undefined {
  drop(core, "asconf", input.bytes);
  const chunk = input.packet.chunks.find((c) => c.type === CHUNK.ASCONF);
  if (chunk === undefined || !core.provenAnswerRate.take(core.clock.nowMs(), sourcePrefix(input.source)))
    return;
  const whole = chunk.bytes.slice(chunk.offset, chunk.offset + chunk.length);
  if (reply(core, input, peerTag, encodeError([encodeUnrecognizedChunk(whole)])))
    core.counters.count("errors-sent");
}

/** Chunks that are never answered (RFC 9260 §8.4): ends, and what may itself be an answer to nothing. */
const NOT_ANSWERED: ReadonlySet<number> = new Set([
  CHUNK.INIT,
  CHUNK.INIT_ACK,
  CHUNK.ABORT,
  CHUNK.SHUTDOWN_COMPLETE,
  CHUNK.COOKIE_ACK,
  CHUNK.COOKIE_ECHO,
  CHUNK.ERROR,
]);

/**
 * A packet of an association that the table knows to be dead, by a verified end, after its linger. RFC 9260
 * §8.4: SHUTDOWN-ACK gets a SHUTDOWN-COMPLETE, others an ABORT, both with the T bit and the tag that came.
 * Unknown associations: out-of-the-blue.ts.
 */
export function answerDead(core: Core, input: SctpInput, record: SessionRecord): undefined {
  drop(core, "session-ended", input.bytes);
  // A handshake that only timed out here may have been proven where this member did not see it.
  if (record.commit === undefined && record.end?.absorbing !== true) return;
  answerOutOfTheBlue(core, input);
}

/** RFC 9260 §8.4, rules 5 and 8. */
export function answerOutOfTheBlue(core: Core, input: SctpInput): undefined {
  const { chunks, verificationTag } = input.packet;
  if (input.copy || chunks.some((chunk) => NOT_ANSWERED.has(chunk.type))) return;
  if (!core.outOfTheBlueRates.take(input.source, core.clock.nowMs())) return;
  if (chunks.some((chunk) => chunk.type === CHUNK.SHUTDOWN_ACK)) {
    if (reply(core, input, verificationTag, encodeShutdownComplete({ reflected: true }))) {
      core.counters.count("shutdown-completes-sent");
    }
    return;
  }
  if (reply(core, input, verificationTag, encodeAbort({ reflected: true })))
    core.counters.count("aborts-sent");
}

/**
 * Tells the client that its association is over: an ABORT with its own tag (T bit 0) to every verified
 * address, from every VIP that this member owns. The client comes back in milliseconds instead of after its
 * retransmission limit.
 */
export function abortClient(
  core: Core,
  record: SessionRecord,
  entry: ServiceEntry,
  { reason, owns }: { readonly reason: string; readonly owns: (vip: Address) => boolean },
): number {
  const current = currentGeneration(record);
  let sent = 0;
  // A handshake has nothing proven but the source of its INIT, to which the INIT-ACK went.
  const generations = current === undefined ? record.generations.values() : [current];
  for (const generation of generations) {
    const payload = encodePacket({
      sourcePort: entry.service.port,
      destinationPort: record.clientPort,
      verificationTag: generation.clientTag,
      chunks: [encodeAbort({ causes: [encodeUserInitiatedAbort(reason)] })],
    });
    for (const vip of entry.service.vips) {
      if (!owns(vip)) continue;
      for (const [client, verified] of record.clients) {
        const proven = verified || (current === undefined && client === generation.source);
        if (!proven || familyOf(client) !== familyOf(vip)) continue;
        const packet = ownPacket(vip, client, payload);
        if (packet !== undefined && core.fastPath.send(packet)) sent += 1;
      }
    }
  }
  core.counters.count("aborts-sent", sent);
  return sent;
}

/**
 * Tells an endpoint that an association of its is over: moved to another endpoint, or removed by the
 * operator.
 */
export function abortEndpoint(
  core: Core,
  record: SessionRecord,
  entry: ServiceEntry,
  options: { readonly previous?: SessionRecord; readonly owns?: (vip: Address) => boolean } = {},
): undefined {
  const of = options.previous ?? record;
  const owns = options.owns ?? core.ownsVip;
  const candidate = currentCandidate(of);
  if (candidate === undefined || candidate.endpointTag === 0) return;
  const payload = encodePacket({
    sourcePort: candidate.natPort,
    destinationPort: candidate.endpointPort,
    verificationTag: candidate.endpointTag,
    chunks: [encodeAbort({ causes: [encodeUserInitiatedAbort()] })],
  });
  for (const [index, vip] of entry.service.vips.entries()) {
    const endpoint = endpointAddressFor(candidate, entry, index, core.sessions.get(of.id)?.paths);
    if (endpoint === undefined || !owns(vip)) continue;
    const packet = ownPacket(vip, endpoint, payload);
    if (packet !== undefined && core.fastPath.send(packet)) core.counters.count("aborts-sent");
    return;
  }
}
