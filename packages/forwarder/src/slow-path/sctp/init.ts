// A client's INIT (docs/sctp.md §5): which association is meant, which endpoint takes it, and on it goes with
// the service's VIPs in the place of the client's addresses.
import {
  type Address,
  addressFromBytes,
  type Candidate,
  comparePrecedence,
  currentCandidate,
  currentGeneration,
  type Endpoint,
  familyOf,
  generationOf,
  isLiving,
  natPortsOf,
  placeAt,
  type SessionId,
  type SessionRecord,
  samePlace,
  type Tag,
} from "@holdfast/model";
import {
  type AddressFamilies,
  type Chunk,
  type Init,
  isMalformed,
  parseInit,
  rewriteInit,
} from "@holdfast/sctp";
import { type Core, drop, send } from "../../core.ts";
import type { Embryo } from "../../embryos/embryo.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import { evict, releasePlace, releasePort } from "../../embryos/ports.ts";
import { publish } from "../../embryos/publish.ts";
import { endpointAddress, isEndpointUp } from "../../health/endpoint-addresses.ts";
import type { SctpInput } from "../../packet/input.ts";
import { replacePayload } from "../../packet/translate.ts";
import { filterFor, filterListed } from "../../path-mapping/client-filter.ts";
import { familiesOf } from "../../path-mapping/families.ts";
import { pairAddresses } from "../../path-mapping/pairing.ts";
import { isAllowedSource, placesOf, type ServiceEntry } from "../../services/registry.ts";
import { refuseHostName, refusePort, refuseRestart } from "./answers.ts";
import { findPlace, type NoPlace, type Place } from "./place.ts";

/** One INIT while it is handled. */
interface InitContext {
  readonly input: SctpInput;
  readonly entry: ServiceEntry;
  readonly vip: number;
  readonly init: Init;
  readonly key: string;
  /** Of the source and all that it lists, before the filter: names the session. */
  readonly smallest: Address;
  readonly listed: readonly Address[];
  /** Sources that it may use, and no destinations (path-mapping/client-filter.ts). */
  readonly unrouted: readonly Address[];
}

export function handleInit(core: Core, input: SctpInput, entry: ServiceEntry, vip: number): undefined {
  core.counters.count("inits");
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  if (init.hostName !== undefined) return refuseHostName(core, input, init.initiateTag, init.hostName);
  const { source, packet } = input;
  // An endpoint of one service may be a client of another, or of its own: its address is one that clients can
  // have.
  const filter = filterFor(core.clientFilter, source, input.interfaceIndex);
  if (filter.isOwn(source)) return drop(core, "source-not-unicast", input.bytes);
  if (!isAllowedSource(entry, source)) return drop(core, "source-not-allowed", input.bytes);
  const unfiltered = init.addresses.map((bytes) => addressFromBytes(bytes));
  // Before the filter: two members with different ideas of what is private must still name the session alike.
  const smallest = smallestOf(source, unfiltered);
  const key = `${init.initiateTag}|${packet.sourcePort}|${smallest}|${entry.service.id}`;
  const embryo = core.nursery.get(key);
  if (embryo !== undefined) return repeatInit(core, input, init, embryo, vip);
  const { listed, unrouted } = filterListed(init.addresses, source, entry, filter);
  const context: InitContext = { input, entry, vip, init, key, smallest, listed, unrouted };
  const known = findKnown(core, context);
  if (known.duplicate !== undefined) return forwardDuplicate(core, context, known.duplicate);
  if (known.restarts.length > 1) {
    return refuseRestart(core, input, init.initiateTag, [source, ...listed], "init-two-associations");
  }
  const restarted = known.restarts[0];
  if (restarted !== undefined) return restart(core, context, restarted);
  begin(core, context);
}

/** By code unit, as session ids are made. */
function smallestOf(source: Address, listed: readonly Address[]): Address {
  let smallest = source;
  for (const address of listed) if (address < smallest) smallest = address;
  return smallest;
}

interface Known {
  /**
   * A session that has a generation of this very tag: the INIT was sent twice, or another member saw it
   * first.
   */
  duplicate: SessionRecord | undefined;
  /** Established associations that one of the client's proven addresses, with this port, belongs to. */
  readonly restarts: SessionRecord[];
}

/** RFC 9260 §5.2: found by every address that the client names, not by the source alone. */
function findKnown(core: Core, context: InitContext): Known {
  const { entry, input, init, listed, unrouted } = context;
  const known: Known = { duplicate: undefined, restarts: [] };
  const look = (address: Address) => {
    for (const record of core.table.byClient(entry.service.id, address, input.packet.sourcePort)) {
      if (!isLiving(record)) continue;
      if (hasTag(record, init.initiateTag)) known.duplicate ??= record;
      // An unproven address is only somebody's claim: whoever lists a stranger's address must not be able to
      // keep that stranger out.
      else if (record.commit !== undefined && record.clients.get(address) === true) {
        if (!known.restarts.includes(record)) known.restarts.push(record);
      }
    }
  };
  look(input.source);
  for (const address of listed) look(address);
  for (const address of unrouted) look(address);
  return { duplicate: known.duplicate, restarts: withoutRivals(known.restarts) };
}

/**
 * Two sessions that share a proven client address and the port cannot both be that client's: it restarted
 * before the members had talked about it, or in one half of a partition. The rule of the table says which one
 * is meant; the other is a ghost, and must not keep the client out until it is idle.
 */
function withoutRivals(restarts: readonly SessionRecord[]): SessionRecord[] {
  const kept: SessionRecord[] = [];
  for (const record of [...restarts].sort(comparePrecedence)) {
    const isRival = kept.some((other) =>
      [...record.clients].some(([address, proven]) => proven && other.clients.get(address) === true),
    );
    if (!isRival) kept.push(record);
  }
  return kept;
}

function hasTag(record: SessionRecord, clientTag: number): boolean {
  return record.generations.has(clientTag) || record.commit?.clientTag === clientTag;
}

/** A new association. */
function begin(core: Core, context: InitContext): undefined {
  const made = admit(core, context, undefined);
  if (made !== undefined) forwardInit(core, context.input, context.init, made);
}

/** RFC 9260 §5.2.2: the association lives on beside the restart until the endpoint has accepted that. */
function restart(core: Core, context: InitContext, record: SessionRecord): undefined {
  const { input, init, entry, listed } = context;
  const added = [input.source, ...listed].filter((address) => !record.clients.has(address));
  // What was made from flows knows no address that had none: they are not new (`adoption/`).
  const isStrict = entry.service.restartNewAddresses === "abort" && !core.adopted.has(record.id);
  if (added.length > 0 && isStrict) {
    return refuseRestart(core, input, init.initiateTag, added, "init-restart-new-addresses");
  }
  const candidate = currentCandidate(record);
  const endpoint =
    candidate &&
    placesOf(entry.service).find(
      (e) => e.address === candidate.endpoint && e.port === candidate.endpointPort,
    );
  const stays =
    candidate !== undefined &&
    endpoint !== undefined &&
    // An endpoint that drains or leaves sends its restarting clients to another one, when there is one.
    (endpoint.state === "active" || !hasAnother(core, context)) &&
    // With VIPs added since its INIT, the endpoint would refuse the restart for its new addresses (RFC 9260
    // §5.2.2): from another NAT port it is another association, and the earlier one is aborted when that is
    // there.
    currentGeneration(record)?.pairing.length === entry.service.vips.length &&
    isEndpointUp(core, endpoint);
  const made = admit(
    core,
    context,
    record.id,
    stays ? { endpoint, natPort: candidate.natPort, loan: undefined, refused: [] } : undefined,
  );
  if (made !== undefined) forwardInit(core, input, init, made);
}

/** Whether an endpoint that takes new associations is up. */
function hasAnother(core: Core, { entry, vip }: InitContext): boolean {
  const family = familyOf(entry.service.vips[vip] as Address);
  return entry.service.endpoints.some(
    (e) =>
      e.state === "active" &&
      e.weight > 0 &&
      isEndpointUp(core, e) &&
      endpointAddress(core, e, family, 0) !== undefined,
  );
}

/** Makes an embryo, if quotas, endpoints and NAT ports allow it; drops the packet with the reason if not. */
function admit(
  core: Core,
  context: InitContext,
  restartOf: SessionId | undefined,
  fixed?: Place,
  avoid?: ReadonlySet<Endpoint>,
): Embryo | undefined {
  const { input, entry, vip, init, listed, unrouted } = context;
  const { source, packet } = input;
  const nowMs = core.clock.nowMs();
  if (!core.isReady()) {
    drop(core, "not-ready", input.bytes);
    return undefined;
  }
  const prefix = sourcePrefix(source);
  const comesAgain = knockOf(core, context);
  const room = core.nursery.room(entry.service.id, prefix, nowMs, comesAgain);
  if (room === undefined) {
    drop(core, "embryo-quota", input.bytes);
    return undefined;
  }
  if (room.evict !== undefined) evict(core, room.evict);
  const clientPort = packet.sourcePort;
  const clientTag = init.initiateTag;
  const { key } = context;
  const seeker = { key, entry, vip, source, listed, clientPort, clientTag, input, avoid, comesAgain };
  const place = fixed ?? findPlace(core, seeker);
  if (typeof place === "string") {
    refuse(core, input, clientTag, place);
    return undefined;
  }
  const embryo: Embryo = {
    key: context.key,
    smallest: context.smallest,
    restartOf,
    entry,
    clientPort,
    clientTag,
    arrivalVip: vip,
    source,
    lastSource: source,
    lastVip: vip,
    listed,
    unrouted,
    pairing: pairAddresses(entry.service.vips, vip, source, listed),
    prefix,
    createdMs: nowMs,
    endpoint: place.endpoint,
    natPort: place.natPort,
    loan: place.loan,
    ownsPort: fixed === undefined,
    initCount: 0,
    lastInitMs: nowMs,
    answeredMs: undefined,
    endpointTags: [],
    endpointAddresses: [],
    echoed: false,
    published: false,
    tried: place.refused.length === 0 ? undefined : new Set(place.refused),
    older: undefined,
    younger: undefined,
  };
  core.nursery.add(embryo);
  return embryo;
}

/** Why it did not go on, where it did not: an INIT that waits is not dropped. */
function refuse(core: Core, input: SctpInput, clientTag: Tag, why: NoPlace | "asked"): undefined {
  if (why === "asked") return;
  if (why === "nat-port-taken" || why === "nat-port-unreachable")
    return refusePort(core, input, clientTag, why);
  drop(core, why, input.bytes);
}

/** Whether the INIT was refused before; asked for only where there is no room for all. */
function knockOf(core: Core, { input, key }: InitContext): () => boolean {
  let known: boolean | undefined;
  return () => {
    if (known !== undefined) return known;
    known = core.knocks.again(key, core.clock.nowMs()) || input.again;
    if (known) core.counters.count("inits-again");
    return known;
  };
}

/** The same INIT again: the same endpoint and port, until it has been silent too often. */
function repeatInit(core: Core, input: SctpInput, init: Init, embryo: Embryo, vip: number): undefined {
  core.counters.count("init-retransmissions");
  embryo.lastInitMs = core.clock.nowMs();
  embryo.lastSource = input.source;
  embryo.lastVip = vip;
  if (embryo.answeredMs === undefined && embryo.initCount >= core.limits.unansweredInitCountMax) {
    if (embryo.entry.service.natPort === "require" && !embryo.published)
      return beginElsewhere(core, input, init, embryo, vip);
    reselect(core, embryo, input);
  }
  forwardInit(core, input, init, embryo);
}

/**
 * The client's port goes with it: given back first, so that it is toward one endpoint at a time, and asked
 * for anew.
 */
function beginElsewhere(core: Core, input: SctpInput, init: Init, embryo: Embryo, vip: number): undefined {
  const { key, entry, smallest, listed, unrouted, restartOf, endpoint } = embryo;
  core.events.endpointUnanswered(endpoint);
  core.counters.count("init-reselections");
  core.nursery.remove(embryo);
  releasePort(core, embryo);
  const context: InitContext = { input, entry, vip, init, key, smallest, listed, unrouted };
  const made = admit(core, context, restartOf, undefined, new Set([...(embryo.tried ?? []), endpoint]));
  if (made !== undefined) forwardInit(core, input, init, made);
}

/** RFC 9260 §5.1: the endpoint keeps no state before the cookie returns, so another may be tried. */
function reselect(core: Core, embryo: Embryo, input: SctpInput): undefined {
  embryo.tried ??= new Set();
  embryo.tried.add(embryo.endpoint);
  core.events.endpointUnanswered(embryo.endpoint);
  const { entry, lastVip: vip, source, listed, clientPort, clientTag, key, tried: avoid } = embryo;
  const seeker = { key, entry, vip, source, listed, clientPort, clientTag, input, avoid };
  const place = findPlace(core, { ...seeker, comesAgain: () => true });
  if (typeof place === "string") return;
  if (place.endpoint === embryo.endpoint) return releasePlace(core, place);
  core.counters.count("init-reselections");
  releasePort(core, embryo);
  core.nursery.move(embryo, place);
  embryo.ownsPort = true;
  embryo.initCount = 0;
  // Another member has asked for it: the table learns the new port, or nobody would ever give that back.
  if (!embryo.published) return;
  const record = publish(core, embryo);
  // A record keeps so many candidates: what it does not take up nobody would ever give back.
  if (!natPortsOf(record).some((held) => samePlace(held, placeAt(place.endpoint, place.natPort))))
    releasePlace(core, place);
}

/**
 * An INIT of a generation that the table knows: a retransmission to another member, or a late copy. Nothing
 * changes.
 */
function forwardDuplicate(core: Core, context: InitContext, record: SessionRecord): undefined {
  core.counters.count("init-retransmissions");
  const { input, init, entry } = context;
  const candidate = candidateOf(record, init.initiateTag);
  if (candidate === undefined) return drop(core, "no-candidate", input.bytes);
  const { natPort } = candidate;
  core.initSources.passed({ clientTag: init.initiateTag, natPort, vip: input.destination }, input.source);
  const generation = generationOf(record, init.initiateTag) ?? currentGeneration(record);
  const offered = familiesOf([
    input.source,
    ...(generation ? [generation.source, ...generation.listed] : []),
  ]);
  const { endpoint: address, endpointPort: port } = candidate;
  rewriteAndSend(core, input, init, entry, offered, { address, port, natPort }, 0);
}

function candidateOf(record: SessionRecord, clientTag: number): Candidate | undefined {
  if (record.commit?.clientTag === clientTag) return currentCandidate(record);
  const generation = record.generations.get(clientTag) ?? currentGeneration(record);
  let best: Candidate | undefined;
  for (const candidate of generation?.candidates.values() ?? []) {
    if (best === undefined || (candidate.echoed && !best.echoed)) best = candidate;
  }
  return best;
}

function forwardInit(core: Core, input: SctpInput, init: Init, embryo: Embryo): undefined {
  embryo.initCount += 1;
  const { endpoint, natPort, entry } = embryo;
  const offered = familiesOf([input.source, embryo.source, ...embryo.listed]);
  const to = { address: endpoint.address, port: endpoint.port, natPort };
  rewriteAndSend(core, input, init, entry, offered, to, embryo.initCount - 1);
}

function rewriteAndSend(
  core: Core,
  input: SctpInput,
  init: Init,
  entry: ServiceEntry,
  families: AddressFamilies,
  to: { readonly address: Address; readonly port: number; readonly natPort: number },
  attempt: number,
): undefined {
  const address = endpointAddress(core, to, familyOf(input.destination), turnOf(input, entry) + attempt);
  if (address === undefined) return drop(core, "no-path", input.bytes);
  const rewritten = rewriteInit({
    init,
    packetStart: input.packet.start,
    sourcePort: to.natPort,
    destinationPort: to.port,
    vips: entry.vipBytes,
    families,
  });
  if (isMalformed(rewritten)) return drop(core, "malformed", input.bytes);
  send(core, replacePayload(input, input.destination, address, rewritten.packet), input);
}

/** Of an endpoint's addresses each VIP has its own (path-mapping/endpoint-addresses.ts). */
function turnOf({ destination }: SctpInput, { service, vipIndex }: ServiceEntry): number {
  const family = familyOf(destination);
  return service.vips.slice(0, vipIndex.get(destination)).filter((vip) => familyOf(vip) === family).length;
}
