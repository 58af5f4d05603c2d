// The simulated world's geography: networks, addresses, services; and its times, short so that a seed is.
import type { Address, NatPortPolicy, Service } from "@holdfast/model";

export const NETWORKS = ["path-a", "path-b", "core", "cluster"] as const;
export type Network = (typeof NETWORKS)[number];

const PREFIXES = {
  "path-a": "10.1",
  "path-b": "10.2",
  core: "10.3",
  cluster: "10.9",
} as const satisfies Readonly<Record<Network, string>>;

export const memberAddress = (network: Network, number: number): Address =>
  `${PREFIXES[network]}.0.${number + 1}`;
export const clientAddress = (network: Network, number: number): Address =>
  `${PREFIXES[network]}.1.${number + 1}`;
export const endpointAddress = (number: number): Address => `${PREFIXES.core}.2.${number + 1}`;
/** Whom spoofed INITs claim to be from; nobody lives there. */
export const strangerAddress = (number: number): Address => `${PREFIXES["path-a"]}.7.${(number % 250) + 1}`;

/** The network that an address is on link with; VIPs are on none. */
export function networkOf(address: Address): Network | undefined {
  return NETWORKS.find((network) => address.startsWith(`${PREFIXES[network]}.`));
}

export const SERVICE_PORT = 38_412;
export const ENDPOINT_PORT = 9_999;
export const ENDPOINT_COUNT = 2;
/**
 * Client ports: of the first members' slots, so that a client's own port is kept, lent, freed and wanted again, and of a slot
 * that no member has, so that all vote.
 */
export const CLIENT_PORTS = [36_416, 36_417, 36_415] as const;
export const MEMBER_NUMBER_COUNT = 8;

export const VIPS_TWO: readonly Address[] = ["203.0.113.1", "203.0.114.1"];
export const VIPS_ONE: readonly Address[] = ["203.0.113.2"];
export const VIP_PREFIXES: Readonly<Partial<Record<Network, string>>> = {
  "path-a": "203.0.113.0/24",
  "path-b": "203.0.114.0/24",
};

const IDLE_TIMEOUT_S = 3;

function service(vips: readonly Address[], natPort: NatPortPolicy): Service {
  return {
    id: `sctp/${vips[0]}:${SERVICE_PORT}`,
    name: `s${vips.length}`,
    protocol: 132,
    vips,
    port: SERVICE_PORT,
    selection: "leastAssociations",
    natPort,
    endpoints: Array.from({ length: ENDPOINT_COUNT }, (_, number) => ({
      address: endpointAddress(number),
      port: ENDPOINT_PORT,
      weight: 1,
      state: "active",
    })),
    idleTimeoutS: IDLE_TIMEOUT_S,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
  };
}

/** Two services share their endpoints: NAT ports are the endpoint's, whatever the VIPs. One lends clients their own. */
export const SERVICES: readonly Service[] = [service(VIPS_TWO, "any"), service(VIPS_ONE, "keep")];
export const ALL_VIPS: readonly Address[] = [...VIPS_TWO, ...VIPS_ONE];

export const TIMES = {
  idleMs: IDLE_TIMEOUT_S * 1_000,
  /** M of replication. */
  memoryMs: 1_000,
  /** A sign of life older than this is stale: the death verdict. */
  deadAfterMs: 150,
  retransmitMs: 120,
  retransmitMaxMs: 400,
  heartbeatMs: 350,
  talkMs: 160,
  cookieLifeMs: 3_000,
  /** A host gives an association up whose other end is gone after so long without an answer. */
  giveUpMs: 1_000,
} as const;

/** Of the forwarder, in proportion to the times above. */
export const FORWARDER_LIMITS = {
  initTimeoutMs: 1_200,
  handshakeTimeoutMs: 3_400,
  pendingTimeoutMs: 3_400,
  shutdownTimeoutMs: 2_500,
  lingerMs: 1_000,
  natPortRestVerifiedMs: 1_000,
  natPortRestUnseenMs: 5_000,
  natPortRestEvictedMs: 3_400,
  natPortRestEvictedLeastMs: 100,
  embryoEvictableMs: 200,
  embryoCountMaxPerService: 40,
  embryoCountMaxPerPrefix: 32,
  replicatedEmbryoCountMaxPerService: 32,
  replicatedEmbryoCountMaxPerPrefix: 24,
  contradictionMs: 300,
  fallbackMs: 300,
  initAgeMaxMs: 400,
  adoptionGraceMs: 800,
  certaintyMs: 1_000,
  heardPeriodMs: 200,
  sweepPeriodMs: 250,
  endpointDeathMs: 900,
  endpointGoneMs: 200,
  fragmentTimeoutMs: 500,
} as const;
