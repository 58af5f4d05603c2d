// What a VipPool's status says: how much of it is used, and what is wrong with it.
import { isDeepStrictEqual } from "node:util";
import type { KubernetesClient } from "../client/client.ts";
import { type Condition, VIP_POOLS } from "../objects.ts";
import type { Allocator } from "../pools/allocator.ts";
import {
  capacityOf,
  overlapOf,
  type Pool,
  type PoolStatus,
  poolHas,
  poolOf,
  type VipPoolObject,
} from "../pools/pool.ts";
import { conditionsOf } from "../services/status.ts";

/** Listed in `outside`; beyond, they are counted only. */
const OUTSIDE_MAX = 16;

export interface ReadPools {
  readonly pools: readonly Pool[];
  /** By name. */
  readonly problems: ReadonlyMap<string, string>;
}

export function readPools(objects: Iterable<VipPoolObject>): ReadPools {
  const pools: Pool[] = [];
  const problems = new Map<string, string>();
  for (const object of objects) {
    const pool = poolOf(object);
    if (typeof pool === "string") problems.set(object.metadata.name, pool);
    else pools.push(pool);
  }
  // Addresses that two pools have belong to the first: they are never given twice, since VIPs are counted, not pools.
  const overlap = overlapOf(pools);
  if (overlap !== undefined) problems.set(overlap[1], `it shares addresses with VipPool ${overlap[0]}`);
  return { pools, problems };
}

export function poolStatusOf(
  object: VipPoolObject,
  pool: Pool | undefined,
  problem: string | undefined,
  allocator: Allocator,
  nowMs: number,
): PoolStatus {
  const used = allocator.usedOf(object.metadata.name);
  const inside = pool === undefined ? [] : used.filter((vip) => poolHas(pool, vip));
  const capacity = pool === undefined ? 0n : capacityOf(pool);
  const free = capacity - BigInt(inside.length);
  const condition: Omit<Condition, "lastTransitionTime"> =
    problem !== undefined
      ? { type: "Ready", status: "False", reason: "Invalid", message: `${problem}.` }
      : object.spec.disabled === true
        ? { type: "Ready", status: "False", reason: "Disabled", message: drainText(used.length) }
        : free <= 0n
          ? { type: "Ready", status: "False", reason: "Full", message: "Every address is in use." }
          : {
              type: "Ready",
              status: "True",
              reason: "Ready",
              message: `${free} of ${capacity} addresses are free.`,
            };
  return {
    capacity: String(capacity),
    used: used.length,
    free: String(free),
    outside: used.filter((vip) => !inside.includes(vip)).slice(0, OUTSIDE_MAX),
    conditions: conditionsOf(
      object.status?.conditions ?? [],
      [condition],
      ["Ready"],
      object.metadata.generation,
      nowMs,
    ),
  };
}

function drainText(used: number): string {
  return used === 0
    ? "Nothing new is assigned, and nothing is in use."
    : `Nothing new is assigned; ${used} in use.`;
}

/** Writes the statuses that changed. */
export async function writePoolStatuses(
  client: KubernetesClient,
  objects: Iterable<VipPoolObject>,
  { pools, problems }: ReadPools,
  allocator: Allocator,
  nowMs: number,
): Promise<void> {
  for (const object of objects) {
    const { name, resourceVersion } = object.metadata;
    const pool = pools.find((each) => each.name === name);
    const status = poolStatusOf(object, pool, problems.get(name), allocator, nowMs);
    if (
      !isDeepStrictEqual(
        JSON.parse(JSON.stringify(object.status ?? null)),
        JSON.parse(JSON.stringify(status)),
      )
    )
      await client.patch(VIP_POOLS, { name }, { metadata: { resourceVersion }, status }, "status");
  }
}
