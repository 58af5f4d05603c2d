// From a Service to associations: kube-apiserver 1.36, a controller with the rights of its role, three
// members with real SCTP stacks around them, through all that changes and fails.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Address } from "@holdfast/model";
import { until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { BesideLab, SERVICE } from "./beside-lab.ts";
import { startRealServer } from "./real-server.ts";

test("a Service of Kubernetes: associations over all its VIPs, through all that changes and fails around them", async (t) => {
  const server = await startRealServer();
  let kubernetes: BesideLab | undefined;
  try {
    await Scene.play(
      {
        members: 3,
        endpoints: 2,
        clients: [1, 2, 3],
        withService: false,
        beforeClients: async (lab) => {
          kubernetes = new BesideLab(server, lab);
          await kubernetes.control();
          await kubernetes.apply();
          assert.equal(await kubernetes.cluster.address(SERVICE), lab.vips[0]);
          await lab.settled();
          await kubernetes.seen(`${kubernetes.podAddress(0)} active`);
        },
      },
      (scene) => story(t, scene, kubernetes as BesideLab),
    );
  } finally {
    await kubernetes?.close();
    await server.close();
  }
});

async function story(t: TestContext, scene: Scene, kubernetes: BesideLab): Promise<void> {
  const { cluster, server } = kubernetes;
  const [one, two] = [kubernetes.podAddress(0), kubernetes.podAddress(1)];
  await t.test("every path of every association is confirmed", () => confirmed(scene));
  await t.test("a second pod is an endpoint at every member", async () => {
    const startedAtMs = performance.now();
    await kubernetes.pods({ 0: "ready", 1: "ready" });
    await kubernetes.seen(`${one} active`, `${two} active`);
    t.diagnostic(`at every member, and probed, after ${(performance.now() - startedAtMs).toFixed(0)} ms`);
  });
  await t.test("a pod that terminates and one that is gone end no association while it answers", async () => {
    await kubernetes.pods({ 0: "terminating", 1: "ready" });
    await kubernetes.seen(`${one} drain`, `${two} active`);
    await scene.flowing();
    await kubernetes.pods({ 1: "ready" });
    await kubernetes.seen(`${two} active`);
    await scene.flowing();
    await kubernetes.pods({ 0: "ready", 1: "ready" });
    await kubernetes.seen(`${one} active`, `${two} active`);
  });
  await t.test("source ranges that leave the clients out end nothing that has begun", async () => {
    await cluster.patch(SERVICE, { spec: { loadBalancerSourceRanges: ["192.0.2.0/24"] } });
    for (const member of scene.cluster.members)
      await until(`${member.name} to know the ranges`, async () => {
        const { items } = await member.get<{ items: { allowedSources: string[] }[] }>("/v1/services");
        return items[0]?.allowedSources.join() === "192.0.2.0/24";
      });
    await scene.flowing();
    await cluster.patch(SERVICE, { spec: { loadBalancerSourceRanges: null } });
  });
  await t.test(
    "the API server is killed, and so is the owner of the primary: associations go on",
    async () => {
      await server.kill();
      const owner = await scene.ownerOf();
      await owner.killDaemon();
      await scene.moved(scene.cluster.vips[0] as Address, owner);
      await scene.flowing();
      await server.start();
      await until(
        "the new owner in the Service",
        async () => {
          const owners = await kubernetes.owners();
          return owners.includes("=") && !owners.includes(`=${owner.name}`);
        },
        60_000,
      );
      await owner.start();
      await scene.cluster.settled();
    },
  );
  await t.test("another controller changes nothing", async () => {
    const written = async () => (await cluster.get(SERVICE)).metadata.annotations?.["holdfast.io/vips"];
    const before = await written();
    await kubernetes.control();
    await scene.flowing();
    assert.equal(await written(), before);
  });
  await t.test("deleted: the Service is gone, its associations drain", async () => {
    await cluster.remove(SERVICE);
    await until("its end", () => cluster.isGone(SERVICE));
    await scene.flowing();
  });
  await scene.judge();
}

/** Of all clients, and of the one pod that has associations so far. */
async function confirmed({ clients, servers, cluster }: Scene): Promise<void> {
  const peers = [...clients, ...servers.slice(0, 1)];
  await until("every path to be confirmed on both sides", async () => {
    const sides = await Promise.all(peers.map((peer) => peer.paths()));
    return sides.every(
      (paths) =>
        paths.size > 0 &&
        [...paths.values()].every(
          (list) => list.length === cluster.vips.length && list.every(({ state }) => state === "active"),
        ),
    );
  });
}
