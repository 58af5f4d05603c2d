// A member with a valid certificate that lies to the other two.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { MemberView } from "@holdfast/api";
import type { Address } from "@holdfast/model";
import { type Member, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { goneFrom, RETURN_MS_MAX } from "../cluster/trouble.ts";

const LIAR_PROGRAM = fileURLToPath(new URL("liar.ts", import.meta.url));
const CONNECTIONS_MIN = 4;
/** Index of a client's host where a stack starts later. */
const NEWCOMER = 2;

async function seen(at: Member, of: Member): Promise<MemberView> {
  const { items } = await at.get<{ items: MemberView[] }>("/v1/members");
  return items.find(({ name }) => name === of.name) ?? assert.fail(`${at.name} does not list ${of.name}`);
}

test("a member that lies is believed in nothing about the others", async (t) => {
  await Scene.play({ members: 3, clients: [3, 1, 2], rate: 40, withoutStack: [NEWCOMER] }, async (scene) => {
    const { cluster } = scene;
    const primary = cluster.vips[0] as Address;
    await scene.confirmed();
    const liar = await scene.ownerOf(primary);
    const honest = cluster.members.filter((member) => member !== liar);
    const [first, second] = honest as [Member, Member];
    const ids = (await scene.sessions(first)).map(({ id }) => id).sort();
    assert.equal(ids.length, 2);

    await t.test("dead, it is shown as not ready and owning nothing, whatever it said last", async () => {
      await liar.killDaemon();
      await goneFrom(scene, liar, primary);
      for (const at of honest) {
        const view = await seen(at, liar);
        assert.deepEqual([view.phase, view.ready, view.vips], ["dead", false, []]);
      }
    });

    const owners = await cluster.settled();
    const child = liar.host.spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", LIAR_PROGRAM, liar.configFile, ...ids],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let said = "";
    child.stdout?.on("data", (text: Buffer) => {
      said += text.toString();
    });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    try {
      await t.test("it lies until it has been refused again and again", async () => {
        await until(
          "the liar to be refused by both",
          () => honest.every(({ number }) => said.includes(`refused by ${number}`)),
          20_000,
        );
        await until("it to come back", () => said.split("connected").length > CONNECTIONS_MIN, 40_000);
        for (const at of honest) assert.match(at.log(), /refusing a peer that breaks the rules/);
      });
      await t.test("its claims move no VIP, and nobody's sessions end", async () => {
        const view = await until("its probes to be taken", async () => {
          const shown = await seen(first, liar);
          return shown.phase === "alive" && shown;
        });
        assert.equal(view.ready, false);
        assert.equal(view.vips.length, cluster.vips.length, "its claims were not taken at all");
        for (const at of honest) {
          assert.deepEqual(await cluster.owners(at), owners);
          const held = await scene.sessions(at);
          for (const id of ids)
            assert.equal(held.find((s) => s.id === id)?.phase, "established", `${at.name}: ${id}`);
        }
        await scene.flowing(20);
      });
      await t.test("the other two go on telling each other the truth", async () => {
        const client = await cluster.startClient(NEWCOMER, { port: 50_123, id: 700, rate: 20, size: 100 });
        await client.established(1, 15_000);
        scene.clients.push(client);
        await until("both to hold the new session", async () => {
          const both = await Promise.all(honest.map((at) => scene.sessions(at)));
          return both.every((held) => held.some((s) => s.clientPort === 50_123 && s.phase === "established"));
        });
        assert.equal((await seen(first, second)).phase, "alive");
      });
    } finally {
      child.kill("SIGKILL");
      await exited;
    }
    await t.test(
      "the true member comes back in its place, owns VIPs again, and answers at once",
      async () => {
        liar.launch();
        const owns = async () => {
          const views = await Promise.all(honest.map((at) => cluster.owners(at)));
          return views.some((view) => [...view.values()].includes(liar.name));
        };
        await until(`${liar.name} to own a VIP again`, owns, RETURN_MS_MAX);
        const held = (await scene.sessions(liar)).map(({ id }) => id);
        for (const id of ids) assert.ok(held.includes(id), `${liar.name} does not know ${id}`);
        await cluster.settled();
        await scene.flowing(10);
      },
    );
    await scene.judge();
  });
});
