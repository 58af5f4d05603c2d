// VipPool: addresses that Services get their VIPs from, and who may.
import type { Condition, KubernetesObject, KubernetesService } from "../objects.ts";
import { addressText, type Family, parseRange, type Range, rangeHas } from "./address.ts";

export interface VipPoolObject extends KubernetesObject {
  readonly spec: {
    /** Prefixes, `FIRST-LAST`, or single addresses; of one family. */
    readonly ranges: readonly string[];
    /** The path network that they are in; two VIPs of one Service should not be in the same. */
    readonly network?: string;
    /** Services that name no pool get their VIP here. */
    readonly default?: boolean;
    /** 1 to 3: the place among the secondaries of Services that say only how many they want. */
    readonly secondaryRank?: number;
    /** Other names for it, such as kube-loxilb's, which a Kubernetes name cannot have. */
    readonly aliases?: readonly string[];
    readonly avoidFirstAndLast?: boolean;
    /** Nothing new is assigned; what is assigned stays. */
    readonly disabled?: boolean;
    readonly allowed?: {
      readonly namespaces?: readonly string[];
      /** Labels that a Service must have. */
      readonly services?: Readonly<Record<string, string>>;
    };
  };
  readonly status?: PoolStatus;
}

export interface PoolStatus {
  /** As text: an IPv6 pool has more than a number can say. */
  readonly capacity: string;
  readonly used: number;
  readonly free: string;
  /** In use and no longer among the ranges. */
  readonly outside: readonly string[];
  readonly conditions: readonly Condition[];
}

export interface Pool {
  readonly name: string;
  readonly family: Family;
  readonly ranges: readonly Range[];
  readonly spec: VipPoolObject["spec"];
}

/** The pool, or what is wrong with it. */
export function poolOf(object: VipPoolObject): Pool | string {
  const { spec } = object;
  const ranges: Range[] = [];
  for (const text of spec.ranges) {
    const range = parseRange(text, spec.avoidFirstAndLast !== false);
    if (range === undefined) return `'${text}' is no prefix, range FIRST-LAST or address`;
    ranges.push(range);
  }
  const [first] = ranges;
  if (first === undefined) return "it has no ranges";
  if (ranges.some(({ family }) => family !== first.family))
    return "it has addresses of both families: make a pool of each";
  return { name: object.metadata.name, family: first.family, ranges, spec };
}

export function poolHas({ ranges }: Pool, address: string): boolean {
  return ranges.some((range) => rangeHas(range, address));
}

export function capacityOf({ ranges }: Pool): bigint {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1n, 0n);
}

/** Every address from the one with this number on, in order; an IPv6 pool has no end in practice. */
export function* addressesOf({ ranges }: Pool, from = 0n): Generator<{ vip: string; index: bigint }> {
  let start = 0n;
  for (const { family, first, last } of ranges) {
    const size = last - first + 1n;
    for (let at = from > start ? from - start : 0n; at < size; at++)
      yield { vip: addressText(family, first + at), index: start + at };
    start += size;
  }
}

export function isAllowed({ spec: { allowed } }: Pool, { metadata }: KubernetesService): boolean {
  if (allowed?.namespaces !== undefined && !allowed.namespaces.includes(metadata.namespace ?? ""))
    return false;
  return Object.entries(allowed?.services ?? {}).every(([name, value]) => metadata.labels?.[name] === value);
}

/** Names are compared without case: kube-loxilb's `defaultPool` is the VipPool `defaultpool`. */
export function isCalled({ name, spec }: Pool, text: string): boolean {
  const wanted = text.toLowerCase();
  return name === wanted || (spec.aliases ?? []).some((alias) => alias.toLowerCase() === wanted);
}

/** Two pools that share addresses: the first pair found. */
export function overlapOf(pools: readonly Pool[]): readonly [string, string] | undefined {
  const all = pools
    .flatMap(({ name, ranges }) => ranges.map((range) => ({ name, ...range })))
    .sort((a, b) => a.family - b.family || (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  for (const [index, range] of all.entries()) {
    const next = all[index + 1];
    if (
      next !== undefined &&
      next.family === range.family &&
      next.first <= range.last &&
      next.name !== range.name
    )
      return [range.name, next.name];
  }
  return undefined;
}
