// Which attributes a VIP goes out with. Every rank differs in MED and path length at least: routers of different
// neighbour AS ignore MED, those of one compare it, and a missing MED is the best one everywhere.
import {
  RANK_COUNT_MAX,
  type RankPolicy,
  type RouteAttributes,
  ranksFor,
  type ServiceAnnounce,
} from "@holdfast/model";
import type { AnnouncedRank } from "../announcer.ts";
import type { BgpConfiguration, RouterConfiguration, SpeakerRoute } from "./configuration.ts";

/** RFC 8326: whoever hears it may prefer any other way. */
const GRACEFUL_SHUTDOWN = "65535:0";
/** The ranks that the default tells apart: owner, first successor, all others. */
const DEFAULT_RANKS = [0, 1, 2] as const;
const LEAVING_MED = 1_000;
const LEAVING_PREPEND = 4;

export function isInternal(router: Pick<RouterConfiguration, "as" | "localAs">): boolean {
  return router.as === router.localAs;
}

function defaultAttributes(router: RouterConfiguration, rank: number): RouteAttributes {
  const { localAs } = router;
  const marks = {
    ...(localAs <= 0xffff && { communities: [`${localAs}:${rank + 1}`] }),
    largeCommunities: [`${localAs}:0:${rank + 1}`],
  };
  return isInternal(router)
    ? { localPref: 300 - 100 * rank, med: 10 * (rank + 1), ...marks }
    : { med: 10 * (rank + 1), prepend: rank, ...marks };
}

/** By rank; the last one holds for all behind it. */
export function policiesOf(
  configuration: Pick<BgpConfiguration, "announce">,
  router: RouterConfiguration,
  service: ServiceAnnounce | undefined,
): readonly RankPolicy[] {
  const configured = [ranksFor(service, router), router.announce, configuration.announce].find(
    (list) => list !== undefined && list.length > 0,
  );
  return configured?.slice(0, RANK_COUNT_MAX) ?? DEFAULT_RANKS.map((rank) => defaultAttributes(router, rank));
}

/** Worse than every rank, and marked as leaving. Where no rank is announced, this is not either. */
function worse(policies: readonly RankPolicy[], router: RouterConfiguration, isLeaving: boolean): RankPolicy {
  const worst = policies.findLast((policy) => policy !== false);
  if (worst === undefined) return false;
  const meds = policies.flatMap((policy) => (policy === false ? [] : [policy.med ?? 0]));
  const prepends = policies.flatMap((policy) => (policy === false ? [] : [policy.prepend ?? 0]));
  return {
    ...worst,
    med: Math.min(Math.max(LEAVING_MED, ...meds.map((med) => med + 1)), 0xffff_ffff),
    ...(isInternal(router)
      ? { localPref: 0 }
      : { prepend: Math.max(LEAVING_PREPEND, ...prepends.map((count) => count + 1)) }),
    communities: [...(worst.communities ?? []), ...(isLeaving ? [GRACEFUL_SHUTDOWN] : [])],
  };
}

/** `isHeldDown`: the session was lost a moment ago. */
export function policyAt(
  policies: readonly RankPolicy[],
  rank: AnnouncedRank,
  router: RouterConfiguration,
  isHeldDown = false,
): RankPolicy {
  if (rank === "leaving") return worse(policies, router, true);
  const policy = policies[Math.min(rank, policies.length - 1)] ?? false;
  return isHeldDown && policy !== false ? worse(policies, router, false) : policy;
}

/** Spread: whoever serves a VIP announces it as its owner does. */
export function toldRank({ rank, announce }: Pick<SpeakerRoute, "rank" | "announce">): AnnouncedRank {
  return announce?.spread === true && rank !== "leaving" ? 0 : rank;
}

export function isHeldDown(
  { heldDown }: Pick<BgpConfiguration, "heldDown">,
  { name }: RouterConfiguration,
): boolean {
  return heldDown?.includes(name) === true;
}

/** What one router is told of one VIP, and why. */
export function decide(
  configuration: Pick<BgpConfiguration, "announce" | "heldDown">,
  router: RouterConfiguration,
  route: SpeakerRoute,
): { readonly attributes: RouteAttributes | undefined; readonly reason: string } {
  const { networks } = router;
  if (networks !== undefined && route.network !== undefined && !networks.includes(route.network))
    return {
      attributes: undefined,
      reason: `not sent: the VIP belongs to network ${route.network}, this router to ${networks.join(", ")}`,
    };
  const v6 = route.vip.includes(":");
  if (!familiesOf(router)[v6 ? "ipv6" : "ipv4"])
    return {
      attributes: undefined,
      reason: v6
        ? "not sent: the session carries IPv4 alone; set ipv6: true for this router"
        : "not sent: the session carries IPv6 alone; set extendedNextHop: true for this router",
    };
  const held = isHeldDown(configuration, router);
  const policy = policyAt(policiesOf(configuration, router, route.announce), toldRank(route), router, held);
  const place =
    route.rank === "leaving"
      ? "this member drains"
      : route.announce?.spread === true
        ? "it is spread over all members"
        : route.rank === 0
          ? "this member owns it"
          : `this member is successor number ${route.rank}`;
  if (policy === false)
    return { attributes: undefined, reason: `not sent: ${place}, and that rank is not announced` };
  const hold = held ? "; the session was lost, and others are preferred until it has lasted" : "";
  return { attributes: policy, reason: `${place}${hold}` };
}

/** Families that a session carries. */
export function familiesOf(router: RouterConfiguration): { readonly ipv4: boolean; readonly ipv6: boolean } {
  const v6Session = router.address === undefined || router.address.includes(":");
  return v6Session ? { ipv4: router.extendedNextHop, ipv6: true } : { ipv4: true, ipv6: router.ipv6 };
}
