// Members that come and go while probe threads run.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemberConfiguration } from "../configuration.ts";
import { type Coordinator, startCoordinator } from "../coordinator.ts";

const WAIT_MAX_MS = 30_000;

async function until(what: string, condition: () => boolean): Promise<void> {
  const limitMs = performance.now() + WAIT_MAX_MS;
  while (!condition()) {
    assert(performance.now() < limitMs, `waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const port = 31_000 + (process.pid % 9_000);
const memberOf = (name: string, number: number): MemberConfiguration => ({
  name,
  number,
  addresses: [{ network: "path-a", address: `127.0.14.${number + 1}`, port }],
});

const seen = (at: Coordinator, name: string) => at.view().members.find((member) => member.name === name);

test("members come, go, and return under another name with the same number, heard by those that stay", async () => {
  const running = new Map<string, Coordinator>();
  const start = async (self: string, members: readonly MemberConfiguration[]) => {
    const coordinator = await startCoordinator({ self, members, secret: "a secret for a test" });
    coordinator.setReadiness({ ready: true, caughtUp: true });
    running.set(self, coordinator);
    return coordinator;
  };
  const [alpha, beta, gamma] = [memberOf("alpha", 0), memberOf("beta", 1), memberOf("gamma", 2)];
  try {
    const a = await start("alpha", [alpha, beta]);
    const b = await start("beta", [alpha, beta]);
    await until("alpha and beta hear each other", () => seen(a, "beta")?.ready === true);
    for (const each of [a, b]) each.setMembers([alpha, beta, gamma]);
    await until("gamma is listed", () => seen(a, "gamma")?.phase === "dead");
    const c = await start("gamma", [alpha, beta, gamma]);
    await until("everybody hears gamma", () => [a, b].every((each) => seen(each, "gamma")?.ready === true));
    await until("gamma hears everybody", () =>
      ["alpha", "beta"].every((name) => seen(c, name)?.ready === true),
    );

    for (const each of [a, b]) each.setMembers([alpha, beta]);
    await until("gamma is forgotten", () => [a, b].every((each) => seen(each, "gamma") === undefined));
    await until(
      "gamma is alone",
      () => seen(c, "alpha")?.phase === "dead" && seen(c, "beta")?.phase === "dead",
    );
    assert.equal(seen(a, "beta")?.phase, "alive");
    await c.close();

    const delta = memberOf("delta", 2);
    for (const each of [a, b]) each.setMembers([alpha, beta, delta]);
    await start("delta", [alpha, beta, delta]);
    await until("everybody hears delta", () => [a, b].every((each) => seen(each, "delta")?.ready === true));
    assert.throws(() => a.setMembers([beta, delta]), { code: "CLUSTER_INVALID" });
    assert.equal(seen(a, "beta")?.phase, "alive");
  } finally {
    await Promise.all([...running.values()].map((each) => each.close().catch(() => {})));
  }
});
