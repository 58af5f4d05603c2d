// An endpoint's INIT-ACK: a candidate is born, the record leaves this member, and only then the client hears of it.
import {
  type Address,
  addressFromBytes,
  type Candidate,
  candidateKeyOf,
  ENDPOINT_ADDRESS_COUNT_MAX,
  familyOf,
  type Generation,
  isCrowded,
  isLiving,
  type SessionDelta,
  type SessionRecord,
} from "@holdfast/model";
import { type Chunk, type Init, isMalformed, offeredFamilies, parseInit, rewriteInit } from "@holdfast/sctp";
import { type Embryo, sessionIdOfEmbryo } from "../embryos/embryo.ts";
import type { SctpInput } from "../packet/input.ts";
import { replacePayload } from "../packet/translate.ts";
import { isUnicast } from "../path-mapping/client-filter.ts";
import type { ServiceEntry } from "../services/registry.ts";
import { type Core, drop, send } from "./core.ts";

export function handleInitAck(core: Core, input: SctpInput): undefined {
  core.counters.count("init-acks");
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  const { verificationTag, destinationPort, sourcePort } = input.packet;
  const embryo = core.nursery.byAnswer(verificationTag, destinationPort);
  if (embryo !== undefined && embryo.endpoint.port === sourcePort && mayBe(core, input, embryo)) {
    return answerEmbryo(core, input, init, embryo);
  }
  answerRecord(core, input, init);
}

/** From an address that is not known yet, yes; from another endpoint, no: one that was tried before and is late. */
function mayBe(core: Core, input: SctpInput, embryo: Embryo): boolean {
  const known = core.registry.endpointAddress(input.source, input.packet.sourcePort);
  return known === undefined || known === embryo.endpoint.address;
}

/** The usual case: this member forwarded the INIT. The tag and the NAT port prove whom it answers. */
function answerEmbryo(core: Core, input: SctpInput, init: Init, embryo: Embryo): undefined {
  const { entry } = embryo;
  const vip = entry.vipIndex.get(input.destination);
  if (vip === undefined) return drop(core, "init-ack-unexpected", input.bytes);
  const client = vip === embryo.lastVip ? embryo.lastSource : embryo.source;
  const packet = forClient(core, input, init, entry, client, embryo.clientPort);
  if (packet === undefined) return;
  embryo.answeredMs ??= core.clock.nowMs();
  const addresses = endpointAddresses(core, input, init, embryo.endpoint.address);
  learnAliases(core, embryo.endpoint, addresses);
  embryo.endpointAddresses = [...new Set([...embryo.endpointAddresses, ...addresses])];
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
 * Whether replication waits until the cookie is back. Too many handshakes are under way: what is replicated cannot be
 * evicted. Or the session is crowded with restarts already.
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

/** Hands what is known of the embryo to the table. */
export function publish(core: Core, embryo: Embryo): SessionRecord {
  core.nursery.published(embryo);
  const record = core.table.apply(deltaOf(core, embryo), { urgent: true });
  return record;
}

function deltaOf(core: Core, embryo: Embryo): SessionDelta {
  const { entry, source, listed, restartOf } = embryo;
  const candidates = new Map<string, Candidate>();
  for (const endpointTag of embryo.endpointTags.length === 0 ? [0] : embryo.endpointTags) {
    const candidate: Candidate = {
      member: core.memberNumber,
      endpoint: embryo.endpoint.address,
      endpointPort: embryo.endpoint.port,
      natPort: embryo.natPort,
      endpointTag,
      endpointAddresses: embryo.endpointAddresses.slice(0, ENDPOINT_ADDRESS_COUNT_MAX),
      echoed: false,
    };
    candidates.set(candidateKeyOf(candidate), candidate);
  }
  const generation: Generation = {
    clientTag: embryo.clientTag,
    arrivalVip: embryo.arrivalVip,
    source,
    listed,
    pairing: embryo.pairing,
    phase: embryo.endpointTags.length === 0 ? "init" : "initAck",
    candidates,
    aborted: false,
  };
  const delta: SessionDelta = {
    id: sessionIdOfEmbryo(embryo),
    generations: new Map([[generation.clientTag, generation]]),
  };
  // The addresses of a restart count only once it is proven: the session belongs to somebody.
  if (restartOf !== undefined) return delta;
  return {
    ...delta,
    protocol: entry.service.protocol,
    serviceId: entry.service.id,
    clientPort: embryo.clientPort,
    createdAtMs: core.clock.wallMs(),
    clients: new Map([source, ...listed].map((address) => [address, false])),
  };
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
  const endpoint = core.registry.endpointAddress(input.source, sourcePort);
  if (endpoint === undefined) return drop(core, "init-ack-unexpected", input.bytes);
  for (const record of core.table.byNatPort(endpoint, sourcePort, destinationPort)) {
    const generation =
      record.generations.get(verificationTag) ??
      (record.commit?.clientTag === verificationTag ? record.commit.generation : undefined);
    if (generation === undefined || !isLiving(record)) continue;
    const entry = core.registry.get(record.serviceId);
    if (entry === undefined || !entry.vipIndex.has(input.destination)) continue;
    const passed = { clientTag: verificationTag, natPort: destinationPort, vip: input.destination };
    const client = core.initSources.of(passed) ?? generation.source;
    const packet = forClient(core, input, init, entry, client, record.clientPort);
    if (packet === undefined) return;
    const known = [...generation.candidates.values()].find((c) => c.natPort === destinationPort);
    const candidate: Candidate = {
      member: known?.member ?? core.memberNumber,
      endpoint,
      endpointPort: sourcePort,
      natPort: destinationPort,
      endpointTag: init.initiateTag,
      endpointAddresses: endpointAddresses(core, input, init, endpoint),
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
  if (input.asked) return drop(core, "init-ack-unexpected", input.bytes);
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
    families: offeredFamilies(input.ip.addressSize, init.addresses),
  });
  if (isMalformed(rewritten)) {
    drop(core, "malformed", input.bytes);
    return undefined;
  }
  return replacePayload(input, input.destination, client, rewritten.packet);
}

/** Further addresses of the endpoint: where the INIT-ACK came from, and what it lists. */
function endpointAddresses(core: Core, input: SctpInput, init: Init, endpoint: Address): Address[] {
  const addresses: Address[] = [];
  const add = (address: Address) => {
    if (address !== endpoint && !core.registry.isVip(address) && !addresses.includes(address))
      addresses.push(address);
  };
  add(input.source);
  for (const bytes of init.addresses) if (isUnicast(bytes)) add(addressFromBytes(bytes));
  return addresses.slice(0, ENDPOINT_ADDRESS_COUNT_MAX).sort();
}

export function learnAliases(
  core: Core,
  endpoint: { readonly address: Address; readonly port: number },
  aliases: readonly Address[],
): undefined {
  let changed = false;
  for (const alias of aliases) {
    if (!core.registry.addAlias(alias, endpoint.port, endpoint.address)) continue;
    core.counters.count("endpoint-aliases-learned");
    changed = true;
  }
  if (changed) core.endpointsChanged();
}
