// Our own annotations, by what stands behind `holdfast.io/`.
import { ServiceAnnounceSchema, type ServiceAnnounceSpec, validate } from "@holdfast/api";
import { healthCheckOf } from "./health-check.ts";
import {
  addresses,
  atMost,
  integer,
  oneOf,
  PLAIN_IDLE_S,
  prefixes,
  type Reader,
  SECONDARY_COUNT_MAX,
  Wrong,
  words,
  yes,
} from "./settings.ts";

const SELECTIONS = ["leastAssociations", "roundRobin", "weighted", "hash", "persist"] as const;
/** The members' bounds (api: peers, sourceAddresses, clientPrefixes). */
const PEER_COUNT_MAX = 8;
const SOURCE_COUNT_MAX = 16;
const CLIENT_PREFIX_COUNT_MAX = 64;
const REPLICATE_AFTER_MS_MAX = 3_600_000;

const secondaries = (value: string) => atMost(words(value), SECONDARY_COUNT_MAX, "secondaries");

/** JSON, as `announce` of a service of the members. */
function announceOf(value: string): ServiceAnnounceSpec {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    throw new Wrong('it takes JSON such as {"ranks":[{"med":100},false]}');
  }
  const [finding] = validate(ServiceAnnounceSchema, json).findings;
  if (finding !== undefined) throw new Wrong(`${finding.path.join(".") || "it"} ${finding.reason}`);
  return json as ServiceAnnounceSpec;
}

const ADDRESSING: Readonly<Record<string, Reader>> = {
  pool: (value) => ({ pool: value.trim() }),
  "secondary-pools": (value) => ({ secondaryPools: secondaries(value) }),
  ip: (value) => ({ primaryIp: addresses(value)[0] ?? "" }),
  "secondary-ips": (value) => ({ secondaryIps: secondaries(value).flatMap(addresses) }),
  "source-addresses": (value) => ({
    sourceAddresses: atMost([...new Set(addresses(value))], SOURCE_COUNT_MAX, "source addresses"),
  }),
  "sharing-key": (value) => ({ sharingKey: value.trim() }),
};

const FLOWS: Readonly<Record<string, Reader>> = {
  "idle-timeout": (value) => ({ idleTimeoutS: integer(value, ...PLAIN_IDLE_S) }),
  "transitory-timeout": (value) => ({ transitoryS: integer(value, ...PLAIN_IDLE_S) }),
  "one-shot-timeout": (value) => ({ oneShotS: integer(value, ...PLAIN_IDLE_S) }),
  "nat-port": (value) => ({ natPort: oneOf(value, ["any", "keep", "require"] as const) }),
  "proxy-protocol": (value) => ({ proxyProtocol: yes(value) }),
  stateless: (value) => ({ stateless: yes(value) }),
  replicate: (value) => ({ replicate: oneOf(value, ["always", "long-lived", "never"] as const) }),
  "replicate-after": (value) => ({ replicateAfterMs: integer(value, 0, REPLICATE_AFTER_MS_MAX) }),
  "client-prefixes": (value) => ({
    clientPrefixes: atMost(prefixes(value), CLIENT_PREFIX_COUNT_MAX, "client prefixes"),
  }),
  "endpoints-may-begin": (value) => ({ endpointsMayBegin: yes(value) }),
  peers: (value) => ({ peers: atMost(addresses(value), PEER_COUNT_MAX, "peers") }),
  "restart-new-addresses": (value) => ({
    restartNewAddresses: oneOf(value, ["abort", "accept"] as const),
  }),
};

export const OURS: Readonly<Record<string, Reader>> = {
  ...ADDRESSING,
  ...FLOWS,
  selection: (value) => ({ selection: oneOf(value, SELECTIONS) }),
  health: (value) => {
    const healthCheck = healthCheckOf(value);
    if (typeof healthCheck === "string") throw new Wrong(healthCheck);
    return { healthCheck };
  },
  drain: (value) => ({ drainS: integer(value, 0, 86_400) }),
  bgp: (value) => ({ withdrawWhenDown: oneOf(value, ["always", "when-up"]) === "when-up" }),
  announce: (value) => ({ announce: announceOf(value) }),
  networks: (value) => ({ networks: words(value) }),
  zones: (value) => ({ zones: words(value) }),
};
/** What the controller itself writes. */
export const WRITTEN = ["vips", "owners"];
