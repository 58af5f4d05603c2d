// LoxiLB's entries of TCP and UDP: two of each flow, with its words for their states.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PathCounters } from "@holdfast/api";
import {
  emptyPlain,
  MARK,
  PLAIN_SESSIONS,
  type PlainRecord,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  plainEnd,
  type Service,
  serviceIdOf,
} from "@holdfast/model";
import { conntrackEntries } from "./conntrack.ts";

const VIP = "203.0.113.1";
const serviceFor = (protocol: number): Service => ({
  ...{ id: serviceIdOf(protocol, VIP, 53), name: "names", protocol, vips: [VIP], port: 53 },
  ...{ selection: "hash", endpoints: [], idleTimeoutS: 900, restartNewAddresses: "abort" },
  ...{ clientPrefixes: [], withdrawWhenDown: false },
});
const recordOf = (protocol: number, marks: number): PlainRecord => ({
  ...emptyPlain("3f1e0000-0000-4000-8000-000000000001"),
  ...{ protocol, serviceId: serviceIdOf(protocol, VIP, 53), client: "198.51.100.7", clientPort: 40_000 },
  ...{ vip: VIP, endpoint: "10.0.0.5", endpointPort: 5_353, natPort: 2_048, marks },
});
const entriesOf = (record: PlainRecord, rows: readonly PathCounters[]) =>
  conntrackEntries({ kind: PLAIN_SESSIONS, record }, serviceFor(record.protocol), rows);
const row = (packets: number): PathCounters => ({
  ...{ member: "m0", vip: VIP, client: "198.51.100.7" },
  ...{ up: { packets, bytes: 100 * packets }, down: { packets: packets - 1, bytes: 1_000 } },
});

test("a TCP flow is a forward and a reverse entry, packets of all members together", () => {
  assert.deepEqual(entriesOf(recordOf(PROTOCOL_TCP, MARK.answered), [row(3), { ...row(2), member: "m1" }]), [
    {
      destinationIP: VIP,
      sourceIP: "198.51.100.7",
      destinationPort: 53,
      sourcePort: 40_000,
      conntrackAct: `fdnat-${VIP},10.0.0.5:5353:w0`,
      packets: 5,
      bytes: 500,
      protocol: "tcp",
      conntrackState: "est",
      ident: "0:0",
      servName: "names",
    },
    {
      destinationIP: VIP,
      sourceIP: "10.0.0.5",
      destinationPort: 2_048,
      sourcePort: 5_353,
      conntrackAct: `fsnat-${VIP},198.51.100.7:53:w0`,
      packets: 3,
      bytes: 2_000,
      protocol: "tcp",
      conntrackState: "est",
      ident: "0:0",
      servName: "names",
    },
  ]);
});

test("states are LoxiLB's words, and a flow without a packet is shown all the same", () => {
  const state = (protocol: number, marks: number) => {
    const entries = entriesOf(recordOf(protocol, marks), []);
    assert.equal(entries.length, 2);
    return entries[0]?.["conntrackState"];
  };
  assert.equal(state(PROTOCOL_TCP, 0), "sync-sent");
  assert.equal(state(PROTOCOL_TCP, MARK.answered | MARK.finUp), "fini");
  assert.equal(state(PROTOCOL_TCP, MARK.answered | MARK.finUp | MARK.finDown), "fini");
  assert.equal(state(PROTOCOL_UDP, MARK.answered), "udp-uni");
  assert.equal(state(PROTOCOL_UDP, MARK.answered | MARK.lively), "udp-est");
  const open = recordOf(PROTOCOL_TCP, MARK.answered);
  const ended = { ...open, end: plainEnd(open, "closed", true) };
  assert.equal(entriesOf(ended, [])[0]?.["conntrackState"], "closed");
});
