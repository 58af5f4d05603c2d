// A server that begins: an INIT from an endpoint's own address and port to its service's VIP and port. It is
// no client, or it would be balanced to the service's endpoints, perhaps to itself. Where the service lets
// endpoints begin it goes to the peer that the service names, from the VIP and the service's port: the usual
// translation, the other way round. The session is one like any other; its client is the peer, and its NAT
// port, at which the endpoint sees the peer, is the service's port.
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  type Endpoint,
  familyOf,
  type Generation,
  type SessionDelta,
  sessionIdOf,
  type Tag,
} from "@holdfast/model";
import {
  type Chunk,
  commonFamilies,
  type Init,
  isMalformed,
  offeredFamilies,
  parseInit,
  rewriteInit,
} from "@holdfast/sctp";
import { type Core, drop, send } from "../../core.ts";
import type { Loan, PortWish } from "../../nat-ports/lending.ts";
import type { SctpInput } from "../../packet/input.ts";
import { replacePayload } from "../../packet/translate.ts";
import { filterListed } from "../../path-mapping/client-filter.ts";
import { familiesOf } from "../../path-mapping/families.ts";
import { pairAddresses } from "../../path-mapping/pairing.ts";
import type { ServiceEntry } from "../../services/registry.ts";

/** INITs of endpoints that wait for their answer; the oldest gives way. */
const BEGINNING_COUNT_MAX = 1_024;

interface Beginning {
  readonly endpoint: Endpoint;
  /** Which of its addresses it used. */
  readonly source: Address;
  readonly loan: Loan;
  readonly sinceMs: number;
  /** INITs that went on: a peer with several addresses is called at one after the other. */
  count: number;
}

/** INITs of endpoints that this member passed on, by service and tag. */
export class Beginnings {
  readonly #waiting = new Map<string, Beginning>();

  get(serviceId: string, tag: Tag): Beginning | undefined {
    return this.#waiting.get(keyOf(serviceId, tag));
  }

  /** Returns what gave way. */
  add(serviceId: string, tag: Tag, beginning: Beginning): Beginning | undefined {
    this.#waiting.set(keyOf(serviceId, tag), beginning);
    if (this.#waiting.size <= BEGINNING_COUNT_MAX) return undefined;
    const [oldest] = this.#waiting;
    if (oldest === undefined) return undefined;
    this.#waiting.delete(oldest[0]);
    return oldest[1];
  }

  /** Those that nobody answers any more. */
  expired(beforeMs: number): Beginning[] {
    const over: Beginning[] = [];
    for (const [key, beginning] of this.#waiting) {
      if (beginning.sinceMs > beforeMs) break;
      this.#waiting.delete(key);
      over.push(beginning);
    }
    return over;
  }
}

const keyOf = (serviceId: string, tag: Tag) => `begin|${serviceId}|${tag}`;

/** The endpoint of this very service whose own address and port an INIT is from. */
export function beginnerOf(core: Core, input: SctpInput, entry: ServiceEntry): Endpoint | undefined {
  const port = input.packet.sourcePort;
  if (!core.registry.isEndpointPort(port)) return undefined;
  const identities = core.registry.identitiesOf(input.source, port);
  return entry.service.endpoints.find((e) => e.port === port && identities.includes(e.address));
}

export function handleBeginning(
  core: Core,
  input: SctpInput,
  entry: ServiceEntry,
  endpoint: Endpoint,
): undefined {
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init) || init.hostName !== undefined) return drop(core, "malformed", input.bytes);
  const { service } = entry;
  const family = familyOf(input.destination);
  const peers = (service.peers ?? []).filter((peer) => familyOf(peer) === family);
  if (service.endpointsMayBegin !== true || peers.length === 0)
    return drop(core, "endpoint-begins", input.bytes);
  if (!core.isReady()) return drop(core, "not-ready", input.bytes);
  let beginning = core.beginnings.get(service.id, init.initiateTag);
  if (beginning === undefined) {
    const loan = portOf(core, input, entry, endpoint, init);
    if (loan === "asked") return;
    if (typeof loan === "string") return drop(core, loan, input.bytes);
    core.counters.count("endpoints-began");
    beginning = { endpoint, source: input.source, loan, sinceMs: core.clock.nowMs(), count: 0 };
    const gone = core.beginnings.add(service.id, init.initiateTag, beginning);
    if (gone !== undefined) core.loans.giveBack(gone.loan);
  }
  const peer = peers[beginning.count++ % peers.length] as Address;
  const payload = rewritten(core, input, init, entry, service.peers ?? [], service.port);
  if (payload !== undefined) send(core, replacePayload(input, input.destination, peer, payload), input);
}

/** The service's port toward the endpoint, at which it sees its peer: nobody else may have it there. */
function portOf(
  core: Core,
  input: SctpInput,
  { service }: ServiceEntry,
  endpoint: Endpoint,
  init: Init,
): Loan | "asked" | "nat-port-taken" | "nat-port-unreachable" | "nat-port-rate" {
  const { loans, wishes, limits } = core;
  const key = keyOf(service.id, init.initiateTag);
  if (wishes.isAsking(key)) return "asked";
  const answer = wishes.take(key)?.answer;
  if (answer !== undefined) return typeof answer === "string" ? reasonOf(answer) : answer;
  const [source, ...listed] = service.peers ?? [];
  const wish: PortWish = {
    endpoint: endpoint.address,
    endpointPort: endpoint.port,
    natPort: service.port,
    serviceId: service.id,
    source: source as Address,
    listed,
    clientTag: init.initiateTag,
    isRequired: true,
  };
  const lender = loans.lenderOf(service.port);
  if (lender === "nobody") return "nat-port-unreachable";
  if (lender === "self") {
    const own = loans.own(wish);
    return typeof own === "string" ? reasonOf(own) : own;
  }
  if (wishes.isFull || !loans.mayAsk()) return "nat-port-rate";
  wishes.ask(key, { endpoint, refused: [] }, wish, input, limits.natPortRequiredMs);
  return "asked";
}

function reasonOf(answer: "taken" | "unreachable" | "elsewhere") {
  return answer === "unreachable" ? "nat-port-unreachable" : "nat-port-taken";
}

/** Whether a peer's INIT-ACK answers an endpoint that began. */
export function isBeginningsAnswer(core: Core, input: SctpInput, { service }: ServiceEntry): boolean {
  const { sourcePort, verificationTag } = input.packet;
  return (
    service.endpointsMayBegin === true &&
    sourcePort === service.port &&
    service.peers?.includes(input.source) === true &&
    core.beginnings.get(service.id, verificationTag) !== undefined
  );
}

/**
 * The peer's INIT-ACK: the session is born, with both tags, and the endpoint hears of it when other members
 * hold it.
 */
export function handlePeerInitAck(core: Core, input: SctpInput, entry: ServiceEntry): undefined {
  const init = parseInit(input.packet.chunks[0] as Chunk);
  if (isMalformed(init)) return drop(core, "malformed", input.bytes);
  const { service } = entry;
  const { verificationTag } = input.packet;
  const beginning = core.beginnings.get(service.id, verificationTag);
  const vip = entry.vipIndex.get(input.destination);
  if (beginning === undefined || vip === undefined) return drop(core, "init-ack-unexpected", input.bytes);
  if (familyOf(beginning.source) !== familyOf(input.destination)) return drop(core, "no-path", input.bytes);
  const { endpoint, source, loan } = beginning;
  const addresses = core.registry.configuredOf(endpoint);
  const payload = rewritten(core, input, init, entry, addresses, endpoint.port);
  if (payload === undefined) return;
  const record = core.table.apply(sessionOf(core, input, entry, vip, init, beginning), { urgent: true });
  // The table says from here on that the port is in use.
  core.loans.giveBack(loan);
  const packet = replacePayload(input, input.destination, source, payload);
  const pass = (isReleased: boolean) => {
    if (!isReleased) core.counters.count("init-ack-release-timeouts");
    send(core, packet, input);
  };
  core.replication.released(record.id).then(pass, () => pass(false));
}

function sessionOf(
  core: Core,
  input: SctpInput,
  entry: ServiceEntry,
  vip: number,
  init: Init,
  { endpoint, loan }: Beginning,
): SessionDelta {
  const { service } = entry;
  const { source } = input;
  const { listed } = filterListed(init.addresses, source, entry, core.clientFilter);
  const clientTag = init.initiateTag;
  const candidate: Candidate = {
    member: core.memberNumber,
    endpoint: endpoint.address,
    endpointPort: endpoint.port,
    natPort: loan.natPort,
    endpointTag: input.packet.verificationTag,
    endpointAddresses: [],
    // There is no cookie of the client's that would choose it.
    echoed: true,
  };
  const generation: Generation = {
    clientTag,
    arrivalVip: vip,
    source,
    listed,
    pairing: pairAddresses(service.vips, vip, source, listed),
    phase: "initAck",
    candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    aborted: false,
  };
  let smallest = source;
  for (const address of listed) if (address < smallest) smallest = address;
  return {
    id: sessionIdOf(service.id, service.port, clientTag, smallest, []),
    protocol: service.protocol,
    serviceId: service.id,
    clientPort: service.port,
    createdAtMs: core.clock.wallMs(),
    // What carries the tag of the INIT that went there comes from there.
    clients: new Map([[source, true], ...listed.map((address) => [address, false] as const)]),
    generations: new Map([[clientTag, generation]]),
  };
}

/** From the VIP and the service's port; the VIPs that both sides have a family of are listed. */
function rewritten(
  core: Core,
  input: SctpInput,
  init: Init,
  entry: ServiceEntry,
  others: readonly Address[],
  destinationPort: number,
): Uint8Array | undefined {
  const result = rewriteInit({
    init,
    packetStart: input.packet.start,
    sourcePort: entry.service.port,
    destinationPort,
    vips: entry.vipBytes,
    families: commonFamilies(familiesOf(others), offeredFamilies(input.ip.addressSize, init.addresses)),
  });
  if (!isMalformed(result)) return result.packet;
  drop(core, "malformed", input.bytes);
  return undefined;
}
