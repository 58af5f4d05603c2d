// What bgp is told: routers, and with which attributes a VIP goes to each, by this member's rank for it.
import type { Address, RankPolicy, ServiceAnnounce } from "@holdfast/model";
import type { AnnouncedRank } from "../announcer.ts";

export const ROUTER_COUNT_MAX = 16;

export interface BfdConfiguration {
  /** Both ways, 10 … 60,000 ms. */
  readonly intervalMs: number;
  readonly multiplier: number;
}

export interface RouterConfiguration {
  readonly name: string;
  /** What services may call it and its like. */
  readonly group?: string;
  /** The neighbour's address; a link-local one needs `interface` too. Absent: whoever answers on `interface`. */
  readonly address?: Address;
  readonly interface?: string;
  /** TCP port of the router; absent: 179. */
  readonly port?: number;
  readonly as: number;
  readonly localAs: number;
  /** Networks whose VIPs this router gets; absent: all. */
  readonly networks?: readonly string[];
  readonly bfd?: BfdConfiguration;
  /** TCP MD5 (RFC 2385). */
  readonly password?: string;
  /** RFC 5082: only packets with a TTL of 255. */
  readonly ttlSecurity: boolean;
  /** Hops to the router; absent: it is on the link. */
  readonly multihop?: number;
  /** RFC 4271 §4.2: 0, or at least 3. */
  readonly holdS: number;
  /** IPv6 VIPs go over an IPv4 session too. */
  readonly ipv6: boolean;
  /** IPv4 VIPs go over an IPv6 session too, with an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** Waits for the router to connect. */
  readonly passive: boolean;
  /** In the place of the default for all routers. */
  readonly announce?: readonly RankPolicy[];
}

export interface BgpConfiguration {
  /** Four bytes as an IPv4 address, unique among the routers' neighbours. */
  readonly routerId: string;
  readonly routers: readonly RouterConfiguration[];
  /** By rank, owner first; empty: `defaultPolicy`. */
  readonly announce: readonly RankPolicy[];
  /** For so long after a lost session is back, BFD included, its router is told that every other member is better. 0: not. */
  readonly holdDownMs: number;
  /** Names of the routers for which that is so now. */
  readonly heldDown?: readonly string[];
}

/** A VIP as the speaker has to announce it. */
export interface SpeakerRoute {
  readonly vip: Address;
  readonly rank: AnnouncedRank;
  /** The VIP's network, when it belongs to one. */
  readonly network: string | undefined;
  /** Its service's own words, in the place of the router's and the default ones. */
  readonly announce?: ServiceAnnounce;
}
