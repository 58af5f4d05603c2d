// Which VIPs a Service wants, which were written down for it, and which of its ports are served.
import type { KubernetesService, ServicePort } from "../objects.ts";
import { canonical, canonicalPrefix } from "../pools/address.ts";
import type { AssignedVip, Demand, Wish } from "../pools/allocator.ts";
import type { Settings } from "./settings.ts";

/** All VIPs with the pools that they came from: `203.0.113.1=net-a,198.51.100.7=net-b`. */
export const VIPS_ANNOTATION = "holdfast.io/vips";
/** Who announces them now: `203.0.113.1=m2`. */
export const OWNERS_ANNOTATION = "holdfast.io/owners";
const FINALIZER = "holdfast.io/lb-cleanup";
const USUAL_CLUSTER = "kubernetes";

/** Two controllers in one Kubernetes, of two Holdfast clusters, have finalizers of their own: neither cleans up for the other. */
export function finalizerOf(cluster: string): string {
  return cluster === USUAL_CLUSTER ? FINALIZER : `${FINALIZER}-${cluster}`;
}

export function portKey({ protocol = "TCP", port }: ServicePort): string {
  return `${protocol}/${port}`;
}

/** One VIP for each family first, the secondaries after them. */
export function wishesOf(service: KubernetesService, settings: Settings): readonly Wish[] {
  const families = familiesOf(service, settings);
  const wishes: Wish[] = [];
  const demanded = settings.primaryIp ?? canonical(service.spec?.loadBalancerIP ?? "");
  if (demanded !== undefined && demanded !== "") wishes.push({ kind: "address", address: demanded });
  else if (settings.pool !== undefined)
    for (const pool of settings.pool.split(",")) wishes.push({ kind: "pool", pool: pool.trim() });
  else for (const family of families) wishes.push({ kind: "default", family });
  for (const pool of settings.secondaryPools ?? []) wishes.push({ kind: "pool", pool });
  for (const address of settings.secondaryIps ?? []) wishes.push({ kind: "address", address });
  for (let rank = 1; rank <= (settings.secondaryCount ?? 0); rank++)
    wishes.push({ kind: "rank", rank, family: families[0] });
  return wishes;
}

/** What it says of addresses that others might have as well. */
export function sharingOf(settings: Settings): Required<Pick<Demand, "sharingKey" | "sources">> {
  return { sharingKey: settings.sharingKey ?? "", sources: settings.sourceAddresses ?? [] };
}

function familiesOf({ spec }: KubernetesService, { family }: Settings): readonly (4 | 6)[] {
  if (family !== undefined) return [family];
  const families = (spec?.ipFamilies ?? ["IPv4"]).map((each) => (each === "IPv6" ? 6 : 4));
  return families.length === 0 ? [4] : families;
}

/** What was written down: all VIPs in the annotation, or the addresses that kube-loxilb or we put into the status. */
export function recordedVips({ metadata, status }: KubernetesService): readonly AssignedVip[] {
  const written = metadata.annotations?.[VIPS_ANNOTATION];
  if (written !== undefined) {
    const entries = written.split(",").map((entry) => entry.split("="));
    const read = entries.map(([vip = "", pool = ""]) => ({ vip: canonical(vip) ?? "", pool }));
    return read.filter(({ vip }) => vip !== "");
  }
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => {
    const vip = canonical(ip ?? hostname?.replace(/^[a-z0-9-]*?-(?=[0-9a-f.:]+$)/i, "") ?? "");
    return vip === undefined ? [] : [{ vip, pool: "" }];
  });
}

export function vipsText(vips: readonly AssignedVip[]): string {
  return vips.map(({ vip, pool }) => `${vip}=${pool}`).join(",");
}

/** Before `loadBalancerSourceRanges` there was this. */
const SOURCE_RANGES_ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges";
const EVERYBODY = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/**
 * Prefixes from which clients may come, in one form and order; empty: from anywhere. A text: why it cannot be told, and then
 * nobody is let in on a guess.
 */
export function allowedSourcesOf(
  { spec, metadata }: KubernetesService,
  families: readonly (4 | 6)[],
): readonly string[] | string {
  const ranges = spec?.loadBalancerSourceRanges ?? [];
  const old = metadata.annotations?.[SOURCE_RANGES_ANNOTATION] ?? "";
  const texts = ranges.length > 0 ? ranges : old.split(",").filter((text) => text.trim() !== "");
  const prefixes = new Set<string>();
  for (const text of texts) {
    const prefix = canonicalPrefix(text);
    if (prefix === undefined) return `'${text}' among its source ranges is no prefix.`;
    prefixes.add(prefix);
  }
  if (families.every((family) => prefixes.has(EVERYBODY[family]))) return [];
  return [...prefixes].sort();
}
