// An endpoint's packet, anything but INIT and INIT-ACK. Only here is a generation committed: the endpoint has
// shown that it holds the association.

import {
  type Address,
  type Candidate,
  candidateKeyOf,
  commitOf,
  currentCandidate,
  endOf,
  familyOf,
  type Generation,
  isLiving,
  parseCandidateKey,
  type SessionDelta,
  type SessionRecord,
  samePlace,
} from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { type Core, drop } from "../../core.ts";
import { chunkTypes, type SctpInput } from "../../packet/input.ts";
import { associationAddresses, configuredAddresses } from "../../path-mapping/endpoint-addresses.ts";
import { downDestinations } from "../../path-mapping/flows.ts";
import { probeDestination } from "../../path-mapping/probes.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import { aborted, isReflected } from "../../tracker/ends.ts";
import { matchDown, type TagMatch } from "../../tracker/match.ts";
import { type PacketTransition, trackPacket } from "../../tracker/transitions.ts";
import { dropUnaccepted, hasEndpointSpoken, noteEndpointSpoke } from "./acceptance.ts";
import { abortEndpoint, answerDead, refuseAsconf } from "./answers.ts";
import { forward } from "./forward.ts";
import { isLingering, isRestarting, phaseFor, revive } from "./lingering.ts";
import { type Origin, sessionsFrom } from "./origin.ts";
import { handleUnknown } from "./out-of-the-blue.ts";

/** From an address that is configured, or that the session's INIT-ACK told. */
export function handleDown(core: Core, input: SctpInput): undefined {
  const { verificationTag } = input.packet;
  const reflected = isReflected(input);
  let dead: (Origin & { readonly match: TagMatch }) | undefined;
  for (const origin of sessionsFrom(core, input)) {
    const { record, path } = origin;
    const match = matchDown(record, verificationTag, reflected, path);
    if (match === undefined) continue;
    if (isLiving(record) || isLingering(core, record) || isRestarting(record, match))
      return pass(core, input, record, match);
    dead ??= { ...origin, match };
  }
  if (dead !== undefined) {
    const revived = revive(core, dead.record, dead.match, verificationTag, "down");
    if (revived === undefined) return answerDead(core, input, dead.record);
    const match = matchDown(revived, verificationTag, reflected, dead.path);
    if (match !== undefined) return pass(core, input, revived, match);
  }
  if (refusesEmbryo(core, input)) return;
  miss(core, input);
}

/** An ABORT with the tag of an embryo that is in nobody's table yet: the endpoint refuses the INIT. */
function refusesEmbryo(core: Core, input: SctpInput): boolean {
  const { packet } = input;
  const embryo = core.nursery.byAnswer(packet.verificationTag, packet.destinationPort);
  if (embryo === undefined || embryo.published || embryo.endpoint.port !== packet.sourcePort) return false;
  if (!core.registry.addressesOf(embryo.endpoint).includes(input.source)) return false;
  if (!packet.chunks.some((chunk) => chunk.type === CHUNK.ABORT) || isReflected(input)) return false;
  const { entry } = embryo;
  core.counters.count("generations-aborted");
  core.health.refused(embryo.endpoint);
  core.nursery.remove(embryo);
  const { address, port } = embryo.endpoint;
  if (embryo.loan !== undefined) core.loans.giveBack(embryo.loan);
  else if (embryo.ownsPort)
    core.natPorts.release(address, port, embryo.natPort, "verified", core.clock.nowMs());
  if (familyOf(embryo.lastSource) !== familyOf(input.destination)) {
    drop(core, "no-path", input.bytes);
    return true;
  }
  forward(core, input, entry, {
    newSource: input.destination,
    newDestination: embryo.lastSource,
    newSourcePort: entry.service.port,
    newDestinationPort: embryo.clientPort,
  });
  return true;
}

function miss(core: Core, input: SctpInput): undefined {
  if (input.copy) return;
  const { sourcePort: endpointPort, destinationPort: natPort } = input.packet;
  const endpoint = core.registry.endpointAddress(input.source, endpointPort);
  // An address that nobody configured and no session names: the others are not asked for a stranger's sake.
  if (input.asked || endpoint === undefined) {
    const isKnown = [...sessionsFrom(core, input)].some(({ record }) => isLiving(record));
    if (isKnown || endpoint === undefined)
      return drop(core, isKnown ? "wrong-tag" : "no-session", input.bytes);
    return handleUnknown(core, input);
  }
  core.held.ask(input, { kind: "natPort", endpoint, endpointPort, natPort });
}

function pass(core: Core, input: SctpInput, record: SessionRecord, match: TagMatch): undefined {
  const entry = core.registry.get(record.serviceId);
  const vip = entry?.vipIndex.get(input.destination);
  if (entry === undefined || vip === undefined) return drop(core, "no-service", input.bytes);
  const isEarlier = match.role === "superseded" || match.role === "concurrent";
  if (isEarlier && !(isAtSamePlace(record, match) && isContradicted(core, record)))
    return drop(core, "wrong-tag", input.bytes);
  const phase = phaseFor(record, match);
  const doubted = isReflected(input) && (match.role === "current" || record.commit === undefined);
  if (doubted && phase !== "closed" && !hasEndpointSpoken(core, record, match.generation, vip))
    return dropUnaccepted(core, input, entry, input.source);
  const transition = trackPacket("down", chunkTypes(input.packet), phase);
  if (!transition.forward) {
    if (input.packet.chunks.some((c) => c.type === CHUNK.ASCONF || c.type === CHUNK.ASCONF_ACK)) {
      return refuseAsconf(core, input, match.candidate?.endpointTag ?? 0);
    }
    return drop(core, "wrong-phase", input.bytes);
  }
  const joined = phase === "closed" ? record : observe(core, record, match, transition);
  if (input.copy) return;
  const destination = destinationOf(core, input, joined, match.generation, vip, entry.service.vips);
  if (destination === undefined) return drop(core, "unverified-address", input.bytes);
  forward(core, input, entry, {
    newSource: input.destination,
    newDestination: destination,
    newSourcePort: entry.service.port,
    newDestinationPort: joined.clientPort,
  });
  const local = core.sessions.get(record.id);
  if (local !== undefined) {
    local.lastSeenMs = core.clock.nowMs();
    const { clientTag } = match.generation;
    if (transition.end === undefined && joined.commit?.clientTag === clientTag)
      noteEndpointSpoke(local, clientTag, vip);
    learnEndpointAddress(core, input, joined, entry);
  }
}

/**
 * A restart that moved to another endpoint, or NAT port, leaves a ghost where it came from when the ABORT to
 * it is lost. What that says of an association that it had is no word about the one in force.
 */
function isAtSamePlace(record: SessionRecord, { candidate }: TagMatch): boolean {
  const current = currentCandidate(record);
  return current === undefined || candidate === undefined || samePlace(current, candidate);
}

/**
 * Concurrent commits of two halves of a partition, or a delayed packet? The endpoint keeps only one
 * association, so its word counts against the record when it has been silent with the tag in force for a
 * while.
 */
function isContradicted(core: Core, record: SessionRecord): boolean {
  const local = core.sessions.get(record.id);
  if (local === undefined) return false;
  const quietMs = core.clock.nowMs() - Math.max(local.endpointHeardMs, local.committedMs);
  return quietMs >= core.limits.contradictionMs;
}

/** Facts that a tag-valid packet of the endpoint shows. */
function observe(
  core: Core,
  record: SessionRecord,
  match: TagMatch,
  transition: PacketTransition,
): SessionRecord {
  const { generation, candidate } = match;
  if (transition.end !== undefined) {
    // Tag-verified; with a pending generation's tag it refuses that INIT alone (RFC 9260 §8.4 rule 3).
    if (match.role !== "current" && record.commit !== undefined) {
      core.counters.count("generations-aborted");
      return core.table.apply(aborted(record, generation), { urgent: true });
    }
    const cause = transition.end === "endShutdown" ? "shutdown" : "abortByEndpoint";
    return core.table.apply({ id: record.id, end: endOf(record, cause) }, { urgent: true });
  }
  let delta: SessionDelta | undefined;
  let urgent = false;
  const key = candidate && candidateKeyOf(candidate);
  const present = currentCandidate(record);
  const inForce =
    record.commit?.clientTag === generation.clientTag &&
    present !== undefined &&
    candidateKeyOf(present) === key;
  const commits =
    transition.commits &&
    candidate !== undefined &&
    candidate.endpointTag !== 0 &&
    !isAmbiguous(generation, candidate) &&
    !inForce &&
    (match.role !== "current" || isContradicted(core, record));
  if (commits) {
    urgent = true;
    const clients = new Map<Address, boolean>();
    // The cookie that the endpoint has accepted had been sent to the INIT's source alone.
    clients.set(generation.source, true);
    for (const address of generation.listed) if (!record.clients.has(address)) clients.set(address, false);
    delta = {
      id: record.id,
      commit: commitOf(record, generation.clientTag, candidate),
      clients,
    };
  }
  if (transition.phase !== generation.phase && (commits || match.role === "current")) {
    const next: Generation = { ...generation, phase: transition.phase };
    delta = { ...(delta ?? { id: record.id }), generations: new Map([[generation.clientTag, next]]) };
  }
  const local = core.sessions.get(record.id);
  if (local !== undefined && match.role === "current") local.endpointHeardMs = core.clock.nowMs();
  if (delta === undefined) return record;
  const joined = core.table.apply(delta, { urgent });
  if (commits) committed(core, record, joined);
  return joined;
}

/**
 * Several INIT-ACKs came along one path, and which of them the client took is not known here yet: the
 * endpoint's packets carry the client's tag, which fits them all.
 */
function isAmbiguous(generation: Generation, candidate: Candidate): boolean {
  if (candidate.echoed) return false;
  for (const other of generation.candidates.values()) {
    if (other === candidate || other.endpointTag === 0 || !samePlace(other, candidate)) continue;
    return true;
  }
  return false;
}

function committed(core: Core, previous: SessionRecord, record: SessionRecord): undefined {
  const isRestart = previous.commit !== undefined;
  core.counters.count(isRestart ? "restarts-committed" : "sessions-committed");
  core.events.committed(record, isRestart);
  // A restart that moved (its endpoint drains or is down): the old endpoint still holds the earlier
  // association.
  const entry = core.registry.get(record.serviceId);
  if (isRestart && entry !== undefined && movedEndpoint(previous, record)) {
    abortEndpoint(core, record, entry, { previous });
  }
}

function movedEndpoint(previous: SessionRecord, record: SessionRecord): boolean {
  const place = ({ commit }: SessionRecord) => commit && parseCandidateKey(commit.candidate);
  const [before, after] = [place(previous), place(record)];
  return before === undefined || after === undefined ? before !== after : !samePlace(before, after);
}

const PATH_CHUNKS: ReadonlySet<number> = new Set([
  CHUNK.DATA,
  CHUNK.I_DATA,
  CHUNK.FORWARD_TSN,
  CHUNK.I_FORWARD_TSN,
  CHUNK.RE_CONFIG,
  CHUNK.HEARTBEAT,
]);

/**
 * As the fast path decides it (docs/sctp.md §6): what probes or carries a path to the paired address, others
 * back.
 */
function destinationOf(
  core: Core,
  input: SctpInput,
  record: SessionRecord,
  generation: Generation,
  vip: number,
  vips: readonly Address[],
): Address | undefined {
  const local = core.sessions.get(record.id);
  const destinations = downDestinations(record, generation, vip, vips, local?.paths);
  if (destinations === undefined) return undefined;
  const { path, pathVerified } = destinations;
  const { chunks } = input.packet;
  const heartbeatOnly = chunks.every((chunk) => chunk.type === CHUNK.HEARTBEAT);
  if (heartbeatOnly)
    return pathVerified ? path : probeDestination(core, local, record, generation, vip, path);
  const isPath = chunks.some((chunk) => PATH_CHUNKS.has(chunk.type));
  const chosen = isPath && pathVerified ? path : destinations.reply;
  // Until something tag-valid came from an address, nothing but probes goes there. The INIT's source is as
  // good as verified for what answers its handshake: it is where the INIT-ACK went.
  if (record.clients.get(chosen) === true || chosen === generation.source) return chosen;
  return undefined;
}

/** The packet came from an address of the endpoint that nobody configured: its flow is installed, too. */
function learnEndpointAddress(
  core: Core,
  input: SctpInput,
  record: SessionRecord,
  entry: ServiceEntry,
): undefined {
  const { source } = input;
  const candidate = currentCandidate(record);
  const local = core.sessions.get(record.id);
  if (local === undefined || candidate === undefined) return;
  if (configuredAddresses(candidate, entry).includes(source)) return;
  if (!associationAddresses(candidate).includes(source)) return;
  if (local.paths.learnedEndpoints?.includes(source) === true) return;
  // Another session has this flow: the port is in use at the endpoint whose address that is.
  const { endpointPort, natPort } = candidate;
  for (const other of sessionsFrom(core, input)) {
    if (other.record.id !== record.id && isLiving(other.record) && other.path.natPort === natPort) return;
  }
  const learned = [...(local.paths.learnedEndpoints ?? []), source];
  if (learned.length > core.limits.learnedFlowCountMax || endpointPort !== input.packet.sourcePort) return;
  core.counters.count("flows-learned");
  core.sessions.update(local, record, { learnedEndpoints: learned });
}
