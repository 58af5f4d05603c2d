// What may change while the member runs. A reload applies all of a new configuration or nothing of it.
import { HoldfastError } from "@holdfast/model";
import type { Configuration } from "./schema.ts";

/** Sections and fields that a reload applies. */
export const RELOADABLE_FIELDS: readonly string[] = [
  "services",
  "removedServices",
  "routers",
  "announce",
  "log.level",
  "clientPrefixes",
  "api.token",
  "api.tokenFile",
  "api.tokens",
  "loxilb.token",
  "loxilb.changeGraceMs",
  "loxilb.metrics",
  "stop",
];

/** Why a section cannot change, by the longest prefix of the field. */
const REASONS: readonly (readonly [prefix: string, reason: string])[] = [
  ["cluster.memberNumberCount", "NAT ports that are in use were cut by it"],
  ["cluster", "the other members know this one by it"],
  ["member", "the other members know this one by it"],
  ["members", "links to the members are made at the start"],
  ["interfaces", "the data plane is attached at the start"],
  ["dataPlane", "maps and programs are made at the start"],
  ["replication", "links to the members are made at the start"],
  ["coordinator", "the probe thread gets it at the start"],
  ["announcer", "it is made at the start"],
  ["store", "it is open"],
  ["api", "the listeners are made at the start"],
  ["loxilb", "the listener is made at the start"],
  ["health", "the prober gets it at the start"],
  ["host", "what it names was made at the start"],
  ["timers", "timers of living sessions were started with it"],
];

/** Paths of the fields that differ; arrays and what has no counterpart count as one field. */
export function changedFields(before: Configuration, after: Configuration): string[] {
  const changed: string[] = [];
  const visit = (a: unknown, b: unknown, path: string): void => {
    if (isSection(a) && isSection(b)) {
      for (const name of new Set([...Object.keys(a), ...Object.keys(b)]))
        visit(a[name], b[name], path === "" ? name : `${path}.${name}`);
    } else if (JSON.stringify(a) !== JSON.stringify(b)) changed.push(path);
  };
  visit(before, after, "");
  return changed;
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const covers = (prefix: string, field: string) => field === prefix || field.startsWith(`${prefix}.`);

/** The changed fields; throws CONFIG_CHANGE_NEEDS_RESTART for the first that cannot change. */
export function checkReload(before: Configuration, after: Configuration): readonly string[] {
  const fields = changedFields(before, after);
  for (const field of fields) {
    if (RELOADABLE_FIELDS.some((reloadable) => covers(reloadable, field))) continue;
    const reason = REASONS.find(([prefix]) => covers(prefix, field))?.[1] ?? "it is read at the start only";
    throw new HoldfastError("CONFIG_CHANGE_NEEDS_RESTART", { field, reason });
  }
  return fields;
}
