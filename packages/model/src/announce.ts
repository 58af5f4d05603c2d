// How routers are told of a VIP, by the rank that a member has for it: a service's own words beside the
// default ones.

/** Ranks with attributes of their own; the last one's hold for all behind it. */
export const RANK_COUNT_MAX = 8;
/** Routers and groups that a service speaks of. */
export const ANNOUNCE_ROUTER_COUNT_MAX = 16;
const COMMUNITY_COUNT_MAX = 16;
const PREPEND_MAX = 16;
const UINT32_MAX = 0xffff_ffff;
const UINT16_MAX = 0xffff;

/** What a route carries beside its next hop, which is the session's own address. */
export interface RouteAttributes {
  /**
   * RFC 4271 §5.1.4, 0 … 4,294,967,295; lower is better. Left out: none is sent, which routers take for the
   * best.
   */
  readonly med?: number;
  /** How often the own AS is put before the path once more, 0 … 16. */
  readonly prepend?: number;
  /** RFC 4271 §5.1.5; higher is better. Stays inside an AS: it is sent to routers of the own AS only. */
  readonly localPref?: number;
  /** RFC 1997, "65001:1". */
  readonly communities?: readonly string[];
  /** RFC 8092, "65001:1:2". */
  readonly largeCommunities?: readonly string[];
  /** RFC 4271 §5.1.1. Default: igp. */
  readonly origin?: "igp" | "egp" | "incomplete";
}

/** false: who stands at this rank does not announce. */
export type RankPolicy = RouteAttributes | false;

/** A service's own attributes; what it does not speak of is as the member's configuration has it. */
export interface ServiceAnnounce {
  /** For all routers that `routers` does not name, owner first. Absent: the configuration's. */
  readonly ranks?: readonly RankPolicy[];
  /** By a router's name or group; the name wins. */
  readonly routers?: Readonly<Record<string, readonly RankPolicy[]>>;
  /** All members announce its VIPs as their owner does: routers spread associations over them (ECMP). */
  readonly spread?: boolean;
}

/** Why a service's words about routes cannot be taken, or undefined. */
export function announceProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return "announce must have ranks, routers or spread";
  const { ranks, routers, spread, ...others } = value;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return `announce.${unknown} is unknown`;
  if (spread !== undefined && typeof spread !== "boolean") return "announce.spread must be true or false";
  const problem = ranks === undefined ? undefined : ranksProblem("announce.ranks", ranks);
  if (problem !== undefined) return problem;
  if (routers === undefined) return undefined;
  if (!isRecord(routers) || Object.keys(routers).length > ANNOUNCE_ROUTER_COUNT_MAX)
    return `announce.routers must be at most ${ANNOUNCE_ROUTER_COUNT_MAX} names with ranks`;
  for (const [name, list] of Object.entries(routers)) {
    if (name === "" || name.length > 63) return "announce.routers has a name that no router can have";
    const wrong = ranksProblem(`announce.routers.${name}`, list);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function ranksProblem(where: string, ranks: unknown): string | undefined {
  if (!Array.isArray(ranks) || ranks.length < 1 || ranks.length > RANK_COUNT_MAX)
    return `${where} must be 1 to ${RANK_COUNT_MAX} ranks`;
  for (const [rank, policy] of ranks.entries()) {
    const problem = policy === false ? undefined : attributesProblem(policy);
    if (problem !== undefined) return `${where}[${rank}] ${problem}`;
  }
  return undefined;
}

function attributesProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return "must be attributes, or false";
  const { med, prepend, localPref, communities, largeCommunities, origin, ...others } = value;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return `has an unknown ${unknown}`;
  if (!isAbsentOr(med, UINT32_MAX)) return `has a med beyond 0 to ${UINT32_MAX}`;
  if (!isAbsentOr(localPref, UINT32_MAX)) return `has a localPref beyond 0 to ${UINT32_MAX}`;
  if (!isAbsentOr(prepend, PREPEND_MAX)) return `has a prepend beyond 0 to ${PREPEND_MAX}`;
  if (!areCommunities(communities, 2, UINT16_MAX)) return "has communities that are not like 65001:1";
  if (!areCommunities(largeCommunities, 3, UINT32_MAX))
    return "has largeCommunities that are not like 65001:0:1";
  if (origin !== undefined && !["igp", "egp", "incomplete"].includes(origin as string))
    return "has an origin that is not igp, egp or incomplete";
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isAbsentOr(value: unknown, most: number): boolean {
  return (
    value === undefined || (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most)
  );
}

function areCommunities(value: unknown, parts: number, most: number): boolean {
  if (value === undefined) return true;
  if (!Array.isArray(value) || value.length > COMMUNITY_COUNT_MAX) return false;
  return value.every((text: unknown) => {
    const numbers = typeof text === "string" ? text.split(":") : [];
    return numbers.length === parts && numbers.every((n) => /^\d{1,10}$/.test(n) && Number(n) <= most);
  });
}

/** The service's ranks for a router, or undefined when it has none of its own. */
export function ranksFor(
  announce: ServiceAnnounce | undefined,
  { name, group }: { readonly name: string; readonly group?: string },
): readonly RankPolicy[] | undefined {
  const { ranks, routers = {} } = announce ?? {};
  const own = (key: string) => (Object.hasOwn(routers, key) ? routers[key] : undefined);
  return own(name) ?? (group === undefined ? undefined : own(group)) ?? ranks;
}
