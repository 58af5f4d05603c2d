// What a search asks of a session: of what is known without looking into it, of its bytes, of its envelope, of
// its body.
import type { SessionQuery } from "@holdfast/api";
import {
  type Address,
  HoldfastError,
  type Needle,
  needleOfAddress,
  needleOfNumber,
  type Protocol,
  parseAddress,
  protocolName,
  protocolOf,
  SERVICE_PROTOCOLS,
  type Service,
  type ServiceId,
  type SessionEnvelope,
  type VipOwnership,
} from "@holdfast/model";
import { parseEndpointKey } from "../services/specification.ts";
import type { KnownFacts } from "./catalogue.ts";
import type { KnownSession, ShownSession } from "./tables.ts";

export interface FilterSources {
  readonly services: () => readonly Service[];
  readonly ownershipOf: (vip: string) => VipOwnership | undefined;
  readonly memberNumberOf: (nameOrNumber: string) => number | undefined;
}

export interface Filter {
  /** What the bytes of each record hold that matches. */
  readonly needles: readonly Needle[];
  /** Whether it asks for what the catalogue knows. */
  readonly asksOfFacts: boolean;
  /** false: it surely does not match; nothing is decoded. */
  mayMatch(facts: KnownFacts): boolean;
  matches(shown: ShownSession): boolean;
}

/** What a query asks for, as it gathers. */
class Filters implements Filter {
  readonly needles: Needle[] = [];
  readonly #ofFacts: ((facts: KnownFacts) => boolean)[] = [];
  /** Of the envelope. */
  readonly #tests: ((envelope: Omit<SessionEnvelope, "end">) => boolean)[] = [];
  /** Of the body, as its kind tells; one that is not understood passes none. */
  readonly #bodyTests: ((known: KnownSession) => boolean)[] = [];

  get asksOfFacts(): boolean {
    return this.#ofFacts.length > 0;
  }

  ofServices(wanted: Iterable<ServiceId>): void {
    const ids = new Set(wanted);
    this.#ofFacts.push(({ service }) => ids.has(service));
    this.#tests.push((record) => ids.has(record.serviceId));
  }

  ofPhase(phase: string): void {
    this.#ofFacts.push((facts) => facts.phase === phase);
    this.#bodyTests.push(({ kind, record }) => kind.phaseOf(record) === phase);
  }

  ofProtocol(protocol: Protocol): void {
    // A service's id begins with its protocol.
    const own = protocolName(protocol);
    const others = SERVICE_PROTOCOLS.filter((name) => name !== own).map((name) => `${name}/`);
    this.#ofFacts.push(({ service }) => !others.some((start) => service.startsWith(start)));
    this.#tests.push((record) => record.protocol === protocol);
  }

  /** `needles`: what the bytes of each record hold that passes. */
  add(test: (envelope: Omit<SessionEnvelope, "end">) => boolean, ...needles: readonly Needle[]): void {
    this.#tests.push(test);
    this.needles.push(...needles);
  }

  addOfBody(test: (known: KnownSession) => boolean, ...needles: readonly Needle[]): void {
    this.#bodyTests.push(test);
    this.needles.push(...needles);
  }

  mayMatch(facts: KnownFacts): boolean {
    return this.#ofFacts.every((test) => test(facts));
  }

  matches(shown: ShownSession): boolean {
    if ("foreign" in shown)
      return this.#bodyTests.length === 0 && this.#tests.every((test) => test(shown.foreign));
    return this.#tests.every((test) => test(shown.record)) && this.#bodyTests.every((test) => test(shown));
  }
}

/** Throws ADDRESS_INVALID, MEMBER_NOT_FOUND, REQUEST_INVALID. */
export function filterOf(query: Partial<SessionQuery>, sources: FilterSources): Filter {
  const filters = new Filters();
  const { service, client, vip, endpoint, natPort, clientPort, tag, phase, owner, member } = query;
  const protocol = query.protocol && protocolOf(query.protocol);
  if (protocol !== undefined) filters.ofProtocol(protocol);
  const idsOf = (isIt: (each: Service) => boolean) =>
    sources.services().flatMap((each) => (isIt(each) ? [each.id] : []));
  if (service !== undefined) {
    const named = idsOf(({ id, name }) => id === service || name === service);
    // A service that was deleted may still have sessions.
    filters.ofServices(named.length === 0 ? [service] : named);
  }
  if (vip !== undefined) {
    const address = parseAddress(vip);
    filters.ofServices(idsOf(({ vips }) => vips.includes(address)));
  }
  if (owner !== undefined)
    filters.ofServices(idsOf(({ vips }) => vips.some((each) => sources.ownershipOf(each)?.owner === owner)));
  if (client !== undefined) {
    const address: Address = parseAddress(client);
    filters.addOfBody(({ kind, record }) => kind.clientsOf(record).has(address), needleOfAddress(address));
  }
  if (endpoint !== undefined) filterByEndpoint(filters, endpoint);
  if (natPort !== undefined)
    filters.addOfBody(
      ({ kind, record }) => kind.natPortsOf(record).some((held) => held.natPort === natPort),
      needleOfNumber(natPort, 2),
    );
  if (clientPort !== undefined)
    filters.add((envelope) => envelope.clientPort === clientPort, needleOfNumber(clientPort, 2));
  if (tag !== undefined) {
    const wanted = Number.parseInt(tag.replace(/^0x/, ""), 16);
    filters.addOfBody(({ kind, record }) => kind.hasTag(record, wanted), needleOfNumber(wanted, 4));
  }
  if (phase !== undefined) filters.ofPhase(phase);
  if (member !== undefined) {
    const number = sources.memberNumberOf(member);
    if (number === undefined) throw new HoldfastError("MEMBER_NOT_FOUND", { member });
    filters.addOfBody(({ kind, record }) => kind.shownPort(record)?.member === number);
  }
  return filters;
}

function filterByEndpoint(filters: Filters, endpoint: string): void {
  const wanted = parseEndpointKey(endpoint);
  if (wanted === undefined)
    throw new HoldfastError("REQUEST_INVALID", {
      reason: `'${endpoint}' is not an endpoint`,
      remedy: "Write ADDRESS, or ADDRESS:PORT ([ADDRESS]:PORT for IPv6).",
    });
  const { address, port } = wanted;
  filters.addOfBody(
    ({ kind, record }) => {
      const held = kind.shownPort(record);
      return (
        held !== undefined &&
        (held.endpoint === address || held.endpointAddresses?.includes(address) === true) &&
        (port === undefined || held.endpointPort === port)
      );
    },
    needleOfAddress(address),
    ...(port === undefined ? [] : [needleOfNumber(port, 2)]),
  );
}
