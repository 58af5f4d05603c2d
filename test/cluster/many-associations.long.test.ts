import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { type Capture, type Member, PATH_NETWORKS, startCapture, until } from "@holdfast/testkit";
import { Scene } from "./scene.ts";
import { bringBack, goneFrom } from "./trouble.ts";

const CLIENT_COUNT = 4;
const ASSOCIATION_COUNT = 1000;
/** Kills of each kind. */
const ROUND_COUNT = 3;
/** What the verdict asks of so much traffic: packets that begin with INIT or ABORT. */
const BEGINS_AND_ENDS = "sctp and (ip[32] = 1 or ip[32] = 6)";
/** New associations per second while the owner dies, and of how many. */
const START_RATE = 200;
const START_COUNT = 800;

test("1,000 associations: the owner dies again and again, in both ways, and nothing is lost", async (t) => {
  const options = {
    members: 3,
    clients: Array.from({ length: CLIENT_COUNT }, () => 1),
    associations: ASSOCIATION_COUNT / CLIENT_COUNT,
    // Forty a second in all: this test is about what lives, the next one about storms.
    startRate: 10,
    rate: 1,
    capture: BEGINS_AND_ENDS,
  };
  await Scene.play(options, async (scene) => {
    const { cluster } = scene;
    const primary = cluster.vips[0] as Address;
    await scene.flowing(2, 60_000);
    assert.equal((await scene.sessions()).length, ASSOCIATION_COUNT);
    const through = await startCapture(
      cluster.lab,
      scene.servers[0]?.host as never,
      "core",
      `sctp and src host ${primary}`,
    );
    const kills: Kill[] = [];
    for (let round = 0; round < ROUND_COUNT; round++) {
      for (const how of ["node", "daemon"] as const) {
        const owner = await scene.ownerOf(primary);
        kills.push({ how, macs: macsOf(owner), atMs: Date.now() });
        await (how === "node" ? owner.killNode() : owner.killDaemon());
        await goneFrom(scene, owner, primary);
        await scene.flowing(2, 60_000);
        if (how === "node") owner.host.plug();
        await bringBack(scene, owner);
      }
    }
    await scene.flowing(2, 60_000);
    await through.stop();
    for (const how of ["node", "daemon"]) {
      const times = kills.filter((kill) => kill.how === how).map((kill) => takeoverMs(through, kill));
      t.diagnostic(`take-over of the primary, ${how} killed, ms: ${times.map(Math.round).join(", ")}`);
      // Generous: a figure for the benchmark, and here only the difference between a take-over and none.
      for (const ms of times) assert.ok(ms < 3_000, `a take-over took ${ms} ms`);
    }
    await scene.judge();
  });
});

for (const how of ["node", "daemon"] as const) {
  test(`${START_RATE} new associations a second while the owner's ${how} dies: every handshake ends well`, async () => {
    const options = { members: 3, clients: [3, 1], withoutStack: [1], capture: BEGINS_AND_ENDS };
    await Scene.play(options, async (scene) => {
      const { cluster } = scene;
      const newcomers = await cluster.startClient(1, {
        associations: START_COUNT,
        startRate: START_RATE,
        rate: 1,
        size: 100,
      });
      scene.clients.push(newcomers);
      await until("a quarter of them to be up", () => newcomers.count("up") >= START_COUNT / 4);
      const owner = await scene.ownerOf();
      assert.ok(newcomers.count("up") < START_COUNT, "the storm is over before anybody dies");
      await (how === "node" ? owner.killNode() : owner.killDaemon());
      await newcomers.established(START_COUNT, 60_000);
      await scene.flowing(1, 60_000);
      await scene.judge();
      assert.equal((await scene.sessions()).length, START_COUNT + 1);
    });
  });
}

interface Kill {
  readonly how: "node" | "daemon";
  /** Of the member that died. */
  readonly macs: ReadonlySet<string>;
  readonly atMs: number;
}

/** From the kill to the first packet that reaches the endpoint through another member. */
function takeoverMs(capture: Capture, { macs, atMs }: Kill): number {
  const first = capture.packets().find((packet) => packet.wallMs >= atMs && !macs.has(packet.sourceMac));
  return first === undefined ? Number.POSITIVE_INFINITY : first.wallMs - atMs;
}

function macsOf({ host }: Member): Set<string> {
  return new Set([...PATH_NETWORKS, "core"].map((network) => host.mac(network)));
}
