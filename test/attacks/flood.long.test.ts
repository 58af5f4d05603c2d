// INITs of everybody as fast as a core makes them, over an established association.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Host, SERVICE_PORT, until } from "@holdfast/testkit";
import { Flooder, type Origin, SPOOFED } from "../bench/init/flooder.ts";
import { ATTACKER, type Attack, drops, NEWCOMER, underAttack } from "./attack.ts";

/** The flood comes in slices, until all that is to happen under it has happened. */
const SLICE_MS = 1_000;
const NEWCOMER_COUNT = 5;
/** Half a minute of INITs: a busy machine gives the daemon a fraction of a core, and the flood goes on. */
const INIT_COUNT_MAX = 75;
const NEWCOMERS_MS_MAX = 40_000;
/** Of INITs: that makes it a flood, on slow machines too. Nothing is left by then of what was free before. */
const REFUSED_LEAST = 10_000;

/** The attacker's own network: answers come back to it. */
const UNSPOOFED: Origin = { source: "198.18.32.0", sourceCount: 8_192 };

for (const [name, origin] of [
  ["spoofed", SPOOFED],
  ["unspoofed", UNSPOOFED],
] as const) {
  test(`a flood of ${name} INITs at the generator's full rate: no message lost, newcomers get in`, async (t) => {
    // The flood is not captured: it would be gigabytes, and what matters is the others' traffic.
    const capture = "sctp and not (ip[32] = 1 or ip[32] = 2)";
    await underAttack({ capture }, async (attack) => {
      const { scene } = attack;
      const flooder = flooderOf(attack, origin);
      let flooding = true;
      let sent = 0;
      let sentMs = 0;
      const flood = async () => {
        while (flooding) {
          const slice = await flooder.send({ perSecond: 0, durationMs: SLICE_MS });
          sent += slice.sent;
          sentMs += slice.durationMs;
        }
      };
      const story = async () => {
        // The first call begins to keep them.
        for (const server of scene.servers) await server.gaps();
        await until("the flood to be refused", async () => (await refusals(scene)) > REFUSED_LEAST);
        const startedAt = performance.now();
        const newcomer = await scene.cluster.startClient(NEWCOMER, {
          port: 50_000,
          id: 500,
          rate: 20,
          size: 100,
          associations: NEWCOMER_COUNT,
          initMaxRetrans: INIT_COUNT_MAX,
        });
        await newcomer.established(NEWCOMER_COUNT, NEWCOMERS_MS_MAX);
        const connectedMs = performance.now() - startedAt;
        scene.clients.push(newcomer);
        // Theirs and the established association's messages, for two seconds and more.
        const refusedBefore = await refusals(scene);
        await scene.flowing(40);
        assert.ok((await refusals(scene)) > refusedBefore, "the flood was over before");
        const gaps = (await Promise.all(scene.servers.map((server) => server.gaps()))).flat();
        const gapMs = gaps.find(({ client }) => client === 0)?.longestMs ?? Number.NaN;
        t.diagnostic(`${NEWCOMER_COUNT} newcomers in after ${Math.round(connectedMs)} ms`);
        t.diagnostic(`longest gap of the established association ${Math.round(gapMs)} ms`);
      };
      try {
        await Promise.all([
          flood(),
          story().finally(() => {
            flooding = false;
          }),
        ]);
        const refused = [...(await drops(scene))].filter(([, count]) => count > 0);
        t.diagnostic(`${Math.round((sent * 1_000) / sentMs)} INITs a second`);
        t.diagnostic(`drops ${JSON.stringify(refused)}`);
      } finally {
        await flooder.close();
      }
    });
  });
}

/** INITs that the slow path had no room for. */
async function refusals(scene: Attack["scene"]): Promise<number> {
  const counts = await drops(scene);
  return (counts.get("init-rate") ?? 0) + (counts.get("nat-ports-exhausted") ?? 0);
}

function flooderOf({ scene, own, primary }: Attack, origin: Origin): Flooder {
  const { cluster } = scene;
  const { host } = cluster.members[0] as (typeof cluster.members)[number];
  host.ip(`route replace ${UNSPOOFED.source}/19 via ${own}`);
  return new Flooder(
    cluster.clients[ATTACKER] as Host,
    { network: "path-a", mac: host.mac("path-a"), vip: primary, port: SERVICE_PORT },
    origin,
  );
}
