// A client's packet, anything but INIT: which session and generation its tag belongs to, what it changes,
// where it goes.
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  commitOf,
  endOf,
  type Generation,
  isLiving,
  latestOrdinal,
  type SessionDelta,
  type SessionRecord,
} from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { type Core, drop } from "../../core.ts";
import { type Embryo, isClientOf } from "../../embryos/embryo.ts";
import { publish } from "../../embryos/publish.ts";
import { addressesDown } from "../../health/endpoint-addresses.ts";
import { chunkTypes, type SctpInput } from "../../packet/input.ts";
import { endpointAddressFor } from "../../path-mapping/endpoint-addresses.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import { aborted, isReflected } from "../../tracker/ends.ts";
import { matchUp, type TagMatch } from "../../tracker/match.ts";
import { type PacketTransition, trackPacket } from "../../tracker/transitions.ts";
import { dropUnaccepted, hasClientSpoken } from "./acceptance.ts";
import { answerDead, refuseAsconf } from "./answers.ts";
import { forward } from "./forward.ts";
import { heardDelta, noteHeard } from "./heard.ts";
import { isLingering, isRestarting, phaseFor, revive } from "./lingering.ts";
import { handleUnknown } from "./out-of-the-blue.ts";

export function handleUp(core: Core, input: SctpInput, entry: ServiceEntry, vip: number): undefined {
  const { source, packet } = input;
  const reflected = isReflected(input);
  let dead: { readonly record: SessionRecord; readonly match: TagMatch } | undefined;
  for (const record of core.table.byClient(entry.service.id, source, packet.sourcePort)) {
    const match = matchUp(record, packet.verificationTag, reflected);
    if (match === undefined) continue;
    if (isLiving(record) || isLingering(core, record) || isRestarting(record, match))
      return pass(core, input, entry, vip, record, match, reflected);
    dead ??= { record, match };
  }
  if (dead !== undefined) {
    const revived = revive(core, dead.record, dead.match, packet.verificationTag, "up");
    if (revived === undefined) {
      if (dead.record.end?.cause !== "endpointDown") return answerDead(core, input, dead.record);
      // Its client may be one that was told and did not hear it, or one that reaches the endpoint through a
      // member that could not be asked when it was called dead. The first can wait; an ABORT would kill the
      // other.
      return input.asked ? drop(core, "session-ended", input.bytes) : miss(core, input, entry);
    }
    const match = matchUp(revived, packet.verificationTag, reflected);
    if (match !== undefined) return pass(core, input, entry, vip, revived, match, reflected);
  }
  const embryo = echoedEmbryo(core, input, entry);
  if (embryo !== undefined) {
    const record = publish(core, embryo);
    const match = matchUp(record, packet.verificationTag, false);
    if (match !== undefined) return pass(core, input, entry, vip, record, match, false);
  }
  miss(core, input, entry);
}

/** An embryo whose replication was put off, now that its cookie comes back. */
function echoedEmbryo(core: Core, input: SctpInput, entry: ServiceEntry): Embryo | undefined {
  const embryo = core.nursery.byEndpointTag(input.packet.verificationTag);
  if (embryo === undefined || embryo.published || embryo.entry.service.id !== entry.service.id)
    return undefined;
  if (embryo.clientPort !== input.packet.sourcePort) return undefined;
  return isClientOf(embryo, input.source) ? embryo : undefined;
}

function miss(core: Core, input: SctpInput, entry: ServiceEntry): undefined {
  if (input.copy) return;
  const { source, packet } = input;
  if (input.asked) {
    const known = core.table.byClient(entry.service.id, source, packet.sourcePort);
    return known.some(isLiving) ? drop(core, wrongTagReason(input), input.bytes) : handleUnknown(core, input);
  }
  core.held.ask(input, {
    kind: "client",
    serviceId: entry.service.id,
    client: source,
    clientPort: packet.sourcePort,
  });
}

/** A COOKIE-ECHO with an unknown tag is the one case where the tag names a candidate. */
function wrongTagReason(input: SctpInput): "no-candidate" | "wrong-tag" {
  return isCookieEcho(input) ? "no-candidate" : "wrong-tag";
}

function isCookieEcho(input: SctpInput): boolean {
  return input.packet.chunks[0]?.type === CHUNK.COOKIE_ECHO;
}

function pass(
  core: Core,
  input: SctpInput,
  entry: ServiceEntry,
  vip: number,
  record: SessionRecord,
  match: TagMatch,
  reflected: boolean,
): undefined {
  if (match.role === "superseded" || (match.role === "concurrent" && !isCookieEcho(input)))
    return drop(core, "wrong-tag", input.bytes);
  if (!isClientAddress(record, match.generation, input.source)) {
    return drop(core, "source-not-in-set", input.bytes);
  }
  const phase = phaseFor(record, match);
  const doubted = reflected && (match.role === "current" || record.commit === undefined);
  if (doubted && phase !== "closed" && !hasClientSpoken(core, record, match.generation, vip, input.source))
    return dropUnaccepted(core, input, entry, input.source);
  const transition = trackPacket("up", chunkTypes(input.packet), phase);
  if (!transition.forward) {
    if (isAsconf(input)) return refuseAsconf(core, input, match.generation.clientTag);
    return drop(core, "wrong-phase", input.bytes);
  }
  if (phase !== "closed") observe(core, input, vip, record, match, transition, reflected);
  if (input.copy) return;
  const candidate = match.candidate;
  if (candidate === undefined) return drop(core, "no-candidate", input.bytes);
  const local = core.sessions.get(record.id);
  const paths = local?.paths ?? { endpointsDown: addressesDown(core.health, candidate, entry) };
  const endpoint = endpointAddressFor(candidate, entry, vip, paths);
  if (endpoint === undefined) return drop(core, "no-path", input.bytes);
  forward(core, input, entry, {
    newSource: input.destination,
    newDestination: endpoint,
    newSourcePort: candidate.natPort,
    newDestinationPort: candidate.endpointPort,
  });
  if (local !== undefined) local.lastSeenMs = core.clock.nowMs();
}

function isAsconf(input: SctpInput): boolean {
  return input.packet.chunks.some((chunk) => chunk.type === CHUNK.ASCONF || chunk.type === CHUNK.ASCONF_ACK);
}

/** RFC 9260 §8.4 at the translator: the endpoint sees only VIPs, so it cannot check the source itself. */
function isClientAddress(record: SessionRecord, generation: Generation, source: Address): boolean {
  return record.clients.has(source) || generation.source === source || generation.listed.includes(source);
}

/** Facts that a tag-valid packet of the client shows. Returns the record with them. */
function observe(
  core: Core,
  input: SctpInput,
  vip: number,
  record: SessionRecord,
  match: TagMatch,
  transition: PacketTransition,
  reflected: boolean,
): SessionRecord {
  const { generation } = match;
  let delta: SessionDelta | undefined;
  let urgent = false;
  const changed =
    match.role === "concurrent"
      ? laterGeneration(record, match, transition)
      : changedGeneration(generation, reflected ? undefined : match.candidate, transition);
  if (transition.end !== undefined) {
    urgent = true;
    // An ABORT with a pending generation's tag ends that one, never the association that it wanted to
    // replace.
    if (match.role !== "current" && record.commit !== undefined) {
      core.counters.count("generations-aborted");
      delta = aborted(record, generation);
    } else {
      const cause = transition.end === "endShutdown" ? "shutdown" : "abortByClient";
      delta = { id: record.id, end: endOf(record, cause) };
    }
  } else if (changed !== undefined) {
    delta = { id: record.id, generations: new Map([[generation.clientTag, changed]]) };
    urgent = transition.selects;
  }
  const chosen = reflected || transition.end !== undefined ? undefined : otherChoice(input, record, match);
  if (chosen !== undefined) {
    delta = { ...(delta ?? { id: record.id }), commit: commitOf(record, generation.clientTag, chosen) };
    urgent = true;
  }
  // What comes back with the client's own tag proves nothing about where it came from.
  const proven = !reflected && transition.end === undefined;
  const clients = new Map<Address, boolean>();
  if (proven && record.clients.get(input.source) !== true) {
    core.counters.count("addresses-verified");
    clients.set(input.source, true);
  }
  // A restart's further addresses (`restartNewAddresses: accept`) join with the cookie that proves it.
  for (const address of proven && transition.selects ? generation.listed : [])
    if (!record.clients.has(address)) clients.set(address, false);
  if (clients.size > 0) delta = { ...(delta ?? { id: record.id }), clients };
  // Before the first commit there is no local side: who sent the cookie is replicated with it.
  const local = core.sessions.get(record.id);
  if (proven && local === undefined) {
    const heard = heardDelta(core, record, vip, input.source);
    if (heard !== undefined) delta = { ...(delta ?? { id: record.id }), heard };
  }
  if (transition.selects) {
    const embryo = match.candidate && core.nursery.byAnswer(generation.clientTag, match.candidate.natPort);
    if (embryo !== undefined) core.nursery.echoed(embryo);
  }
  const joined = delta === undefined ? record : core.table.apply(delta, { urgent });
  if (proven && local !== undefined) noteHeard(core, local, joined, vip, input.source);
  return joined;
}

/**
 * Several INIT-ACKs of one INIT, and the COOKIE-ACK did not say which: a client uses the tag of the one that
 * it accepted, and it has the COOKIE-ACK when it sends anything but COOKIE-ECHO.
 */
function otherChoice(input: SctpInput, record: SessionRecord, match: TagMatch): Candidate | undefined {
  const { candidate, role } = match;
  if (role !== "current" || candidate === undefined || !candidate.echoed) return undefined;
  if (record.commit === undefined || record.commit.candidate === candidateKeyOf(candidate)) return undefined;
  if (input.packet.chunks.some((chunk) => chunk.type === CHUNK.COOKIE_ECHO)) return undefined;
  return candidate;
}

/** The generation with what the packet changes, or undefined. */
function changedGeneration(
  generation: Generation,
  candidate: Candidate | undefined,
  transition: PacketTransition,
): Generation | undefined {
  // With a COOKIE-ECHO, or by using its tag for anything else, a client shows which INIT-ACK it took.
  const select = candidate !== undefined && !candidate.echoed && candidate.endpointTag !== 0;
  if (transition.phase === generation.phase && !select) return undefined;
  if (transition.phase === "closed") return undefined;
  return {
    ...generation,
    phase: transition.phase,
    candidates: select
      ? new Map([[candidateKeyOf(candidate), { ...candidate, echoed: true }]])
      : generation.candidates,
  };
}

/**
 * Of two INITs that were seen at once the later one is the one whose cookie comes back last: the client has
 * begun anew. Should this cookie be an old one that was late, the endpoint knows (RFC 9260 §5.2.4), and
 * nothing of it is committed.
 */
function laterGeneration(
  record: SessionRecord,
  { generation, candidate }: TagMatch,
  transition: PacketTransition,
): Generation {
  const candidates = new Map(generation.candidates);
  if (candidate !== undefined) candidates.set(candidateKeyOf(candidate), { ...candidate, echoed: true });
  return { ...generation, ordinal: latestOrdinal(record) + 1, phase: transition.phase, candidates };
}
