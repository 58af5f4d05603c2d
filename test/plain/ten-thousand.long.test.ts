// Ten thousand connections and ten thousand exchanges outlive the node of their VIP's owner.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { PlainScene } from "./scene.ts";

const COUNT = 10_000;
const COUNTS = { tcp: COUNT, udp: COUNT };
/** Each flow asks so often: two thousand questions a second leave a slow machine time for its members. */
const PAUSE_MS = 10_000;
const PER_SECOND = 250;
const LIMIT_MS = 120_000;

test(`the owner dies under ${COUNT} connections and ${COUNT} exchanges; no reset, none is lost`, async (t) => {
  const options = {
    tcpCount: COUNT,
    udpCount: COUNT,
    endpoints: 2,
    pauseMs: PAUSE_MS,
    perSecond: PER_SECOND,
  };
  await PlainScene.play(options, async (scene) => {
    const { client } = scene;
    const startedMs = performance.now();
    const say = (what: string, report: object) => {
      const { ports: _, ...rest } = report as { ports?: unknown };
      const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
      t.diagnostic(`${seconds} s, ${what}: ${JSON.stringify(rest)}`);
    };
    await scene.shared(2 * COUNT, LIMIT_MS);
    const before = await client.allAnswered(COUNTS, LIMIT_MS);
    say("before", before);
    const owner = await scene.owner();
    await owner.killNode();
    const next = await until("another owner", async () => {
      const now = await scene.owner();
      return now.name !== owner.name && now;
    });
    const after = await client.allAnswered(COUNTS, LIMIT_MS);
    say("taken over", after);
    // Whoever asked between death and take-over has its answer or has given its datagram up: from here on
    // none is lost.
    const whole = await client.allAnswered(COUNTS, LIMIT_MS);
    say("a round later", whole);
    const { connected, resets, closed, wrong, lost } = whole;
    assert.deepEqual(
      { connected, resets, closed, wrong },
      { connected: COUNT, resets: 0, closed: 0, wrong: 0 },
    );
    assert.equal(lost, after.lost, "datagrams that were lost after the take-over");
    // Each flow is where it was, toward its endpoint too: another NAT port would be another session.
    await scene.shared(2 * COUNT, LIMIT_MS);
    const { items } = await next.get<{ items: { sessions: number }[] }>("/v1/services");
    assert.deepEqual(
      items.map(({ sessions }) => sessions),
      [COUNT, COUNT],
    );
  });
});
