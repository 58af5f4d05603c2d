import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemberReport } from "@holdfast/api";
import { ManualClock } from "@holdfast/model/testing";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { ReportExchange } from "./reports.ts";

const ORIGIN = "https://m2.example:7080";
const AT = "2026-01-01T00:00:00.000Z";

const REPORT: MemberReport = {
  member: "m2",
  at: AT,
  version: "0.2.0",
  startedAt: AT,
  ready: true,
  failing: [],
  fastPath: "tc",
  sessions: 0,
  natPortsUsed: 0,
  interfaces: [],
  peers: [],
  announcements: [],
  routers: [],
  drops: [],
  traffic: [],
  api: [ORIGIN],
};

test("a member that still starts is asked where its API is until it tells", async () => {
  const clock = new ManualClock();
  let isStarted = false;
  let asked = 0;
  const link = {
    onRequest: () => {},
    onConnect: () => {},
    connected: () => [2],
    request: async () => {
      asked++;
      return isStarted ? new TextEncoder().encode(JSON.stringify(REPORT)) : undefined;
    },
  } as unknown as ClusterLink;
  const directory = { self: "m1", nameOf: () => "m2" } as unknown as MemberDirectory;
  const exchange = new ReportExchange(link, directory, clock, async () => ({ ...REPORT, member: "m1" }));
  const settle = async (ms: number) => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await settle(5_000);
  assert.ok(asked >= 2, `asked ${asked} times`);
  assert.deepEqual(exchange.origins(), []);
  isStarted = true;
  await settle(5_000);
  await settle(5_000);
  assert.deepEqual(exchange.origins(), [ORIGIN]);
  const before = asked;
  await settle(60_000);
  assert.equal(asked, before, "it is known, and not asked again");
});
