// Moves that an operator asks for, behind routers: the better way first, the worse one after, and nothing
// between. `npm run bench -- moves` makes them under five thousand packets a second.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { type Host, type Member, ROUTED_PROFILE, routed, sessionsUp, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";

const MOVE_COUNT = 100;

for (const software of ["bird", "frr"] as const)
  test(`${software}: ${MOVE_COUNT} planned moves of the primary VIP lose not one packet`, async () => {
    await Scene.play(
      {
        profile: ROUTED_PROFILE,
        members: 3,
        clients: [3, 2, 1],
        associations: 2,
        rate: 50,
        router: { software },
        beforeClients: async ({ members }) => void (await sessionsUp(members)),
      },
      async (scene) => {
        const { cluster } = scene;
        const primary = cluster.vips[0] as Address;
        const owners = async () =>
          new Map<string, Host>(
            [...(await cluster.settled())].map(([vip, name]) => [vip, cluster.memberOf(name).host]),
          );
        await scene.confirmed();
        await routed(cluster.routers, owners);
        await scene.flowing(20);
        const fromMs = Date.now();
        for (let move = 0; move < MOVE_COUNT; move++) {
          const { name } = cluster.members[move % cluster.members.length] as Member;
          // A disk that is slow to confirm it is answered with 503.
          await until(`the pin to ${name} to be taken`, async () => {
            const body = { member: name };
            const { status } = await scene.anyMember().fetch("PUT", `/v1/vips/${primary}/pin`, body);
            return status === 200;
          });
          await until(`${primary} to be at ${name}`, async () => {
            const now = await cluster.owners(scene.anyMember());
            return now.get(primary) === name;
          });
          await routed(cluster.routers, owners);
        }
        await scene.flowing(20);
        assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500), []);
        await scene.judge();
      },
    );
  });
