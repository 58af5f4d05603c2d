// Pages of sessions with filters. The walk gives the event loop back after every chunk: 100,000 sessions are read
// without a stall.
import { SESSION_PAGE_DEFAULT, type SessionQuery } from "@holdfast/api";
import {
  type Address,
  currentCandidate,
  effectivePhase,
  type ForeignSession,
  HoldfastError,
  natPortsOf,
  parseAddress,
  type Service,
  type SessionId,
  type SessionRecord,
  type SessionTable,
  type VipOwnership,
} from "@holdfast/model";
import { parseEndpointKey } from "../services/specification.ts";
import type { SessionOrder } from "./order.ts";
import { shownCandidate } from "./view.ts";

/** How long one turn of the event loop may walk, ms, and how often the clock is looked at. */
const TURN_MS = 2;
const CLOCK_PERIOD_COUNT = 32;

export interface SearchSources {
  readonly table: Pick<SessionTable, "get">;
  /** Of protocols that this version does not know. */
  readonly foreign: () => Iterable<ForeignSession>;
  readonly order: SessionOrder;
  readonly services: () => readonly Service[];
  readonly ownershipOf: (vip: string) => VipOwnership | undefined;
  readonly memberNumberOf: (nameOrNumber: string) => number | undefined;
}

export interface SearchPage {
  readonly records: readonly (SessionRecord | ForeignSession)[];
  /** Cursor of the next page; undefined at the end. */
  readonly next: string | undefined;
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export async function searchSessions(
  query: Partial<SessionQuery>,
  sources: SearchSources,
): Promise<SearchPage> {
  const matches = matcherOf(query, sources);
  const limit = query.limit ?? SESSION_PAGE_DEFAULT;
  const records: (SessionRecord | ForeignSession)[] = [];
  const foreign = new Map([...sources.foreign()].map((session) => [session.id, session]));
  const after = cursorId(query.cursor);
  let seen = 0;
  let turnedAtMs = performance.now();
  let last: SessionId | undefined;
  for (const id of merged(sources.order.after(after), idsAfter(foreign.keys(), after))) {
    if (records.length === limit) return { records, next: cursorText(last as string) };
    if (++seen % CLOCK_PERIOD_COUNT === 0 && performance.now() - turnedAtMs > TURN_MS) {
      await turn();
      turnedAtMs = performance.now();
    }
    const record = sources.table.get(id) ?? foreign.get(id);
    if (record === undefined || !matches(record)) continue;
    records.push(record);
    last = id;
  }
  return { records, next: undefined };
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

type Shown = SessionRecord | ForeignSession;

/** undefined: nothing is known of its body. */
function bodyOf(shown: Shown): SessionRecord | undefined {
  return "generations" in shown ? shown : undefined;
}

function matcherOf(query: Partial<SessionQuery>, sources: SearchSources): (record: Shown) => boolean {
  /** Of the envelope. */
  const tests: ((record: Shown) => boolean)[] = [];
  /** Of SCTP's body: others have no such thing. */
  const bodyTests: ((record: SessionRecord) => boolean)[] = [];
  const { service, client, vip, endpoint, natPort, clientPort, tag, phase, owner, member } = query;
  const services = () => sources.services();
  const ofServices = (wanted: readonly Service[]) => {
    const ids = new Set(wanted.map((s) => s.id));
    tests.push((record) => ids.has(record.serviceId));
  };
  if (service !== undefined) {
    const named = services().filter((s) => s.id === service || s.name === service);
    // A service that was deleted may still have sessions.
    if (named.length === 0) tests.push((record) => record.serviceId === service);
    else ofServices(named);
  }
  if (vip !== undefined) {
    const address = parseAddress(vip);
    ofServices(services().filter((s) => s.vips.includes(address)));
  }
  if (owner !== undefined)
    ofServices(services().filter((s) => s.vips.some((v) => sources.ownershipOf(v)?.owner === owner)));
  if (client !== undefined) {
    const address: Address = parseAddress(client);
    bodyTests.push((record) => record.clients.has(address));
  }
  if (endpoint !== undefined) {
    const wanted = parseEndpointKey(endpoint);
    if (wanted === undefined)
      throw new HoldfastError("REQUEST_INVALID", {
        reason: `'${endpoint}' is not an endpoint`,
        remedy: "Write ADDRESS, or ADDRESS:PORT ([ADDRESS]:PORT for IPv6).",
      });
    bodyTests.push((record) => {
      const candidate = shownCandidate(record);
      return (
        candidate !== undefined &&
        (candidate.endpoint === wanted.address || candidate.endpointAddresses.includes(wanted.address)) &&
        (wanted.port === undefined || candidate.endpointPort === wanted.port)
      );
    });
  }
  if (natPort !== undefined)
    bodyTests.push((record) => natPortsOf(record).some((held) => held.natPort === natPort));
  if (clientPort !== undefined) tests.push((record) => record.clientPort === clientPort);
  if (tag !== undefined) {
    const wanted = Number.parseInt(tag.replace(/^0x/, ""), 16);
    bodyTests.push((record) =>
      [...record.generations.values(), ...(record.commit?.generation ? [record.commit.generation] : [])].some(
        ({ clientTag, candidates }) =>
          clientTag === wanted || [...candidates.values()].some(({ endpointTag }) => endpointTag === wanted),
      ),
    );
  }
  if (phase !== undefined) bodyTests.push((record) => effectivePhase(record) === phase);
  if (member !== undefined) {
    const number = sources.memberNumberOf(member);
    if (number === undefined) throw new HoldfastError("MEMBER_NOT_FOUND", { member });
    bodyTests.push((record) => (currentCandidate(record) ?? shownCandidate(record))?.member === number);
  }
  return (shown) => {
    if (!tests.every((test) => test(shown))) return false;
    const record = bodyOf(shown);
    return record === undefined ? bodyTests.length === 0 : bodyTests.every((test) => test(record));
  };
}
