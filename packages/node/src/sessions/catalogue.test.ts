import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Candidate,
  candidateKeyOf,
  commitOf,
  endOf,
  type Generation,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  type SessionDelta,
  SessionView,
} from "@holdfast/model";
import { HISTORY_COUNT_MAX, SessionCatalogue } from "./catalogue.ts";

const SERVICE = "sctp/203.0.113.1:5000";
const ID = "00000000-0000-5000-8000-000000000001";

function answered(tag: number): SessionDelta {
  const candidate: Candidate = {
    member: 0,
    endpoint: "192.0.2.1",
    endpointPort: 7_000,
    natPort: 1_024,
    endpointTag: tag,
    endpointAddresses: [],
    echoed: false,
  };
  const generation: Generation = {
    clientTag: tag,
    arrivalVip: 0,
    source: "10.0.0.1",
    listed: [],
    pairing: ["10.0.0.1"],
    phase: "initAck",
    candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    aborted: false,
  };
  return {
    id: ID,
    protocol: 132,
    serviceId: SERVICE,
    clientPort: 9,
    generations: new Map([[tag, generation]]),
  };
}

test("the history says which phases a session was seen in, when, and why it ended", () => {
  let wallMs = 1_700_000_000_000;
  const clock = {
    nowMs: () => 0,
    wallMs: () => wallMs++,
    after: () => ({ cancel() {} }),
    every: () => ({ cancel() {} }),
  };
  const view = new SessionView();
  const ended: string[] = [];
  const catalogue = new SessionCatalogue([view], clock, { ended: (record) => ended.push(record.id) });
  let record = view.apply(answered(7));
  const [generation] = record.generations.values();
  const [candidate] = generation?.candidates.values() ?? [];
  assert.ok(generation !== undefined && candidate !== undefined);
  record = view.apply({
    id: ID,
    generations: new Map([[7, { ...generation, phase: "established" as const }]]),
    commit: commitOf(record, 7, candidate),
  });
  assert.equal(catalogue.countOfEndpoint(SERVICE, "192.0.2.1:7000"), 1);
  view.joinRemote({ id: ID, end: endOf(record, "idle") });
  assert.deepEqual(catalogue.historyOf(ID), [
    { wallMs: 1_700_000_000_000, phase: "initAck", origin: "local" },
    { wallMs: 1_700_000_000_001, phase: "established", origin: "local" },
    { wallMs: 1_700_000_000_002, phase: "closed", origin: "remote", note: "idle" },
  ]);
  assert.deepEqual(ended, [ID]);
  assert.deepEqual(
    [catalogue.countOfPhase(PROTOCOL_SCTP, "closed"), catalogue.countOfService(SERVICE)],
    [1, 0],
  );
  assert.equal(catalogue.countOfPhase(PROTOCOL_TCP, "closed"), 0);

  // Revived by traffic and timed out again and again: the first entry and the latest stay.
  for (let activity = 1; activity <= HISTORY_COUNT_MAX; activity++) {
    const revived = view.apply({ id: ID, activity });
    view.apply({ id: ID, end: endOf(revived, "idle") });
  }
  const history = catalogue.historyOf(ID);
  assert.equal(history.length, HISTORY_COUNT_MAX);
  assert.equal(history[0]?.wallMs, 1_700_000_000_000);
  assert.equal(history.at(-1)?.wallMs, wallMs - 1);
  assert.equal(catalogue.historyOf("nobody").length, 0);
});
