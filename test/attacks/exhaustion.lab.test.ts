import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { dropped, drops, NEWCOMER, scripted, underAttack } from "./attack.ts";

/** Ports of one of 64 members: (65,536 - 1,024) / 64. */
const PORT_COUNT = 1_008;
/** One is the association's that was there before. */
const GREEDY_COUNT = PORT_COUNT - 1;
const CLOSED_LINGER_S = 1;

test("more associations than NAT ports: the rest is refused and counted, nobody else notices, and ports come back", async () => {
  const configuration = { cluster: { memberNumberCount: 64 }, timers: { closedLingerS: CLOSED_LINGER_S } };
  const service = { natPort: "any" };
  await underAttack({ configuration, service, vips: ["203.0.113.1"] }, async (attack) => {
    const { scene } = attack;
    const greedy = await scene.cluster.startClient(NEWCOMER, {
      port: 10_000,
      id: 1_000,
      associations: PORT_COUNT + 100,
      startRate: 400,
      noHeartbeat: true,
    });
    await greedy.established(GREEDY_COUNT);
    const refused = async () => (await drops(scene)).get("nat-ports-exhausted") ?? 0;
    await until("the rest to be refused", async () => (await refused()) >= 100);
    const late = scripted(attack, 45_000);
    await dropped(scene, ["nat-ports-exhausted"], 1, () => late.sendInit());
    // The established go on, and none of the greedy client's ends because there are too many.
    await scene.flowing(10);
    assert.equal(greedy.count("up"), GREEDY_COUNT);
    assert.equal(greedy.count("lost"), 0);
    const member = scene.anyMember();
    assert.equal(await member.metric('holdfast_slow_path_size{table="nat-ports-used"}'), PORT_COUNT);
    // What ended before everybody's eyes rests a moment; then newcomers have it.
    greedy.command("shutdown -1");
    await until("the ports to be given back", async () => {
      return (await member.metric('holdfast_slow_path_size{table="nat-ports-used"}')) < PORT_COUNT / 2;
    });
    await late.establish();
    await greedy.kill();
  });
});
