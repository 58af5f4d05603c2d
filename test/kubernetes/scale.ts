// Many Services and a restart: nothing may move.
import assert from "node:assert/strict";
import { until } from "@holdfast/testkit";
import { type KubernetesService, SERVICES } from "../../packages/kubernetes/src/objects.ts";
import { CLASS, NAMESPACE, openWorld, type World } from "./world.ts";

const _writes = ({ server }: World) =>
  [...server.requests]
    .filter(([name]) => /^(PUT|PATCH|POST|DELETE) services$/.test(name))
    .reduce((sum, [, n]) => sum + n, 0);

/** The world after the restart; the caller closes it. */
export async function restartWith(count: number): Promise<World> {
  const first = await openWorld({ times: { pollMs: 60_000 } });
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
  await until("all are served", () => first.controller.members.counters.creates === count, 60_000);
  await until("all have an address", async () => {
    const services = first.server.store.all().filter(({ kind }) => kind === "Service") as KubernetesService[];
    return services.every(({ status }) => status?.loadBalancer?.ingress?.length === 1);
  });
  await until(
    "nothing is left to do",
    () => first.controller.queue.size === 0 && first.controller.counts.pending === 0,
  );
  const before = await first.served();
  const second = await first.restart();
  const written = _writes(second);
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
  const { creates, replaces, removals } = second.controller.members.counters;
  assert.deepEqual({ creates, replaces, removals }, { creates: 1, replaces: 0, removals: 0 });
  assert.ok(_writes(second) - written <= 4, "only the new one is written to");
  assert.deepEqual(
    (await second.served()).filter((text) => before.includes(text)),
    before,
  );
  return second;
}
