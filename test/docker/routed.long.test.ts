// The compose file with routers, as a user runs it: sessions come up, messages flow, the owner dies.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { until } from "@holdfast/testkit";
import { Engine } from "./engine.ts";

const LIMIT_MS = 180_000;
const PRIMARY = "203.0.113.1";

let engine: Engine;

before(() => {
  engine = Engine.open("deploy/docker/routed/compose.yaml");
  engine.build("holdfast", "holdfast:local");
  engine.build("peer", "holdfast-peer:local");
  engine.build("router", "holdfast-router:local");
});
after(() => engine?.close());

function items<T>(member: string, what: string): T[] {
  const parsed = JSON.parse(engine.exec(member, "holdfast", "get", what, "-o", "json")) as
    | { items?: T[] }
    | T[];
  return Array.isArray(parsed) ? parsed : (parsed.items ?? []);
}

const answered = () => {
  const line = engine.logs("client").findLast((text) => text.startsWith("messages sent"));
  return Number(/answered (\d+)/.exec(line ?? "")?.[1] ?? 0);
};

async function comesUp(): Promise<void> {
  engine.compose("up", "-d", "--no-build");
  await until(
    "the client's association",
    () => engine.logs("client").includes("association 0: up"),
    LIMIT_MS,
    500,
  );
  for (const member of ["m1", "m2", "m3"])
    await until(
      `${member}'s sessions, BFD included`,
      () =>
        items<{ session: string; bfd?: string }>(member, "routers").every(
          ({ session, bfd }) => session === "Established" && bfd === "Up",
        ),
      LIMIT_MS,
      500,
    );
  await until("messages to flow", () => answered() > 50, LIMIT_MS, 500);
}

async function ownerDies(): Promise<void> {
  const owner = items<{ vip: string; owner?: string }>("m1", "vips").find(
    ({ vip }) => vip === PRIMARY,
  )?.owner;
  assert(owner !== undefined);
  const before = answered();
  engine.compose("kill", owner);
  await until("messages to flow on", () => answered() > before + 100, LIMIT_MS, 500);
  assert.deepEqual(
    engine.logs("client").filter((line) => /^association|^error/.test(line)),
    ["association 0: up"],
  );
}

// Each goes on where the last one ended.
test("the compose file with routers", async (t) => {
  await t.test("members come up behind FRR routers, and messages flow", { timeout: 900_000 }, comesUp);
  await t.test(
    "the primary's owner is killed: routers go on with the next, and the association with them",
    { timeout: 600_000 },
    ownerDies,
  );
});
