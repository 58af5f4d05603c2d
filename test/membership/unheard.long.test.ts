// A member that replication connects and whose probes do not arrive: two mistakes of operators that would
// make two owners of every VIP.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { type Member, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { allAgree } from "./list.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly required: boolean;
  readonly detail: string;
}

interface Configured {
  readonly interfaces: readonly { readonly name: string }[];
}

async function failingCheck(member: Member, name: string): Promise<Check | undefined> {
  const answer = await member.fetch("GET", "/v1/health/ready").catch(() => undefined);
  if (answer === undefined || answer.body === "") return undefined;
  const { checks } = JSON.parse(answer.body) as { readonly checks?: readonly Check[] };
  return checks?.find((check) => check.name === name && !check.ok);
}

/** It says why it stands by, and the other why it is alone; it owns nothing all the while. */
async function standsBy(scene: Scene, member: Member, other: Member, why: RegExp): Promise<void> {
  const { vips } = scene.cluster;
  const said = await until(
    `${member.name} and ${other.name} to say that they do not hear each other`,
    async () => {
      // Absent while it starts.
      const owned = await member.metric("holdfast_vips_owned").catch(() => 0);
      assert.equal(owned, 0, "it owns VIPs beside the other");
      const [own, others] = [
        await failingCheck(member, "probes"),
        await failingCheck(other, "unheard-members"),
      ];
      return own !== undefined && others !== undefined && ([own, others] as const);
    },
    60_000,
  );
  for (const { detail } of said) assert.match(detail, why);
  assert.deepEqual(
    said.map(({ required }) => required),
    [true, false],
  );
  await scene.flowing(50);
  assert.equal(await member.metric("holdfast_vips_owned"), 0);
  assert.equal(await other.metric("holdfast_vips_owned"), vips.length);
  assert.match(member.log(), /this member owns no VIP meanwhile/);
}

test("a member whose probes do not arrive stands by, and says why", async (t) => {
  await Scene.play({ members: 2, clients: [2], vipNetworks: true, rate: 40 }, async (scene) => {
    const { cluster } = scene;
    await scene.confirmed();
    const [m1, m2] = cluster.members as [Member, Member];
    const written = readFileSync(m2.configFile, "utf8");

    await t.test("its networks have other names", async () => {
      await m2.stop();
      const configured = JSON.parse(written) as Configured;
      const interfaces = configured.interfaces.map((each) => ({ ...each, network: `${each.name}-there` }));
      writeFileSync(m2.configFile, JSON.stringify({ ...configured, interfaces }));
      m2.launch();
      await standsBy(scene, m2, m1, /interfaces\[\]\.network/);
      await m2.stop();
      writeFileSync(m2.configFile, written);
      await m2.start();
      await allAgree(scene);
    });

    await t.test("a firewall closes the port of the probes, and opens it again", async () => {
      await m2.stop();
      const closed =
        "table inet closed { chain in { type filter hook input priority 0; udp dport 7082 drop; }; }";
      m2.host.run("nft", ["-f", "-"], closed);
      m2.launch();
      await standsBy(scene, m2, m1, /open UDP port 7082/);
      m2.host.run("nft", ["delete", "table", "inet", "closed"]);
      await m2.ready();
      await allAgree(scene);
      assert.equal(await failingCheck(m1, "unheard-members"), undefined);
    });
    await scene.flowing(20);
    await scene.judge();
  });
});
