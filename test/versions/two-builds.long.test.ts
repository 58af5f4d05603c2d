// The newest commit and each release in one cluster: rolling upgrade, rolling downgrade, and a member that
// comes back with the old build and an old store, all under associations with several paths.
import assert from "node:assert/strict";
import { cpSync, rmSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { HOLDFAST_PROGRAM, type Member, SERVICE_PORT, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { buildOf, releases } from "./releases.ts";

interface MemberView {
  readonly name: string;
  readonly offered?: readonly string[];
  readonly capabilities?: readonly string[];
}

/** A member that could not make anything of another one's words says one of these. */
const REFUSALS = ["refused a member", "was refused", "refusing a peer", "refused a configuration change"];
const OTHER_VIP = "192.0.2.77";
/** Client hosts that begin while the cluster is mixed: one on the way up, one on the way down. */
const LATE_CLIENTS = [2, 3] as const;

for (const release of releases()) {
  const name = `release ${release.name} and this build`;
  test(`${name}: rolling upgrade, rolling downgrade, a member with an old store: 0 lost`, async (t) => {
    const build = buildOf(release);
    t.after(() => build.close());
    const module = build.module("packages/cli/src/main.ts") ?? assert.fail("the release has no command");
    const old = fileURLToPath(module);
    await Scene.play(
      {
        members: 3,
        clients: [2, 3, 2, 3],
        endpoints: 2,
        associations: 2,
        rate: 20,
        withoutStack: LATE_CLIENTS,
        beforeStart: (cluster) => {
          for (const member of cluster.members) member.program = old;
        },
      },
      (scene) => play(scene, old, (step, run) => t.test(step, run)),
    );
  });
}

async function play(
  scene: Scene,
  old: string,
  step: (name: string, run: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const [first, second, third] = scene.cluster.members as [Member, Member, Member];
  const storeOfThen = `${third.storeDirectory}.then`;
  await scene.confirmed();

  await step("a store of now is put aside", async () => {
    await third.stop();
    cpSync(third.storeDirectory, storeOfThen, { recursive: true });
    await third.start();
    await agreed(scene);
  });

  await step("rolling upgrade", async () => {
    for (const member of [first, second, third]) {
      await roll(scene, member, HOLDFAST_PROGRAM);
      if (member === first) await begin(scene, LATE_CLIENTS[0]);
    }
    const own = (await viewsOf(first)).find(({ name }) => name === first.name);
    await until("all to offer what this build can", async () => {
      const views = await Promise.all([first, second, third].map(offeredAt));
      return views.every((offered) => offered.join() === [...(own?.capabilities ?? [])].sort().join());
    });
    // Something that the store put aside knows nothing of: made, and made and gone again.
    await post(first, "stays", "192.0.2.78");
    await post(second, "goes", OTHER_VIP);
    await agreed(scene);
    const path = `/v1/services/${encodeURIComponent(`sctp/${OTHER_VIP}:${SERVICE_PORT}`)}`;
    assert.ok((await first.fetch("DELETE", path)).status < 300);
  });

  await step("rolling downgrade", async () => {
    for (const member of [third, second, first]) {
      await roll(scene, member, old);
      if (member === third) await begin(scene, LATE_CLIENTS[1]);
    }
  });

  await step(
    "a member comes back with the old build and the store of then, to members of the new one",
    async () => {
      await third.stop();
      for (const member of [first, second]) await roll(scene, member, HOLDFAST_PROGRAM);
      for (const directory of [third.storeDirectory, third.pinDirectory])
        rmSync(directory, { recursive: true, force: true });
      cpSync(storeOfThen, third.storeDirectory, { recursive: true });
      await third.start();
      await agreed(scene);
      await scene.flowing(10);
    },
  );
  await step("it is upgraded as the last", () => roll(scene, third, HOLDFAST_PROGRAM));

  for (const member of scene.cluster.members) {
    const log = member.log();
    for (const words of REFUSALS) assert.ok(!log.includes(words), `${member.name} says '${words}'`);
  }
  await scene.judge();
}

/** Stopped, of the other build, and back among those who agree. */
async function roll(scene: Scene, member: Member, program: string): Promise<void> {
  assert.equal(await member.stop(), 0, `${member.name} ended otherwise`);
  member.program = program;
  await member.start();
  await agreed(scene);
  await scene.flowing(10);
}

/** Each VIP has one owner, and all who run have the same sessions and services. */
async function agreed(scene: Scene): Promise<void> {
  await scene.cluster.settled();
  const running = scene.cluster.members.filter((member) => member.running);
  const count = (await Promise.all(scene.clients.map((client) => client.associations()))).flat().length;
  await until(
    "all members to hold the same sessions and services",
    async () => {
      const held = await Promise.all(
        running.map(async (member) => {
          const sessions = (await scene.sessions(member)).map(({ id, phase }) => `${id} ${phase}`);
          return [sessions.length, ...sessions.sort(), ...(await servicesOf(member))].join("\n");
        }),
      );
      return held.every((text) => text === held[0] && text.startsWith(`${count}\n`));
    },
    30_000,
    250,
  );
}

async function servicesOf(member: Member): Promise<string[]> {
  const { items } = await member.get<{ items: { id: string; name: string }[] }>("/v1/services");
  return items.map(({ id, name }) => `${id} ${name}`).sort();
}

const viewsOf = async (member: Member) => (await member.get<{ items: MemberView[] }>("/v1/members")).items;

async function offeredAt(member: Member): Promise<readonly string[]> {
  return (await viewsOf(member)).find(({ name }) => name === member.name)?.offered ?? [];
}

/** Associations that are made while builds differ. */
async function begin(scene: Scene, index: number): Promise<void> {
  const client = await scene.cluster.startClient(index, { rate: 20, size: 200, associations: 2 });
  scene.clients.push(client);
  await client.established(2, 60_000);
  await agreed(scene);
}

async function post(member: Member, name: string, vip: string): Promise<void> {
  const endpoints = [{ address: "198.19.0.250", port: SERVICE_PORT }];
  const { status, body } = await member.fetch("POST", "/v1/services", {
    name,
    vips: [vip],
    port: SERVICE_PORT,
    endpoints,
  });
  assert.equal(status, 201, body);
}
