// The members' DaemonSet is upgraded: what its rules say, applied to real members as the controller of
// DaemonSets and the kubelet would, one after the other.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Member, type Peer, until } from "@holdfast/testkit";
import { parseAllDocuments } from "yaml";
import { NodeLab } from "./node-lab.ts";
import { associations, started, story } from "./scene.ts";
import { alive } from "./whole.ts";

interface DaemonSet {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly minReadySeconds: number;
    readonly updateStrategy: { readonly rollingUpdate: { readonly maxUnavailable: number } };
    readonly template: {
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly { readonly readinessProbe: { httpGet: { path: string } } }[];
      };
    };
  };
}

const RENDERED = new URL("../../../deploy/kubernetes/nodes/holdfast.yaml", import.meta.url);

function daemonSet(): DaemonSet["spec"] {
  const found = parseAllDocuments(readFileSync(RENDERED, "utf8"))
    .map((document) => document.toJS() as DaemonSet)
    .find(({ kind, metadata }) => kind === "DaemonSet" && metadata.name.endsWith("-member"));
  assert.ok(found);
  return found.spec;
}

async function isReady(member: Member, path: string): Promise<boolean> {
  if (!member.running) return false;
  return (await member.fetch("GET", path).catch(() => ({ status: 0 }))).status === 200;
}

test("the members' DaemonSet is upgraded one by one: VIPs are handed over, nobody loses a message", async () => {
  const { minReadySeconds, updateStrategy, template } = daemonSet();
  const { terminationGracePeriodSeconds, containers } = template.spec;
  const path = containers[0]?.readinessProbe.httpGet.path ?? "";
  assert.equal(updateStrategy.rollingUpdate.maxUnavailable, 1);
  const nodes = new NodeLab();
  await story(nodes, async () => {
    const served = await started(nodes);
    const clients = await associations(nodes, served);
    const ready = async () => {
      const all = await Promise.all(nodes.members.map((member) => isReady(member, path)));
      return all.filter((each) => each).length;
    };
    assert.equal(await ready(), nodes.members.length);
    for (const member of nodes.members) await replace(nodes, member);
    for (const client of clients) await alive(client);
    for (const member of nodes.members) assert.match(member.log(), /VIPs are handed over/);

    /** What the kubelet does to the old pod and the new one, and what the DaemonSet waits for. */
    async function replace(all: NodeLab, member: Member): Promise<void> {
      const owned = [...(await all.settled())].filter(([, owner]) => owner === member.name);
      const startedAtMs = performance.now();
      const ended = member.stop();
      const others = all.members.filter((each) => each !== member);
      // Before it ends: whatever it had is somebody else's, and it says so.
      assert.equal(await ended, 0);
      const tookMs = performance.now() - startedAtMs;
      assert.ok(tookMs < terminationGracePeriodSeconds * 1000, `${tookMs} ms until it ended`);
      for (const other of others) {
        const now = await all.owners(other);
        for (const [vip] of owned) assert.notEqual(now.get(vip), member.name, `${vip} at ${other.name}`);
      }
      for (const client of clients) await alive(client);
      const late = await newcomer(all);
      await member.start();
      await until(`${member.name} to be ready`, () => isReady(member, path), 60_000);
      // minReadySeconds: it stays so, and then it is the next one's turn.
      assert.ok(minReadySeconds >= 1);
      await all.settled();
      for (const client of [...clients, late]) await alive(client);
      assert.equal(await ready(), all.members.length);
      await late.kill();
    }

    async function newcomer(all: NodeLab): Promise<Peer> {
      const client = await all.associate(served[3]?.port ?? 0);
      await client.established(1, 15_000);
      return client;
    }
  });
});
