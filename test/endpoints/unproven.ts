// What members say of the ways from VIPs to the endpoint of a cluster's one service.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { type Cluster, type Member, metricOfAll, until } from "@holdfast/testkit";

const LIMIT_MS = 60_000;

interface Listed {
  readonly items: readonly {
    readonly endpoints: readonly {
      readonly health: string;
      readonly unproven?: readonly { readonly vip: Address; readonly reason: string }[];
    }[];
  }[];
}

export async function endpointAt(member: Member) {
  const { items } = await member.get<Listed>("/v1/services");
  const endpoint = items[0]?.endpoints[0];
  assert.ok(endpoint);
  return endpoint;
}

/** Waits until every member says that the endpoint is up, and that these VIPs' ways to it are unproven. */
export async function everywhere(cluster: Cluster, what: string, wanted: readonly Address[]): Promise<void> {
  let seen: unknown;
  await until(
    what,
    async () => {
      const all = await Promise.all(cluster.members.map(endpointAt));
      seen = all;
      return all.every(
        ({ health, unproven = [] }) =>
          health === "up" && unproven.map(({ vip }) => vip).join() === wanted.join(),
      );
    },
    LIMIT_MS,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
}

/** How often it has happened at all members together. */
export function eventCount(cluster: Cluster, event: string): Promise<number> {
  return metricOfAll(cluster.members, `holdfast_slow_path_events_total{event="${event}"}`);
}

/** Waits until endpoints have answered as many questions as there are VIPs. */
export async function proven(cluster: Cluster): Promise<void> {
  await until(
    "every VIP's way to be proven",
    async () => (await eventCount(cluster, "way-answers")) >= cluster.vips.length,
    LIMIT_MS,
  );
  await everywhere(cluster, "nothing to be unproven", []);
}
