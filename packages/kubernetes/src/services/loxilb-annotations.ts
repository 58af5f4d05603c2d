// kube-loxilb's annotations, by what stands behind `loxilb.io/`: each is acted on, or says why it has no
// effect here.
import { OURS } from "./own-annotations.ts";
import { integer, oneOf, PLAIN_IDLE_S, type Reader, SECONDARY_COUNT_MAX, words, yes } from "./settings.ts";

const SELECTIONS = {
  rr: "roundRobin",
  roundrobin: "roundRobin",
  hash: "hash",
  persist: "persist",
  lc: "leastAssociations",
} as const satisfies Readonly<Record<string, string>>;
/** LoxiLB's, and its inference gateway's. */
const SELECTIONS_NOT_OFFERED = ["n2", "n2det", "n3", "chwbl", "gpuaware", "wrr-hash", "wrrhash"] as const;
const FAMILIES = { ipv4: 4, ip: 4, ip4: 4, ipv6: 6, ip6: 6, nat66: 6 } as const satisfies Readonly<
  Record<string, 4 | 6>
>;
const FAMILIES_NOT_OFFERED = ["ipv6to4", "nat64"] as const;
const MODES = ["fullnat", "default", "onearm", "hostonearm", "dsr", "fullproxy"] as const;

const keysOf = <T extends string>(table: Readonly<Record<T, unknown>>) => Object.keys(table) as T[];

/** Not wrong, and without effect here. */
const ignored =
  (why: string): Reader =>
  () =>
    why;

/** What `no` asks for is so anyway. */
const ignoredWhenYes =
  (why: string): Reader =>
  (value) =>
    yes(value) ? why : {};

function modeOf(value: string): ReturnType<Reader> {
  const mode = oneOf(value, MODES);
  if (mode === "fullnat") return {};
  return mode === "dsr" || mode === "fullproxy"
    ? `'${mode}' is not offered: the Service works as fullnat`
    : `'${mode}' works as fullnat: endpoints see the VIPs as their clients`;
}

function selectionOf(value: string): ReturnType<Reader> {
  const name = oneOf(value, [...keysOf(SELECTIONS), ...SELECTIONS_NOT_OFFERED]);
  return name in SELECTIONS
    ? { selection: SELECTIONS[name as keyof typeof SELECTIONS] }
    : `'${name}' is not offered: endpoints are chosen by their load`;
}

function familyOf(value: string): ReturnType<Reader> {
  const name = oneOf(value, [...keysOf(FAMILIES), ...FAMILIES_NOT_OFFERED]);
  return name in FAMILIES
    ? { family: FAMILIES[name as keyof typeof FAMILIES] }
    : `'${name}' is not offered: a VIP and its endpoints are of one family`;
}

/** 0 is LoxiLB's own default. */
function timeoutOf(value: string): ReturnType<Reader> {
  const seconds = integer(value, 0, PLAIN_IDLE_S[1]);
  return seconds === 0 ? {} : { idleTimeoutS: seconds };
}

export const LOXILB: Readonly<Record<string, Reader>> = {
  poolSelect: OURS["pool"] as Reader,
  poolSelectSecondary: OURS["secondary-pools"] as Reader,
  secondaryIPs: OURS["secondary-ips"] as Reader,
  staticIP: OURS["ip"] as Reader,
  "num-secondary-networks": (value) => ({ secondaryCount: integer(value, 0, SECONDARY_COUNT_MAX) }),
  epselect: selectionOf,
  ipam: familyOf,
  timeout: timeoutOf,
  lbmode: modeOf,
  liveness: (value) =>
    yes(value) ? {} : "endpoints are asked whether they live: 'holdfast.io/health: none' ends that",
  "multus-nets": (value) => ({ networks: words(value) }),
  useproxyprotov2: (value) => ({ proxyProtocol: yes(value) }),
  zoneselect: ignored("all members serve all Services; 'holdfast.io/zones' chooses endpoints"),
  zoneinstance: ignored("there are no instances: every VIP has an owner of its own"),
  nodelabel: ignored("endpoints are pods, not nodes"),
  prefLocalPod: ignoredWhenYes("an association stays with its endpoint, whichever member forwards it"),
  usepodnetwork: (value) =>
    yes(value) ? {} : "endpoints are always pods: a node port does not know multi-homing",
  // Of EndpointSlices, as all here.
  useExternalEndpoint: (value) =>
    yes(value) ? {} : "endpoints are always those of the Service's EndpointSlices",
  egress: ignoredWhenYes("egress rules are not offered"),
  "connection-limit": ignored("there is no limit of connections"),
};

/** Families of annotations that layer 7 is needed for. */
const LAYER_7: readonly (readonly [RegExp, string])[] = [
  [/^mtls-(frontend|backend)-/, "it is for TLS"],
  [/^(tls-|hsts-|alpn-|backend-(ca|client)-cert-id$)/, "it is for TLS"],
  [/^timeout-(member|tcp)-/, "it is for a proxy: connections are forwarded packet by packet"],
  [/^(model-name|sse-mode|session-header-name|max-stream-duration)$/, "it is for HTTP"],
  [/^(backend-keepalive-interval|trace-type|cb-enable)$/, "it is for HTTP"],
  [/^(chwbl|kv|pd)-/, "it is for inference by HTTP"],
];

/** By what stands behind the domain; undefined: kube-loxilb has no such annotation. */
export function loxilbReader(name: string): Reader | undefined {
  const why = LAYER_7.find(([pattern]) => pattern.test(name))?.[1];
  if (why !== undefined) return ignored(why);
  return Object.hasOwn(LOXILB, name) ? LOXILB[name] : undefined;
}
