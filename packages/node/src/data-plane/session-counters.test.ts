import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowCounters, FlowKey } from "@holdfast/forwarder";
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  familyOf,
  type Generation,
  PROTOCOL_SCTP,
  type SessionRecord,
  SessionView,
  sessionIdOf,
} from "@holdfast/model";
import { sessionCounters } from "./session-counters.ts";

const V4: Address = "203.0.113.1";
const V6: Address = "2001:db8:b::1";
const SERVICE = { id: "sctp/203.0.113.1:38412", vips: [V4, V6], port: 38_412 };
const CANDIDATE: Candidate = {
  member: 1,
  endpoint: "198.19.0.100",
  endpointPort: 38_412,
  natPort: 2_049,
  endpointTag: 7,
  endpointAddresses: ["198.19.0.101", "fd09::64"],
  echoed: true,
};

function mixedRecord(): SessionRecord {
  const source: Address = "198.18.1.10";
  const listed: Address[] = [source, "fd02::1:10"];
  const generation: Generation = {
    clientTag: 9,
    arrivalVip: 0,
    source,
    listed,
    pairing: listed,
    phase: "established",
    candidates: new Map([[candidateKeyOf(CANDIDATE), CANDIDATE]]),
    aborted: false,
  };
  return new SessionView().apply({
    id: sessionIdOf(SERVICE.id, 36_412, 9, source, listed),
    protocol: PROTOCOL_SCTP,
    serviceId: SERVICE.id,
    clientPort: 36_412,
    createdAtMs: 1,
    clients: new Map(listed.map((address) => [address, true])),
    generations: new Map([[9, generation]]),
  });
}

/** As the maps of the kernel are: there is no key of two families. */
function counters(flows: ReadonlyMap<string, FlowCounters>) {
  return {
    plain: { read: () => undefined },
    nowMs: () => 1_000,
    counters({ source, destination }: FlowKey) {
      assert.equal(familyOf(source), familyOf(destination));
      return flows.get(`${source} ${destination}`);
    },
  };
}

test("a session of both families: each VIP with the clients and endpoint addresses of its own", () => {
  const flow = (packets: number, lastSeenMs: number): FlowCounters => ({
    packets,
    bytes: packets * 100,
    lastSeenMs,
  });
  const rows = sessionCounters(
    mixedRecord(),
    SERVICE,
    counters(
      new Map([
        [`198.18.1.10 ${V4}`, flow(3, 900)],
        [`198.19.0.100 ${V4}`, flow(4, 910)],
        [`198.19.0.101 ${V4}`, flow(2, 950)],
        [`fd02::1:10 ${V6}`, flow(5, 800)],
        [`fd09::64 ${V6}`, flow(6, 700)],
      ]),
    ),
    "m1",
  );
  assert.deepEqual(rows, [
    {
      member: "m1",
      vip: V4,
      client: "198.18.1.10",
      up: { packets: 3, bytes: 300, lastSeenMsAgo: 100 },
      // Both addresses of the endpoint.
      down: { packets: 6, bytes: 600, lastSeenMsAgo: 50 },
    },
    {
      member: "m1",
      vip: V6,
      client: "fd02::1:10",
      up: { packets: 5, bytes: 500, lastSeenMsAgo: 200 },
      down: { packets: 6, bytes: 600, lastSeenMsAgo: 300 },
    },
  ]);
});
