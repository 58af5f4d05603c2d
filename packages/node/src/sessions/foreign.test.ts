// Sessions of protocols that this version does not know: shown by their envelope, matched by nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ForeignSession,
  PROTOCOL_SCTP,
  type Service,
  SessionView,
  serviceIdOf,
  systemClock,
} from "@holdfast/model";
import { SessionCatalogue } from "./catalogue.ts";
import { type SearchSources, searchSessions } from "./search.ts";
import { SessionTables, type ShownSession } from "./tables.ts";
import { foreignSummary } from "./view.ts";

const idOf = (shown: ShownSession) => ("foreign" in shown ? shown.foreign : shown.record).id;

const TCP = 6;
const OURS = "0f9c579a-8b91-5024-abc9-8790ec9ebd7c";
const service = (protocol: number) =>
  ({
    id: serviceIdOf(protocol, "203.0.113.1", 3868),
    name: "s",
    vips: ["203.0.113.1"],
  }) as unknown as Service;

const foreign = (id: string): ForeignSession => ({
  id,
  protocol: TCP,
  serviceId: service(TCP).id,
  clientPort: 40_000,
  createdAtMs: Date.UTC(2026, 0, 1),
  activity: 3,
  isEnded: false,
});

function sources(others: readonly ForeignSession[]): SearchSources {
  const table = new SessionView();
  table.apply({
    id: OURS,
    protocol: PROTOCOL_SCTP,
    serviceId: service(PROTOCOL_SCTP).id,
    clientPort: 40_000,
  });
  return {
    sessions: new SessionTables([table], () => others),
    catalogue: new SessionCatalogue([table], systemClock),
    services: () => [service(PROTOCOL_SCTP), service(TCP)],
    ownershipOf: () => undefined,
    memberNumberOf: () => 0,
  };
}

const before = foreign("00000000-8b91-5024-abc9-8790ec9ebd7c");
const behind = foreign("ffffffff-8b91-5024-abc9-8790ec9ebd7c");

test("they stand among the others in the order of their ids, page by page", async () => {
  const from = sources([behind, before]);
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await searchSessions({ limit: 1, ...(cursor !== undefined && { cursor }) }, from);
    ids.push(...page.found.map(idOf));
    cursor = page.next;
  } while (cursor !== undefined);
  assert.deepEqual(ids, [before.id, OURS, behind.id]);
});

test("filters on the envelope find them, filters on what only SCTP has do not", async () => {
  const from = sources([before]);
  const found = async (query: Parameters<typeof searchSessions>[0]) =>
    (await searchSessions(query, from)).found.map(idOf);
  assert.deepEqual(await found({ service: service(TCP).id }), [before.id]);
  assert.deepEqual(await found({ vip: "203.0.113.1" }), [before.id, OURS]);
  assert.deepEqual(await found({ client: "192.0.2.1" }), []);
  assert.deepEqual(await found({ natPort: 40_000 }), []);
  assert.deepEqual(await found({ phase: "init" }), [OURS]);
});

test("they are shown as of their protocol, in a phase that nobody here knows", () => {
  const { protocol, phase, clients, createdAt } = foreignSummary(before, service(TCP));
  assert.deepEqual([protocol, phase, clients], ["tcp", "unknown", []]);
  assert.equal(createdAt, "2026-01-01T00:00:00.000Z");
  assert.equal(foreignSummary({ ...before, protocol: 200 }, undefined).protocol, "200");
  assert.equal(foreignSummary({ ...before, isEnded: true }, undefined).phase, "closed");
});
