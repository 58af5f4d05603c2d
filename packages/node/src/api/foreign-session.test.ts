// A session of a protocol that this version does not know, through the API.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionDetailSchema } from "@holdfast/api";
import type { ForeignSession } from "@holdfast/model";
import { SessionTables } from "../sessions/tables.ts";
import { buildServer } from "./server.ts";
import { addSession, fakeNode } from "./testing/fake-node.ts";
import { assertSchema } from "./testing/schema.ts";

const FOREIGN: ForeignSession = {
  id: "11111111-2222-5333-8444-555555555555",
  protocol: 6,
  serviceId: "tcp/203.0.113.1:443",
  clientPort: 40_000,
  createdAtMs: 1_700_000_000_000,
  activity: 2,
  isEnded: false,
};

test("it is shown by its envelope, and nobody touches it", async () => {
  const { view, sources } = fakeNode();
  const known = addSession(view, {
    primary: "203.0.113.1",
    port: 38412,
    client: "192.0.2.9",
    clientPort: 9,
    endpoint: "10.0.0.1",
    natPort: 9,
  });
  const sessions = new SessionTables([view], () => [FOREIGN]);
  const app = await buildServer(
    { ...sources, sessions },
    { authorization: { tokens: () => [], socket: false } },
  );
  const detail = (await app.inject(`/v1/sessions/${FOREIGN.id}`)).json();
  assertSchema(SessionDetailSchema, detail);
  const { bodyUnderstood, protocol, phase, clientPort, activity, generations, counters } = detail;
  assert.deepEqual(
    { bodyUnderstood, protocol, phase, clientPort, activity, generations, counters },
    {
      bodyUnderstood: false,
      protocol: "tcp",
      phase: "unknown",
      clientPort: 40_000,
      activity: 2,
      generations: [],
      counters: [],
    },
  );
  assert.equal((await app.inject(`/v1/sessions/${known}`)).json().bodyUnderstood, true);
  for (const request of [
    { method: "DELETE", url: `/v1/sessions/${FOREIGN.id}` },
    { method: "GET", url: `/v1/trace?session=${FOREIGN.id}` },
  ] as const) {
    const refused = await app.inject(request);
    assert.deepEqual([refused.statusCode, refused.json().code], [409, "SESSION_NOT_UNDERSTOOD"]);
    assert.match(refused.json().title, /protocol tcp, which this member does not know/);
  }
  await app.close();
});
