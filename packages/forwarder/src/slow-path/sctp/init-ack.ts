// An endpoint's INIT-ACK: a candidate is born, the record leaves this member, and only then the client hears
// of it.
import {
  type Address,
  addressFromBytes,
  CANDIDATE_COUNT_MAX_PER_MEMBER,
  type Candidate,
  candidateKeyOf,
  ENDPOINT_ADDRESS_COUNT_MAX,
  familyOf,
  type Generation,
  isCrowded,
  isLiving,
  type SessionRecord,
  type Tag,
} from "@holdfast/model";
import {
  type AddressFamilies,
  type Chunk,
  commonFamilies,
  type Init,
  isMalformed,
  offeredFamilies,
  parseInit,
  rewriteInit,
} from "@holdfast/sctp";
import { type Core, drop, send } from "../../core.ts";
import { type Embryo, sessionIdOfEmbryo } from "../../embryos/embryo.ts";
import { releasePort } from "../../embryos/ports.ts";
import { publish, recorded } from "../../embryos/publish.ts";
import type { SctpInput } from "../../packet/input.ts";
import { replacePayload } from "../../packet/translate.ts";
import { isUnicast } from "../../path-mapping/client-filter.ts";
import { familiesOf } from "../../path-mapping/families.ts";
import type { ServiceEntry } from "../../services/registry.ts";

export function handleInitAck(core: Core, input: SctpInput): undefined {
  core.counters.count("init-acks");
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  const { verificationTag, destinationPort, sourcePort } = input.packet;
  const embryo = core.nursery.byAnswer(verificationTag, destinationPort);
  if (embryo !== undefined && embryo.endpoint.port === sourcePort && isFromItsServer(core, input, embryo)) {
    return answerEmbryo(core, input, init, embryo);
  }
  answerRecord(core, input, init);
}

/**
 * Tag, NAT port and port prove an INIT-ACK. From an address of its endpoint, or one that nobody configured,
 * it is the embryo's; from another endpoint of the service the server has both addresses, and the session is
 * that endpoint's from now on. Not from one that was tried before and is late, and not where that endpoint
 * has the port in use.
 */
function isFromItsServer(core: Core, input: SctpInput, embryo: Embryo): boolean {
  const { registry, natPorts } = core;
  const { source } = input;
  const { port, address } = embryo.endpoint;
  const identities = registry.identitiesOf(source, port);
  if (identities.length === 0 || identities.includes(address)) return true;
  const isTaken = identities.some((identity) => isPortTaken(core, identity, embryo));
  if (isTaken) return false;
  const other = embryo.entry.service.endpoints.find(
    (endpoint) => endpoint.port === port && identities.includes(endpoint.address),
  );
  // An endpoint of other services alone: the session stays where it is, and has that address.
  if (other === undefined) return true;
  if (embryo.tried?.has(other) === true) return false;
  // The same port goes from endpoint to endpoint: this is a late answer of one that another member has left.
  if (embryo.entry.service.natPort === "require") return false;
  // A restart keeps its place, and so does what the others know already.
  if (!embryo.ownsPort || embryo.published) return true;
  core.counters.count("init-acks-of-other-endpoint");
  const { natPort } = embryo;
  // A port that others lent stays lent, toward the endpoint that it was asked for: the server is the same.
  const loan = natPorts.isOwn(natPort) ? undefined : embryo.loan;
  if (loan === undefined) {
    releasePort(core, embryo);
    natPorts.reserve(other.address, other.port, natPort);
  }
  core.nursery.move(embryo, { endpoint: other, natPort, loan });
  return true;
}

/** Another living association has the embryo's NAT port at the endpoint. */
function isPortTaken(core: Core, identity: Address, embryo: Embryo): boolean {
  const { natPort, endpoint } = embryo;
  if (core.natPorts.isUsed(identity, endpoint.port, natPort)) return true;
  return core.table
    .byNatPort(identity, endpoint.port, natPort)
    .some((record) => record.id !== embryo.restartOf && isLiving(record));
}

/** The usual case: this member forwarded the INIT. The tag and the NAT port prove whom it answers. */
function answerEmbryo(core: Core, input: SctpInput, init: Init, embryo: Embryo): undefined {
  const { entry } = embryo;
  const vip = entry.vipIndex.get(input.destination);
  if (vip === undefined) return drop(core, "init-ack-unexpected", input.bytes);
  const client = vip === embryo.lastVip ? embryo.lastSource : embryo.source;
  const generation = embryo.published
    ? core.table.get(sessionIdOfEmbryo(embryo))?.generations.get(embryo.clientTag)
    : undefined;
  if (!hasRoomFor(generation, core.memberNumber, init.initiateTag, embryo.endpointTags))
    return drop(core, "init-ack-unexpected", input.bytes);
  const offered = familiesOf([client, embryo.source, ...embryo.listed]);
  const packet = forClient(core, input, init, entry, offered, client, embryo.clientPort);
  if (packet === undefined) return;
  embryo.answeredMs ??= core.clock.nowMs();
  const told = toldAddresses(core, input, init, embryo.endpoint, (identity) =>
    isPortTaken(core, identity, embryo),
  );
  embryo.endpointAddresses = [...new Set([...embryo.endpointAddresses, ...told])];
  if (!embryo.endpointTags.includes(init.initiateTag)) {
    embryo.endpointTags.push(init.initiateTag);
    core.nursery.answered(embryo, init.initiateTag);
  }
  if (!embryo.published && isFlooded(core, embryo)) {
    core.counters.count("replication-deferred");
    send(core, packet, input);
    return;
  }
  const record = publish(core, embryo);
  release(core, record, packet, input);
}

/**
 * A record keeps so many INIT-ACKs of a member. One more would displace another, and the client may come back
 * with the cookie of either: it has had enough of them to choose from, and is not given this one.
 */
function hasRoomFor(
  generation: Generation | undefined,
  member: number,
  tag: Tag,
  known: readonly Tag[] = [],
): boolean {
  const tags = new Set(known);
  for (const candidate of generation?.candidates.values() ?? [])
    if (candidate.member === member && candidate.endpointTag !== 0) tags.add(candidate.endpointTag);
  return tags.has(tag) || tags.size < CANDIDATE_COUNT_MAX_PER_MEMBER;
}

/**
 * Whether replication waits until the cookie is back. Too many handshakes are under way: what is replicated
 * cannot be evicted. Or the session is crowded with restarts already.
 */
function isFlooded(core: Core, embryo: Embryo): boolean {
  if (embryo.restartOf !== undefined) {
    const record = core.table.get(embryo.restartOf);
    if (record !== undefined && isCrowded(record)) return true;
  }
  return (
    core.nursery.publishedCount(embryo.entry.service.id) >= core.limits.replicatedEmbryoCountMaxPerService ||
    core.nursery.publishedCountOfPrefix(embryo.prefix) >= core.limits.replicatedEmbryoCountMaxPerPrefix ||
    !core.publishRate.take(core.clock.nowMs())
  );
}

/** Sends the INIT-ACK on when other members hold the record, or when that takes too long. */
function release(core: Core, record: SessionRecord, packet: Uint8Array, input: SctpInput): undefined {
  core.replication.released(record.id).then(
    (released) => {
      if (!released) core.counters.count("init-ack-release-timeouts");
      send(core, packet, input);
    },
    () => {
      core.counters.count("init-ack-release-timeouts");
      send(core, packet, input);
    },
  );
}

/** Another member forwarded the INIT, or it was a late copy of one: the table knows the generation. */
function answerRecord(core: Core, input: SctpInput, init: Init): undefined {
  const { verificationTag, destinationPort, sourcePort } = input.packet;
  for (const { record, generation, endpoint } of answered(core, input)) {
    if (!isLiving(record)) continue;
    const entry = core.registry.get(record.serviceId);
    if (entry === undefined || !entry.vipIndex.has(input.destination)) continue;
    const passed = { clientTag: verificationTag, natPort: destinationPort, vip: input.destination };
    const client = core.initSources.of(passed) ?? generation.source;
    const offered = familiesOf([client, generation.source, ...generation.listed]);
    const packet = forClient(core, input, init, entry, offered, client, record.clientPort);
    if (packet === undefined) return;
    const known = [...generation.candidates.values()].find(
      (c) => c.natPort === destinationPort && c.endpoint === endpoint,
    );
    const member = known?.member ?? core.memberNumber;
    if (!hasRoomFor(generation, member, init.initiateTag))
      return drop(core, "init-ack-unexpected", input.bytes);
    const isTaken = (identity: Address) =>
      core.table
        .byNatPort(identity, sourcePort, destinationPort)
        .some((other) => other.id !== record.id && isLiving(other));
    const told = toldAddresses(core, input, init, { address: endpoint, port: sourcePort }, isTaken);
    const candidate: Candidate = {
      member,
      endpoint,
      endpointPort: sourcePort,
      natPort: destinationPort,
      endpointTag: init.initiateTag,
      endpointAddresses: recorded(told, endpoint),
      echoed: false,
    };
    const next: Generation = {
      ...generation,
      phase: generation.phase === "init" ? "initAck" : generation.phase,
      candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    };
    const joined = core.table.apply(
      { id: record.id, generations: new Map([[generation.clientTag, next]]) },
      { urgent: true },
    );
    release(core, joined, packet, input);
    return;
  }
  const endpoint = core.registry.endpointAddress(input.source, sourcePort);
  if (input.asked || endpoint === undefined) return drop(core, "init-ack-unexpected", input.bytes);
  core.held.ask(input, {
    kind: "natPort",
    endpoint,
    endpointPort: sourcePort,
    natPort: destinationPort,
  });
}

/** The INIT-ACK as the client may see it; undefined when it was dropped. */
function forClient(
  core: Core,
  input: SctpInput,
  init: Init,
  entry: ServiceEntry,
  /** Families in which the client said that it can be reached. */
  offered: AddressFamilies,
  client: Address,
  clientPort: number,
): Uint8Array | undefined {
  if (familyOf(client) !== familyOf(input.destination)) {
    drop(core, "no-path", input.bytes);
    return undefined;
  }
  const rewritten = rewriteInit({
    init,
    packetStart: input.packet.start,
    sourcePort: entry.service.port,
    destinationPort: clientPort,
    vips: entry.vipBytes,
    families: commonFamilies(offered, offeredFamilies(input.ip.addressSize, init.addresses)),
  });
  if (isMalformed(rewritten)) {
    drop(core, "malformed", input.bytes);
    return undefined;
  }
  return replacePayload(input, input.destination, client, rewritten.packet);
}

interface Answered {
  readonly record: SessionRecord;
  readonly generation: Generation;
  /** The identity of the endpoint that the INIT went to. */
  readonly endpoint: Address;
}

/**
 * Records with a generation of this tag whose INIT left with this NAT port for an endpoint with this port
 * behind the VIP: the answer may come from any address of its server.
 */
function* answered(core: Core, input: SctpInput): Generator<Answered> {
  const { verificationTag, destinationPort, sourcePort } = input.packet;
  const { registry, table } = core;
  const identities = new Set(registry.identitiesOf(input.source, sourcePort));
  if (registry.isEndpointPort(sourcePort))
    for (const identity of registry.identitiesBehind(input.destination, sourcePort)) identities.add(identity);
  for (const endpoint of identities) {
    for (const record of table.byNatPort(endpoint, sourcePort, destinationPort)) {
      const generation =
        record.generations.get(verificationTag) ??
        (record.commit?.clientTag === verificationTag ? record.commit.generation : undefined);
      if (generation !== undefined) yield { record, generation, endpoint };
    }
  }
}

/**
 * Addresses of the endpoint in this association (RFC 9260 §5.1.3): where the INIT-ACK came from, and what it
 * lists. Nobody else's business, and not those where another association has the NAT port. Configured ones
 * come first.
 */
function toldAddresses(
  core: Core,
  input: SctpInput,
  init: Init,
  endpoint: { readonly address: Address; readonly port: number },
  isTaken: (identity: Address) => boolean,
): Address[] {
  const { registry } = core;
  const addresses = new Set<Address>();
  const add = (address: Address) => {
    if (registry.isVip(address)) return;
    const identities = registry.identitiesOf(address, endpoint.port);
    if (identities.length > 0 && !identities.includes(endpoint.address) && identities.some(isTaken)) return;
    addresses.add(address);
  };
  add(input.source);
  const listed = init.addresses.filter(isUnicast).map((bytes) => addressFromBytes(bytes));
  for (const address of listed)
    if (registry.endpointAddress(address, endpoint.port) !== undefined) add(address);
  for (const address of listed) {
    if (addresses.size >= ENDPOINT_ADDRESS_COUNT_MAX) break;
    add(address);
  }
  return [...addresses].slice(0, ENDPOINT_ADDRESS_COUNT_MAX);
}
