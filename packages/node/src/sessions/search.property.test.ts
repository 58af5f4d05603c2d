// What is sorted out without being decoded is what would not have matched.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionQuery } from "@holdfast/api";
import {
  type Address,
  PROTOCOL_SCTP,
  parseAddress,
  type Service,
  type SessionDelta,
  type SessionId,
  SessionView,
  serviceIdOf,
  systemClock,
} from "@holdfast/model";
import { arbitraryDelta, arbitrarySessionId } from "@holdfast/model/arbitrary";
import fc from "fast-check";
import { SessionCatalogue } from "./catalogue.ts";
import { filterOf } from "./filters.ts";
import { type SearchSources, searchSessions } from "./search.ts";
import { SessionTables, type ShownSession } from "./tables.ts";

const service = (port: number) => {
  const id = serviceIdOf(PROTOCOL_SCTP, "203.0.113.1", port);
  return { id, name: `s${port}`, vips: ["203.0.113.1", `198.51.100.${port % 200}`] } as unknown as Service;
};
const SERVICES = [service(38412), service(29118)];

function sourcesOf(deltas: readonly SessionDelta[]): SearchSources {
  const table = new SessionView();
  const catalogue = new SessionCatalogue([table], systemClock);
  for (const delta of deltas) table.apply(delta);
  return {
    sessions: new SessionTables([table]),
    catalogue,
    services: () => SERVICES,
    ownershipOf: (vip) => ({
      vip: parseAddress(vip),
      owner: vip.startsWith("203") ? "m0" : "m1",
      candidates: [],
      reasons: [],
    }),
    memberNumberOf: Number,
  };
}

/** Decodes everything. */
function slowly(query: Partial<SessionQuery>, sources: SearchSources): SessionId[] {
  const filter = filterOf(query, sources);
  return [...sources.catalogue.order.after(undefined)].filter((id) => {
    const shown = sources.sessions.get(id);
    return shown !== undefined && filter.matches(shown);
  });
}

const idOf = (shown: ShownSession) => ("foreign" in shown ? shown.foreign : shown.record).id;
const idsOf = async (query: Partial<SessionQuery>, sources: SearchSources, walkCount?: number) =>
  (await searchSessions({ ...query, limit: 1000 }, sources, walkCount)).found.map(idOf);

/** All pages. */
async function allPages(query: Partial<SessionQuery>, sources: SearchSources, walkCount: number) {
  const ids: SessionId[] = [];
  let cursor: string | undefined;
  do {
    const page = await searchSessions({ ...query, limit: 3, ...(cursor && { cursor }) }, sources, walkCount);
    ids.push(...page.found.map(idOf));
    cursor = page.next;
  } while (cursor !== undefined);
  return ids;
}

const address = fc.constantFrom("192.0.2.1", "192.0.2.7", "2001:db8::1", "10.0.0.1", "10.0.0.2");
const everything: fc.Arbitrary<Partial<SessionQuery>> = fc.record({
  client: address,
  endpoint: fc.constantFrom("10.0.0.1", "10.0.0.1:5000", "192.0.2.3", "[2001:db8::1]:1"),
  natPort: fc.constantFrom(4096, 4097, 5000),
  clientPort: fc.constantFrom(1, 5000, 65535, 0),
  tag: fc.constantFrom("1", "0x2", "ffffffff", "0xabcdef"),
  phase: fc.constantFrom("init", "established", "closed"),
  service: fc.constantFrom("s38412", "s29118", "other"),
  owner: fc.constantFrom("m0", "m1", "m2"),
  protocol: fc.constantFrom("sctp", "tcp"),
});
const NAMES = [
  "client",
  "endpoint",
  "natPort",
  "clientPort",
  "tag",
  "phase",
  "service",
  "owner",
  "protocol",
] as const;
/** Mostly one filter or two: of more nothing is left. */
const query = fc
  .tuple(everything, fc.subarray([...NAMES], { minLength: 1, maxLength: 2 }))
  .map(([all, names]): Partial<SessionQuery> => Object.fromEntries(names.map((name) => [name, all[name]])));
const shown = arbitraryDelta(arbitrarySessionId).map(
  (delta): SessionDelta => ({ protocol: PROTOCOL_SCTP, serviceId: SERVICES[0]?.id ?? "", ...delta }),
);

test("a search finds what decoding everything finds, whatever it looks for", async () => {
  let foundCount = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(shown, { maxLength: 30 }), query, fc.nat(40), async (deltas, wanted, walks) => {
      const sources = sourcesOf(deltas);
      const found = slowly(wanted, sources);
      assert.deepEqual(await idsOf(wanted, sources, walks), found);
      assert.deepEqual(await allPages(wanted, sources, walks), found);
      foundCount += found.length;
    }),
    { numRuns: 300 },
  );
  assert.ok(foundCount > 0);
});

test("a search for one client among many decodes its sessions, and few others", async () => {
  const clientOf = (n: number): Address => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
  const sources = sourcesOf(
    Array.from({ length: 3_000 }, (_, n) => ({
      id: `${(n * 2_654_435_761).toString(16).padStart(12, "0").slice(-8)}-8b91-5024-abc9-8790ec9ebd7c`,
      protocol: PROTOCOL_SCTP,
      serviceId: (SERVICES[n % 2] as Service).id,
      clientPort: 36_412,
      clients: new Map<Address, boolean>([[clientOf(n), true]]),
    })),
  );
  let decoded = 0;
  const sessions: SearchSources["sessions"] = {
    get: (id) => {
      decoded++;
      return sources.sessions.get(id);
    },
    maySpeakOf: (id, needles) => sources.sessions.maySpeakOf(id, needles),
    speakingOf: (needles) => sources.sessions.speakingOf(needles),
    foreign: () => [],
  };
  const counting = { ...sources, sessions };
  for (const walks of [0, 100, 10_000]) {
    decoded = 0;
    assert.equal((await idsOf({ client: clientOf(1_234) }, counting, walks)).length, 1);
    assert.ok(decoded < 30, `${decoded}`);
    decoded = 0;
    assert.equal((await idsOf({ phase: "closed" }, counting, walks)).length, 0);
    assert.equal((await idsOf({ service: "s29118", client: clientOf(2) }, counting, walks)).length, 0);
    assert.ok(decoded < 30, `${decoded}`);
  }
});
