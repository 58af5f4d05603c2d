// Many Services and a restart: nothing may move.
import assert from "node:assert/strict";
import { type KubernetesService, SERVICES } from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { CLASS, NAMESPACE, openWorld, type TestWorld } from "./world.ts";

/** By name: what is written down. */
const vipsOf = ({ server }: TestWorld) =>
  new Map(
    server.store.all().map(({ metadata }) => [metadata.name, metadata.annotations?.["holdfast.io/vips"]]),
  );

/** The world after the restart; the caller closes it. */
export async function restartWith(count: number): Promise<TestWorld> {
  let world = await openWorld({ times: { pollMs: 60_000 } });
  try {
    await fill(world, count);
    const before = await world.served();
    const written = vipsOf(world);
    world = await world.restart();
    await oneMore(world);
    const { creates, replaces, removals } = world.controller.members.counters;
    assert.deepEqual({ creates, replaces, removals }, { creates: 1, replaces: 0, removals: 0 });
    assert.deepEqual(
      (await world.served()).filter((text) => before.includes(text)),
      before,
    );
    const now = vipsOf(world);
    for (const [name, vips] of written) assert.equal(now.get(name), vips);
    return world;
  } catch (error) {
    await world.close();
    throw error;
  }
}

async function fill(first: TestWorld, count: number): Promise<void> {
  await first.cluster.pool("big", ["10.64.0.0/16"], { default: true });
  await first.cluster.pool("other", ["10.65.0.0/16"]);
  for (let index = 0; index < count; index++) {
    first.server.store.create(SERVICES, NAMESPACE, {
      metadata: {
        namespace: NAMESPACE,
        name: `s${index}`,
        annotations: { "holdfast.io/secondary-pools": "other" },
      },
      spec: {
        type: "LoadBalancer",
        loadBalancerClass: CLASS,
        ports: [{ name: "n2", port: 38412, protocol: "SCTP" }],
      },
    } as KubernetesService);
  }
  await until("all are served", () => first.controller.members.counters.creates === count, 300_000);
  await until("all have an address", async () => {
    const services = first.server.store.all().filter(({ kind }) => kind === "Service") as KubernetesService[];
    return services.every(({ status }) => status?.loadBalancer?.ingress?.length === 1);
  });
  await until(
    "nothing is left to do",
    () => first.controller.queue.size === 0 && first.controller.counts.pending === 0,
  );
}

async function oneMore(second: TestWorld): Promise<void> {
  // Who was pending and would sort first, had it not been that all that is written down is read before.
  second.server.store.create(SERVICES, NAMESPACE, {
    metadata: { namespace: NAMESPACE, name: "a-new-one" },
    spec: {
      type: "LoadBalancer",
      loadBalancerClass: CLASS,
      ports: [{ name: "n2", port: 38412, protocol: "SCTP" }],
    },
  } as KubernetesService);
  await second.cluster.address("a-new-one");
  await until("nothing is left to do", () => second.controller.queue.size === 0);
}
