// Where the lab's cluster stands. `lab`: hosts of one wire, public addresses, a telecom stack's timers of
// tenths of a second; most tests want that, since it is quick. `field`: as it is out there, with the timers
// that stacks are delivered with, private addresses, and a router with strict source checks between clients
// and members of each path network.
import { type Address, parseAddress } from "@holdfast/model";
import { STOCK_TIMERS } from "../peer/peer.ts";

export const PROFILE_NAMES = ["lab", "field", "routed"] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** An address in both families; the cluster takes what its VIPs need. */
export interface TwoFamilies {
  readonly ipv4: Address;
  readonly ipv6: Address;
}

export interface Profile {
  readonly name: ProfileName;
  readonly vips: { readonly ipv4: readonly Address[]; readonly ipv6: readonly Address[] };
  /**
   * Of the path network number `network`, of its clients' side and of its members'; the same where no router
   * stands between.
   */
  readonly clientBits: TwoFamilyBits;
  readonly memberBits: TwoFamilyBits;
  /**
   * Host `n` on the clients' side of a path network. 0 to 1,023 are the lab's own; others belong to nobody.
   */
  readonly client: (network: number, n: number) => TwoFamilies;
  readonly member: (network: number, n: number) => TwoFamilies;
  readonly coreBits: TwoFamilyBits;
  readonly endpoint: (n: number, k: number) => TwoFamilies;
  readonly coreMember: (n: number) => TwoFamilies;
  /** Of the router beside the endpoints, where there is one. */
  readonly coreRouter: TwoFamilies;
  /** On the core, nobody's. */
  readonly coreStranger: TwoFamilies;
  /** The router's address on the clients' side and on the members', when there is one. */
  readonly router?: {
    /** The prefix of the clients' side. */
    readonly clients: (network: number) => { readonly ipv4: string; readonly ipv6: string };
    readonly client: (network: number) => TwoFamilies;
    readonly member: (network: number) => TwoFamilies;
  };
  /**
   * `bgp`: no VIP is on any link. The routers, and one between endpoints and members, learn the VIPs' ways
   * from the members, over BGP with BFD.
   */
  readonly announcer: "l2" | "bgp";
  /**
   * Prefixes of the clients' networks, and of the core, for captures that look for what must not be there.
   */
  readonly clientPrefixes: readonly string[];
  readonly corePrefixes: readonly string[];
  /** The test peers' options, in the place of their defaults; `n` is the number of the host. */
  readonly peer: (role: "server" | "client", n: number) => object;
  /** Of Holdfast's own protocol times: a minute's wait is `timeScale` minutes. */
  readonly timeScale: number;
  /** How much longer than in `lab` everything may take. */
  readonly patience: number;
  /** Longest silence that a member's or a path's death may cause at a receiver, ms. */
  readonly gapMs: number;
  /** … and at whoever waits for what comes back: message and echo may both have met it. */
  readonly echoGapMs: number;
  /** Packets lose one of their TTL at the router between clients and members … */
  readonly hopCount: number;
  /** … and those from an endpoint at the one beside it. */
  readonly endpointHopCount: number;
}

export interface TwoFamilyBits {
  readonly ipv4: number;
  readonly ipv6: number;
}

const v6 = parseAddress;
const hex = (n: number) => n.toString(16);

/** Documentation prefixes (RFC 5737, RFC 3849); the fourth VIP shares path-a with the primary. */
export const VIPS_V4 = ["203.0.113.1", "198.51.100.1", "192.0.2.1", "203.0.113.129"] as const;
export const VIPS_V6 = ["2001:db8:a::1", "2001:db8:b::1", "2001:db8:c::1", "2001:db8:a::129"] as const;

/**
 * The networks are 198.18.0.0/15 (RFC 2544), not private ones: toward a public VIP real stacks leave their
 * private addresses out of INIT (scoping), and nothing would be multi-homed.
 */
export const LAB_PROFILE: Profile = {
  name: "lab",
  vips: { ipv4: VIPS_V4, ipv6: VIPS_V6 },
  clientBits: { ipv4: 18, ipv6: 64 },
  memberBits: { ipv4: 18, ipv6: 64 },
  client: (network, n) => ({
    ipv4: `198.18.${network * 64 + 1 + (n >> 8)}.${n & 0xff}`,
    ipv6: v6(`fd0${network + 1}::1:${hex(n)}`),
  }),
  member: (network, n) => ({ ipv4: `198.18.${network * 64}.${n}`, ipv6: v6(`fd0${network + 1}::${n}`) }),
  coreBits: { ipv4: 16, ipv6: 64 },
  endpoint: (n, k) => ({ ipv4: `198.19.${k}.${n}`, ipv6: v6(`fd09::${k}:${hex(n)}`) }),
  coreMember: (n) => ({ ipv4: `198.19.255.${n}`, ipv6: v6(`fd09::ff:${n}`) }),
  coreRouter: { ipv4: "198.19.255.254", ipv6: "fd09::ff:fe" },
  coreStranger: { ipv4: "198.19.5.254", ipv6: "fd09::5:fe" },
  clientPrefixes: ["198.18.0.0/16", "fd01::/16", "fd02::/16", "fd03::/16"],
  corePrefixes: ["198.19.0.0/16", "fd09::/16"],
  announcer: "l2",
  peer: () => ({}),
  timeScale: 1 / 20,
  patience: 1,
  // Take-over 250 ms, one RTO of 400 ms, and a busy machine.
  gapMs: 1_500,
  echoGapMs: 1_500,
  hopCount: 0,
  endpointHopCount: 0,
};

/** A stack's seconds in one of ours. */
const FIELD_CLOCK = 10;
/** First half of a path's 192.168, 172.20 or 10.20. */
const FIELD_PATHS = ["10.20", "172.20", "192.168"] as const;
const fieldPath = (network: number) => FIELD_PATHS[network] as (typeof FIELD_PATHS)[number];

/**
 * Private addresses of all four kinds (RFC 1918, RFC 6598), VIPs included. Clients' networks and members'
 * meet at a router. RTO.Initial is the 1 s of RFC 9260 at every other client, and the 3 s of RFC 2960 and
 * Linux at the rest and at servers.
 */
export const FIELD_PROFILE: Profile = {
  name: "field",
  vips: {
    ipv4: ["10.99.0.1", "172.31.99.1", "192.168.250.1", "10.99.0.129"],
    ipv6: ["fd99:a::1", "fd99:b::1", "fd99:c::1", "fd99:a::129"],
  },
  clientBits: { ipv4: 18, ipv6: 64 },
  memberBits: { ipv4: 24, ipv6: 64 },
  client: (network, n) => ({
    ipv4: `${fieldPath(network)}.${64 + 1 + (n >> 8)}.${n & 0xff}`,
    ipv6: v6(`fd0${network + 1}::1:${hex(n)}`),
  }),
  member: (network, n) => ({
    ipv4: `${fieldPath(network)}.1.${n}`,
    ipv6: v6(`fd1${network + 1}::${n}`),
  }),
  router: {
    clients: (network) => ({ ipv4: `${fieldPath(network)}.64.0/18`, ipv6: `fd0${network + 1}::/64` }),
    client: (network) => ({ ipv4: `${fieldPath(network)}.64.1`, ipv6: v6(`fd0${network + 1}::1`) }),
    member: (network) => ({ ipv4: `${fieldPath(network)}.1.254`, ipv6: v6(`fd1${network + 1}::fe`) }),
  },
  coreBits: { ipv4: 10, ipv6: 64 },
  endpoint: (n, k) => ({ ipv4: `100.64.${k}.${n}`, ipv6: v6(`fd09::${k}:${hex(n)}`) }),
  coreMember: (n) => ({ ipv4: `100.127.255.${n}`, ipv6: v6(`fd09::ff:${n}`) }),
  coreRouter: { ipv4: "100.127.255.254", ipv6: "fd09::ff:fe" },
  coreStranger: { ipv4: "100.64.5.254", ipv6: "fd09::5:fe" },
  clientPrefixes: [...FIELD_PATHS.map((path) => `${path}.64.0/18`), "fd01::/16", "fd02::/16", "fd03::/16"],
  corePrefixes: ["100.64.0.0/10", "fd09::/16"],
  announcer: "l2",
  peer: (role, n) => ({
    ...STOCK_TIMERS,
    clock: FIELD_CLOCK,
    rtoInitial: role === "server" || n % 2 === 1 ? 3_000 : 1_000,
    sourceByRoute: role === "client",
  }),
  timeScale: 1 / FIELD_CLOCK,
  patience: 4,
  // New data goes out over a dead path until its sixth RTO is over: 32 s of the stack's, RTO.Max (60 s) where
  // round trips vary as on a busy machine.
  gapMs: 7_500,
  echoGapMs: 14_000,
  hopCount: 1,
  endpointHopCount: 0,
};

/** The field's networks and routers, which speak BGP with the members; a telecom stack's timers. */
export const ROUTED_PROFILE: Profile = {
  ...FIELD_PROFILE,
  name: "routed",
  announcer: "bgp",
  peer: (role) => ({ sourceByRoute: role === "client" }),
  timeScale: LAB_PROFILE.timeScale,
  patience: 1.5,
  gapMs: LAB_PROFILE.gapMs,
  endpointHopCount: 1,
};

/** The router that an endpoint's packets to a VIP go to; undefined where the VIP is on the link. */
export function endpointGateway({ announcer, coreRouter }: Profile, vip: Address): Address | undefined {
  if (announcer !== "bgp") return undefined;
  return vip.includes(":") ? coreRouter.ipv6 : coreRouter.ipv4;
}

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  lab: LAB_PROFILE,
  field: FIELD_PROFILE,
  routed: ROUTED_PROFILE,
};
