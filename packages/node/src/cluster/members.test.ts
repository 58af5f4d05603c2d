import assert from "node:assert/strict";
import { test } from "node:test";
import type { Coordinator } from "@holdfast/coordinator";
import type { OwnMember } from "../config/check.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import type { ClusterLink } from "./link.ts";
import { MemberDirectory } from "./members.ts";

const VIP = "203.0.113.1";
const MEMBERS = ["m1", "m2"].map((name, number) => ({ name, number, zone: "z", addresses: [] }));

async function viewOf(phase: "alive" | "suspect" | "dead" | "left", claimed = [VIP]) {
  const said = {
    phase,
    incarnation: 7,
    ready: true,
    caughtUp: true,
    draining: true,
    mainAlive: true,
    settling: false,
    claims: claimed.map((vip) => ({ vip })),
  };
  const coordinator = { view: () => ({ members: [{ ...said, name: "m2" }] }) } as unknown as Coordinator;
  const link = {
    store: { drainedMembers: () => new Set() },
    metrics: () => Promise.resolve(undefined),
    sessions: { size: 0 },
    offered: () => new Set(),
  } as unknown as ClusterLink;
  const registry = { list: () => [{ vips: [VIP] }] } as unknown as ServiceRegistry;
  const directory = new MemberDirectory(() => MEMBERS, { name: "m1", number: 0 } as OwnMember);
  const views = await directory.views(coordinator, link, registry);
  const { ready, vips, draining, reason } = views[1] as (typeof views)[number];
  return { phase: views[1]?.phase, ready, vips, draining, reason };
}

test("a member that is there shows what it says of itself", async () => {
  const shown = { ready: true, vips: [VIP], draining: true, reason: undefined };
  assert.deepEqual(await viewOf("alive"), { phase: "alive", ...shown });
  assert.deepEqual(await viewOf("suspect"), { phase: "suspect", ...shown });
});

test("a member that is gone is not ready and owns nothing, whatever it said last", async () => {
  const shown = { phase: "dead", ready: false, vips: [], draining: false };
  assert.deepEqual(await viewOf("dead"), { ...shown, reason: "silent" });
  assert.deepEqual(await viewOf("left"), { ...shown, reason: "it stopped and said so" });
});

test("a VIP of no service is not shown", async () => {
  assert.deepEqual((await viewOf("alive", [VIP, "198.51.100.1"])).vips, [VIP]);
});
