import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { EndpointScene } from "./scene.ts";

const CLIENT_COUNT = 3;
const ASSOCIATION_COUNT = 167;

test("a rolling restart of all endpoints under 500 associations: their clients are told and return, the others notice nothing", async (t) => {
  await EndpointScene.play(
    {
      members: 3,
      clients: [1, 2, 3],
      endpoints: 3,
      associations: ASSOCIATION_COUNT,
      // Two cores carry the stacks, too: HEARTBEATs over four paths of 501 associations would be most of the
      // traffic.
      peers: { rate: 2, startRate: 100, heartbeat: 2_000 },
    },
    async (scene) => {
      // The member that is asked may hear of the last ones a moment after their clients did.
      await until(
        "every session at the member that is asked",
        async () => (await scene.sessions()).length === CLIENT_COUNT * ASSOCIATION_COUNT,
      );
      // Whom an endpoint carries is whom it has heard.
      await scene.flowing(1);
      for (const [index, { host }] of [...scene.servers].entries()) {
        await t.test(`endpoint ${host.name} is restarted`, async () => {
          const { carried, toldMs } = await scene.restart(index);
          assert.ok(carried.size >= ASSOCIATION_COUNT / 4, `it carried ${carried.size}`);
          await scene.flowing(2);
          assert.deepEqual([...scene.noticed()].sort(), [...carried].sort());
          t.diagnostic(
            `${carried.size} told ${Math.round(Math.min(...toldMs))} … ${Math.round(Math.max(...toldMs))} ms after the verdict`,
          );
        });
      }
    },
  );
});
