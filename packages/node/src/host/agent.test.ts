// The agent's list, over members that die and come back.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type ApiClient, ApiError, UNREACHABLE } from "@holdfast/api";
import { silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { Agent } from "./agent.ts";
import { PlayedHost } from "./testing/played-host.ts";

function played() {
  const host = new PlayedHost();
  const clock = new ManualClock();
  const vips: string[] = [];
  const dead = new Set<string>();
  const asked: string[] = [];
  const member = (name: string) => {
    const client: Pick<ApiClient, "listVips"> = {
      async listVips() {
        asked.push(name);
        if (dead.has(name))
          throw new ApiError({ code: UNREACHABLE, status: 0, title: `${name} does not answer.`, detail: "" });
        return vips.map((vip) => ({ vip })) as Awaited<ReturnType<ApiClient["listVips"]>>;
      },
    };
    return { name, client: client as ApiClient };
  };
  const start = () => {
    const agent = new Agent({
      members: [member("m1"), member("m2")],
      periodMs: 1_000,
      tools: host,
      clock,
      logger: silentLogger,
    });
    agent.start();
    return agent;
  };
  const table = () => [...(host.tables.get("ip holdfast_agent") ?? [])];
  return { host, clock, vips, dead, asked, start, table };
}

suite("agent", () => {
  test("follows the cluster's VIPs, by whichever member answers", async () => {
    const { clock, vips, dead, start, table } = played();
    vips.push("203.0.113.1", "198.51.100.1");
    const agent = start();
    await agent.settled();
    assert.deepEqual(table(), ["198.51.100.1", "203.0.113.1"]);
    assert.equal(agent.isReady, true);
    dead.add("m1");
    vips.splice(0, 2, "203.0.113.7");
    clock.advance(1_000);
    await agent.settled();
    assert.deepEqual(table(), ["203.0.113.7"]);
  });

  test("with no member it keeps what it knows, also what an earlier one knew, and puts it in again", async () => {
    const { host, clock, vips, dead, asked, start, table } = played();
    vips.push("203.0.113.1");
    const first = start();
    await first.settled();
    await first.stop();
    assert.deepEqual(table(), ["203.0.113.1"], "the next one takes it up");
    dead.add("m1").add("m2");
    const agent = start();
    await agent.settled();
    assert.equal(agent.isReady, false);
    assert.match(agent.trouble, /no member/);
    assert.deepEqual(table(), ["203.0.113.1"]);
    const scripts = host.scripts.length;
    const questions = asked.length;
    for (let n = 0; n < 60; n++) {
      clock.advance(10_000);
      await agent.settled();
    }
    assert.ok(host.scripts.length > scripts, "before their time is over");
    assert.ok(asked.length - questions <= 2 * 61, "not asked more often while nobody answers");
    dead.delete("m2");
    vips.push("203.0.113.2");
    clock.advance(10_000);
    await agent.settled();
    assert.deepEqual(table(), ["203.0.113.1", "203.0.113.2"]);
    assert.equal(agent.isReady, true);
  });

  test("takes away what was made when it is told to", async () => {
    const { host, vips, start } = played();
    vips.push("203.0.113.1", "2001:db8::1");
    const agent = start();
    await agent.settled();
    assert.equal(host.tables.size, 2);
    await agent.stop();
    await agent.remove();
    assert.equal(host.tables.size, 0);
  });
});
