import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { DEFAULT_TIMING, deadAfterMs } from "../../configuration.ts";
import { viewOf } from "../../membership/state.ts";
import { isPresent } from "../../view.ts";
import { QUANTUM_MS, type SeededFault, SimulatedCluster } from "./cluster.ts";
import { membersOf, placementOf, Scenario } from "./scenario.ts";

const SEED_COUNT = 60;
const STEP_COUNT = 12;

suite("simulated clusters of three to six", () => {
  test(`${SEED_COUNT} random lives keep the invariants`, () => {
    for (let seed = 1; seed <= SEED_COUNT; seed++) {
      assert.deepEqual(new Scenario(seed).run(STEP_COUNT), [], `seed ${seed}`);
    }
  });

  test("the same seed gives the same life", () => {
    const lives = [5, 5, 6].map((seed) => {
      const scenario = new Scenario(seed);
      scenario.run(STEP_COUNT);
      return JSON.stringify(scenario.cluster.takeovers);
    });
    assert.equal(lives[0], lives[1]);
    assert.notEqual(lives[0], lives[2]);
  });

  const faults: SeededFault[] = [
    "ignoresCatchUp",
    "breaksBeforeMake",
    "neverDeclaresDeath",
    "answersBlindly",
    "keepsWhatItLost",
    "neverRefutes",
    "judgesOnOneNetwork",
    "hashesByView",
  ];
  for (const fault of faults) {
    test(`a cluster that ${fault} is caught`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        if (new Scenario(seed, { fault }).run(STEP_COUNT).length > 0) return;
      }
      assert.fail(`${fault} broke no invariant in 20 lives`);
    });
  }
});

test("a cluster of 120: deaths, a zombie, a member cut off; few moves, short gaps, equal views", () => {
  const members = membersOf(120, ["path-a"]);
  const services = Array.from({ length: 60 }, (_, index) => ({
    id: `sctp/203.0.113.${index}:1`,
    vips: ([`203.0.113.${index}`, `203.0.114.${index}`] as const).map((vip) => ({ vip, network: "path-a" })),
  }));
  const vips = services.flatMap((service) => service.vips.map(({ vip }) => vip));
  const cluster = new SimulatedCluster({
    seed: 7,
    members,
    placement: { ...placementOf(0), services },
    timing: { settleMs: 200 },
  });
  cluster.startAll();
  cluster.run(500);
  const home = new Map(vips.map((vip) => [vip, cluster.announcers(vip)]));
  for (const [vip, owners] of home) assert.equal(owners.length, 1, `${vip} is at ${owners.join()}`);
  assert.equal(cluster.takeovers.length, vips.length, "nobody takes what is not its own at the start");
  const owned = (name: string) => [...home.values()].filter(([owner]) => owner === name).length;

  const victims = ["m010", "m050", "m100"];
  const moves = victims.reduce((sum, name) => sum + owned(name), 0);
  let mark = cluster.takeovers.length;
  const killedAtMs = cluster.nowMs;
  for (const name of victims) cluster.kill(name);
  cluster.run(300);
  assert.equal(cluster.takeovers.length - mark, moves);
  for (const { atMs } of cluster.takeovers.slice(mark)) {
    assert(
      atMs - killedAtMs <= deadAfterMs(DEFAULT_TIMING) + DEFAULT_TIMING.probeIntervalMs + 2 * QUANTUM_MS,
    );
  }

  mark = cluster.takeovers.length;
  for (const name of victims) cluster.start(name);
  cluster.freeze("m020");
  cluster.run(400);
  cluster.thaw("m020");
  cluster.partition(["m030"]);
  cluster.run(400);
  cluster.network.heal();
  cluster.run(600);
  // Back to the victims; away from the zombie and from the one cut off, and back; that one took everything
  // meanwhile.
  const cutOff = vips.length - owned("m030");
  assert(cluster.takeovers.length - mark <= moves + 2 * owned("m020") + 2 * owned("m030") + cutOff);
  for (const [vip, owners] of home) assert.deepEqual(cluster.announcers(vip), owners, vip);
  for (const { membership } of cluster.alive()) {
    assert(membership !== undefined && viewOf(membership, cluster.nowMs).members.every(isPresent));
  }
});
