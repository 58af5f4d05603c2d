import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../../address.ts";
import { join } from "../join.ts";
import type { Candidate, Generation, SessionRecord } from "../record.ts";
import { candidateKeyOf } from "./candidate.ts";
import { commitOf, currentCandidate } from "./facts.ts";

const ENDPOINT = parseAddress("198.19.0.100");
const CLIENT = parseAddress("198.18.1.10");
const CLIENT_TAG = 7;

function answer(endpointTag: number, echoed: boolean): Candidate {
  const place = { member: 1, endpoint: ENDPOINT, endpointPort: 38412, natPort: 40_000 };
  return { ...place, endpointTag, endpointAddresses: [], echoed };
}

function generationOf(...candidates: readonly Candidate[]): Generation {
  return {
    clientTag: CLIENT_TAG,
    arrivalVip: 0,
    source: CLIENT,
    listed: [],
    pairing: [CLIENT],
    phase: "initAck",
    candidates: new Map(candidates.map((candidate) => [candidateKeyOf(candidate), candidate])),
    aborted: false,
  };
}

test("the candidate that the client chose is in force, whichever was committed before the choice was known", () => {
  const record: SessionRecord = {
    id: "s",
    protocol: 132,
    serviceId: "sctp/203.0.113.1:38412",
    clientPort: 36412,
    createdAtMs: 1,
    clients: new Map([[CLIENT, true]]),
    generations: new Map([[CLIENT_TAG, generationOf(answer(11, false), answer(22, false))]]),
    commit: undefined,
    heard: new Map(),
    activity: 0,
    end: undefined,
  };
  // Another member's commit: it saw the endpoint's HEARTBEAT before the COOKIE-ECHO's choice.
  const commit = commitOf(record, CLIENT_TAG, answer(11, false));
  const chosen = { id: "s", generations: new Map([[CLIENT_TAG, generationOf(answer(22, true))]]) };
  const committed = join(record, { id: "s", commit });
  assert.equal(currentCandidate(committed)?.endpointTag, 11);
  assert.equal(currentCandidate(join(committed, chosen))?.endpointTag, 22);
  assert.equal(currentCandidate(join(join(record, chosen), { id: "s", commit }))?.endpointTag, 22);
});
