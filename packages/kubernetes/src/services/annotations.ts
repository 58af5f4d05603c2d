// What a Service's annotations ask for: our own, and both dialects of kube-loxilb. What is misspelled, wrong or without effect
// here is said, with the nearest that there is; it never keeps a Service from being served, except a wrong address or pool.
import type { ServiceInput } from "@holdfast/api";
import { canonical } from "../pools/address.ts";
import { healthCheckOf, loxilbHealthCheck } from "./health-check.ts";
import { nearest } from "./nearest.ts";

export interface Settings {
  readonly pool?: string;
  readonly secondaryPools?: readonly string[];
  /** kube-loxilb's older dialect: so many, from the pools in their ranks. */
  readonly secondaryCount?: number;
  readonly primaryIp?: string;
  readonly secondaryIps?: readonly string[];
  readonly sharingKey?: string;
  readonly family?: 4 | 6;
  readonly selection?: NonNullable<ServiceInput["selection"]>;
  readonly healthCheck?: ServiceInput["healthCheck"];
  readonly natPort?: ServiceInput["natPort"];
  readonly idleTimeoutS?: number;
  readonly drainS?: number;
  readonly clientPrefixes?: readonly string[];
  readonly withdrawWhenDown?: boolean;
  readonly endpointsMayBegin?: boolean;
  readonly peers?: readonly string[];
  /** Networks of a pod whose addresses are one endpoint; `pod` is its own. */
  readonly networks?: readonly string[];
  /** Endpoints elsewhere are used when these zones have none. */
  readonly zones?: readonly string[];
}

/** For an event. */
export interface Note {
  readonly reason: "AnnotationUnknown" | "AnnotationInvalid" | "AnnotationIgnored";
  readonly message: string;
}

export interface ReadAnnotations {
  readonly settings: Settings;
  readonly notes: readonly Note[];
  /** Addresses or pools cannot be read: nothing is assigned on a guess. */
  readonly error: string | undefined;
}

class Wrong extends Error {}

/** A value's part of the settings; throws Wrong with what is expected. */
type Reader = (value: string) => Partial<Settings> | string;

const SELECTIONS = ["leastAssociations", "roundRobin", "weighted", "hash", "persist"] as const;
const LOXILB_SELECTIONS: Readonly<Record<string, (typeof SELECTIONS)[number]>> = {
  rr: "roundRobin",
  roundrobin: "roundRobin",
  hash: "hash",
  persist: "persist",
  lc: "leastAssociations",
};
const IPAM: Readonly<Record<string, 4 | 6>> = { ipv4: 4, ip: 4, ip4: 4, ipv6: 6, ip6: 6, nat66: 6 };
const SECONDARY_COUNT_MAX = 3;
/** The member's own bounds (api: idleTimeoutS). */
const IDLE_S = [210, 86_400] as const;

const words = (value: string) =>
  value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

function oneOf<T extends string>(value: string, names: readonly T[]): T {
  const found = names.find((name) => name.toLowerCase() === value.trim().toLowerCase());
  if (found !== undefined) return found;
  throw new Wrong(`it takes one of ${names.join(", ")}`);
}

function integer(value: string, least: number, most: number): number {
  const number = /^\d{1,9}$/.test(value.trim()) ? Number(value) : -1;
  if (number < least || number > most) throw new Wrong(`it takes a number from ${least} to ${most}`);
  return number;
}

function yes(value: string): boolean {
  return ["yes", "true"].includes(oneOf(value, ["yes", "no", "true", "false"]));
}

function addresses(value: string): string[] {
  const list = words(value).map((part) => canonical(part) ?? part);
  const wrong = list.find((part) => canonical(part) === undefined);
  if (wrong !== undefined) throw new Wrong(`'${wrong}' is no address`);
  return list;
}

function secondaries(value: string): string[] {
  const list = words(value);
  if (list.length > SECONDARY_COUNT_MAX)
    throw new Wrong(`a Service has at most ${SECONDARY_COUNT_MAX} secondaries`);
  return list;
}

function prefixes(value: string): string[] {
  const list = words(value);
  const wrong = list.find(
    (part) => canonical(part.split("/")[0] ?? "") === undefined || !/\/\d{1,3}$/.test(part),
  );
  if (wrong !== undefined) throw new Wrong(`'${wrong}' is no prefix`);
  return list;
}

/** Not wrong, and without effect here: why. */
const ignored =
  (why: string): Reader =>
  () =>
    why;

const OURS: Readonly<Record<string, Reader>> = {
  pool: (value) => ({ pool: value.trim() }),
  "secondary-pools": (value) => ({ secondaryPools: secondaries(value) }),
  ip: (value) => ({ primaryIp: addresses(value)[0] ?? "" }),
  "secondary-ips": (value) => ({ secondaryIps: secondaries(value).flatMap(addresses) }),
  "sharing-key": (value) => ({ sharingKey: value.trim() }),
  selection: (value) => ({ selection: oneOf(value, SELECTIONS) }),
  health: (value) => {
    const healthCheck = healthCheckOf(value);
    if (typeof healthCheck === "string") throw new Wrong(healthCheck);
    return { healthCheck };
  },
  "nat-port": (value) => ({ natPort: oneOf(value, ["any", "keep", "require"] as const) }),
  "idle-timeout": (value) => ({ idleTimeoutS: integer(value, ...IDLE_S) }),
  drain: (value) => ({ drainS: integer(value, 0, 86_400) }),
  "client-prefixes": (value) => ({ clientPrefixes: prefixes(value) }),
  bgp: (value) => ({ withdrawWhenDown: oneOf(value, ["always", "when-up"]) === "when-up" }),
  "endpoints-may-begin": (value) => ({ endpointsMayBegin: yes(value) }),
  peers: (value) => ({ peers: addresses(value) }),
  networks: (value) => ({ networks: words(value) }),
  zones: (value) => ({ zones: words(value) }),
};

const LOXILB: Readonly<Record<string, Reader>> = {
  poolSelect: OURS["pool"] as Reader,
  poolSelectSecondary: OURS["secondary-pools"] as Reader,
  secondaryIPs: OURS["secondary-ips"] as Reader,
  staticIP: OURS["ip"] as Reader,
  "num-secondary-networks": (value) => ({ secondaryCount: integer(value, 0, SECONDARY_COUNT_MAX) }),
  epselect: (value) => {
    const selection = LOXILB_SELECTIONS[value.trim().toLowerCase()];
    return selection === undefined
      ? `'${value}' is not offered: endpoints are chosen by their load`
      : { selection };
  },
  ipam: (value) => {
    const family = IPAM[value.trim().toLowerCase()];
    return family === undefined
      ? `'${value}' is not offered: a VIP and its endpoints are of one family`
      : { family };
  },
  timeout: (value) => ({ idleTimeoutS: Math.max(IDLE_S[0], integer(value, 1, IDLE_S[1])) }),
  lbmode: (value) =>
    ["dsr", "fullproxy"].includes(value.trim().toLowerCase())
      ? `'${value}' is not offered: the Service works as fullnat`
      : {},
  liveness: () => ({}),
  "multus-nets": (value) => ({ networks: words(value) }),
  zoneselect: ignored("all members serve all Services; 'holdfast.io/zones' chooses endpoints"),
  zoneinstance: ignored("there are no instances: every VIP has an owner of its own"),
  nodelabel: ignored("endpoints are pods, not nodes"),
  prefLocalPod: ignored("an association stays with its endpoint, whichever member forwards it"),
  usepodnetwork: (value) =>
    yes(value) ? {} : "endpoints are always pods: a node port does not know multi-homing",
  useExternalEndpoint: () => ({}),
  useproxyprotov2: ignored("it is for TCP"),
  egress: ignored("egress rules are not offered"),
};
/** Read together, below. */
const LOXILB_PROBE = ["probetype", "probeport", "probereq", "proberesp", "probetimeout", "proberetries"];
const LOXILB_MTLS = /^mtls-(frontend|backend)-/;
/** What the controller itself writes. */
const WRITTEN = ["vips", "owners"];

const KNOWN = [
  ...[...Object.keys(OURS), ...WRITTEN].map((name) => `holdfast.io/${name}`),
  ...[...Object.keys(LOXILB), ...LOXILB_PROBE].map((name) => `loxilb.io/${name}`),
];
/** Wrong ones of these leave it open which VIP is meant. */
const ADDRESSES = [
  "pool",
  "secondary-pools",
  "ip",
  "secondary-ips",
  "poolSelect",
  "poolSelectSecondary",
].concat("secondaryIPs", "staticIP");

export function readAnnotations(annotations: Readonly<Record<string, string>>): ReadAnnotations {
  const notes: Note[] = [];
  let error: string | undefined;
  let settings: Settings = {};
  const probe = loxilbHealthCheck(annotations, (message) =>
    notes.push({ reason: "AnnotationInvalid", message }),
  );
  if (probe !== undefined) settings = { healthCheck: probe };
  // Ours are read last: they have the last word.
  for (const [key, value] of Object.entries(annotations).sort(([a], [b]) => (a < b ? 1 : -1))) {
    const reader = readerOf(key);
    if (reader === undefined) {
      const note = unknownNote(key);
      if (note !== undefined) notes.push(note);
      continue;
    }
    try {
      const read = reader(value);
      if (typeof read === "string")
        notes.push({ reason: "AnnotationIgnored", message: `${key} has no effect: ${read}.` });
      else settings = { ...settings, ...read };
    } catch (wrong) {
      if (!(wrong instanceof Wrong)) throw wrong;
      const message = `${key}: '${value}' is not understood: ${wrong.message}.`;
      notes.push({ reason: "AnnotationInvalid", message });
      if (ADDRESSES.includes(key.slice(key.indexOf("/") + 1))) error ??= message;
    }
  }
  return { settings, notes, error };
}

function readerOf(key: string): Reader | undefined {
  const [domain, name = ""] = key.split("/");
  if (domain === "holdfast.io") return WRITTEN.includes(name) ? () => ({}) : OURS[name];
  if (domain !== "loxilb.io") return undefined;
  if (LOXILB_PROBE.includes(name)) return () => ({});
  return LOXILB_MTLS.test(name) ? ignored("it is for TLS") : LOXILB[name];
}

function unknownNote(key: string): Note | undefined {
  const isOurs = /^(holdfast|loxilb)\.io\//.test(key);
  const near = nearest(key, KNOWN, isOurs ? Math.max(3, Math.floor(key.length / 4)) : 2);
  if (!isOurs && near === undefined) return undefined;
  const hint =
    near === undefined ? "see docs/kubernetes.md for those that there are" : `did you mean ${near}?`;
  return { reason: "AnnotationUnknown", message: `There is no annotation ${key}: ${hint}` };
}
