// Pages of sessions with filters. The walk gives the event loop back after every chunk, so that a million
// sessions are read without a stall, and decodes few of them: what the catalogue knows, and what a record's
// bytes do not hold, sorts out the rest.
import { SESSION_PAGE_DEFAULT, type SessionQuery } from "@holdfast/api";
import {
  type Address,
  HoldfastError,
  type Needle,
  needleOfAddress,
  needleOfNumber,
  parseAddress,
  protocolOf,
  type Service,
  type ServiceId,
  type SessionEnvelope,
  type SessionId,
  type VipOwnership,
} from "@holdfast/model";
import { parseEndpointKey } from "../services/specification.ts";
import type { SessionOrder } from "./order.ts";
import type { KnownSession, SessionTables, ShownSession } from "./tables.ts";

/** How long one turn of the event loop may walk, ms, and how often the clock is looked at. */
const TURN_MS = 2;
const CLOCK_PERIOD_COUNT = 32;

export interface SearchSources {
  readonly sessions: Pick<SessionTables, "get" | "maySpeakOf" | "foreign">;
  readonly catalogue: {
    readonly order: SessionOrder;
    /** Without looking into a session; without this every one is looked into. */
    knownOf?(id: SessionId): { readonly phase: string; readonly service: ServiceId } | undefined;
  };
  readonly services: () => readonly Service[];
  readonly ownershipOf: (vip: string) => VipOwnership | undefined;
  readonly memberNumberOf: (nameOrNumber: string) => number | undefined;
}

export interface SearchPage {
  readonly found: readonly ShownSession[];
  /** Cursor of the next page; undefined at the end. */
  readonly next: string | undefined;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export async function searchSessions(
  query: Partial<SessionQuery>,
  sources: SearchSources,
): Promise<SearchPage> {
  const filter = filterOf(query, sources);
  const limit = query.limit ?? SESSION_PAGE_DEFAULT;
  const found: ShownSession[] = [];
  const foreign = new Map(
    [...sources.sessions.foreign()].map((session) => [session.id, { foreign: session }]),
  );
  const after = cursorId(query.cursor);
  let seen = 0;
  let turnedAtMs = performance.now();
  let last: SessionId | undefined;
  for (const id of merged(sources.catalogue.order.after(after), idsAfter(foreign.keys(), after))) {
    if (found.length === limit) return { found, next: cursorText(last as string) };
    if (++seen % CLOCK_PERIOD_COUNT === 0 && performance.now() - turnedAtMs > TURN_MS) {
      await turn();
      turnedAtMs = performance.now();
    }
    const shown = foreign.get(id) ?? (filter.mayMatch(id) ? sources.sessions.get(id) : undefined);
    if (shown === undefined || !filter.matches(shown)) continue;
    found.push(shown);
    last = id;
  }
  return { found, next: undefined };
}

function idsAfter(ids: Iterable<SessionId>, cursor: SessionId | undefined): SessionId[] {
  return [...ids].filter((id) => cursor === undefined || id > cursor).sort();
}

/** Two ascending runs as one. */
function* merged(ours: Iterable<SessionId>, others: readonly SessionId[]): Generator<SessionId> {
  let at = 0;
  for (const id of ours) {
    for (; at < others.length && (others[at] as SessionId) < id; at++) yield others[at] as SessionId;
    if (others[at] === id) at++;
    yield id;
  }
  for (; at < others.length; at++) yield others[at] as SessionId;
}

function cursorText(id: SessionId): string {
  return Buffer.from(`1 ${id}`).toString("base64url");
}

function cursorId(cursor: string | undefined): SessionId | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  if (!text.startsWith("1 ") || text.length < 3) throw new HoldfastError("CURSOR_INVALID");
  return text.slice(2);
}

interface Filter {
  /** Of a session of the table: false, it surely does not match; nothing is decoded. */
  mayMatch(id: SessionId): boolean;
  matches(shown: ShownSession): boolean;
}

/** What a query asks for, as it gathers. */
class Filters implements Filter {
  readonly #needles: Needle[] = [];
  /** Of the envelope. */
  readonly #tests: ((envelope: Omit<SessionEnvelope, "end">) => boolean)[] = [];
  /** Of the body, as its kind tells; one that is not understood passes none. */
  readonly #bodyTests: ((known: KnownSession) => boolean)[] = [];
  readonly #sources: SearchSources;
  #services: ReadonlySet<ServiceId> | undefined;
  #phase: string | undefined;

  constructor(sources: SearchSources) {
    this.#sources = sources;
  }

  ofServices(wanted: Iterable<ServiceId>): void {
    const ids = new Set(wanted);
    const before = this.#services;
    this.#services = new Set([...ids].filter((id) => before?.has(id) !== false));
    this.#tests.push((record) => ids.has(record.serviceId));
  }

  ofPhase(phase: string): void {
    this.#phase = phase;
    this.#bodyTests.push(({ kind, record }) => kind.phaseOf(record) === phase);
  }

  /** `needles`: what the bytes of each record hold that passes. */
  add(test: (envelope: Omit<SessionEnvelope, "end">) => boolean, ...needles: readonly Needle[]): void {
    this.#tests.push(test);
    this.#needles.push(...needles);
  }

  addOfBody(test: (known: KnownSession) => boolean, ...needles: readonly Needle[]): void {
    this.#bodyTests.push(test);
    this.#needles.push(...needles);
  }

  mayMatch(id: SessionId): boolean {
    const { sessions, catalogue } = this.#sources;
    const asks = this.#services !== undefined || this.#phase !== undefined;
    if (asks && catalogue.knownOf !== undefined) {
      const known = catalogue.knownOf(id);
      if (known === undefined || this.#services?.has(known.service) === false) return false;
      if (this.#phase !== undefined && known.phase !== this.#phase) return false;
    }
    return this.#needles.length === 0 || sessions.maySpeakOf(id, this.#needles);
  }

  matches(shown: ShownSession): boolean {
    if ("foreign" in shown)
      return this.#bodyTests.length === 0 && this.#tests.every((test) => test(shown.foreign));
    return this.#tests.every((test) => test(shown.record)) && this.#bodyTests.every((test) => test(shown));
  }
}

function filterOf(query: Partial<SessionQuery>, sources: SearchSources): Filter {
  const filters = new Filters(sources);
  const { service, client, vip, endpoint, natPort, clientPort, tag, phase, owner, member } = query;
  const protocol = query.protocol && protocolOf(query.protocol);
  if (protocol !== undefined) filters.add((record) => record.protocol === protocol);
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
