// What LoxiLB's (GoBGP's) export policies say, as ranks: without conditions, since a rank concerns every VIP.
// What ranks cannot say is refused with a text. Pure.
import type { RankPolicy, RouteAttributes } from "@holdfast/model";
import { type Folded, listOf, numberOf, objectOf, textOf } from "./fold.ts";
import { Refusal } from "./reply.ts";

/** The default's: who owns, who is next, all others. */
const RANK_COUNT = 3;
const MED_STEP = 10;
const LOCAL_PREF_STEP = 100;

/**
 * `definitions`: bodies of /config/bgp/policy/definitions with folded keys, in the order of the application.
 */
export function ranksOfPolicies(
  definitions: readonly Folded[],
  routeAction: string,
  localAs: number,
): readonly RankPolicy[] {
  for (const definition of definitions)
    for (const each of listOf(definition["statements"], "statements")) {
      const statement = objectOf(each, "statement");
      refuseConditions(statement);
      const ranks = ranksOfActions(objectOf(statement["actions"] ?? {}, "actions"), localAs);
      if (ranks !== undefined) return ranks;
    }
  // Nothing decided: what becomes of the rest.
  if (routeAction.startsWith("reject")) return [false];
  return defaults(localAs);
}

function defaults(localAs: number): readonly RouteAttributes[] {
  return Array.from({ length: RANK_COUNT }, (_, rank) => ({
    med: MED_STEP * (rank + 1),
    prepend: rank,
    ...(localAs <= 0xffff && { communities: [`${localAs}:${rank + 1}`] }),
    largeCommunities: [`${localAs}:0:${rank + 1}`],
  }));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.every(isEmpty);
  return typeof value === "object" && Object.values(value).every(isEmpty);
}

function refuseConditions(statement: Folded): void {
  const conditions = objectOf(statement["conditions"] ?? {}, "conditions");
  // "any" of a set that has no name matches all.
  const named = Object.entries(conditions).filter(
    ([, value]) => !isEmpty(typeof value === "object" ? { ...value, matchsetoption: "" } : value),
  );
  if (named.length > 0)
    throw new Refusal(
      `condition ${named[0]?.[0]}: ranks concern every VIP; set announce of the service for one of them`,
    );
}

function ranksOfActions(actions: Folded, localAs: number): readonly RankPolicy[] | undefined {
  const disposition = textOf(actions, "routeDisposition").toLowerCase();
  if (disposition.startsWith("reject")) return [false];
  const bgp = objectOf(actions["bgpactions"] ?? {}, "bgpActions");
  const nextHop = textOf(bgp, "setNextHop").toLowerCase();
  if (nextHop !== "" && nextHop !== "self" && nextHop !== "unchanged")
    throw new Refusal(`setNextHop ${nextHop}: the next hop is always this member's own address`);
  for (const unknown of ["setextcommunity", "setlargecommunity"])
    if (!isEmpty(bgp[unknown])) throw new Refusal(`${unknown}: ranks cannot say it here; see announce`);
  if (isEmpty(bgp) && disposition === "") return undefined;
  const med = medOf(textOf(bgp, "setMed"));
  const preference = numberOf(bgp, "setLocalPerf");
  const prepend = prependOf(objectOf(bgp["setaspathprepend"] ?? {}, "setAsPathPrepend"), localAs);
  const communities = communitiesOf(objectOf(bgp["setcommunity"] ?? {}, "setCommunity"));
  return defaults(localAs).map((rank, index) => ({
    ...rank,
    ...(med !== undefined && { med: med(rank.med as number, index) }),
    ...(preference > 0 && { localPref: Math.max(0, preference - LOCAL_PREF_STEP * index) }),
    prepend: Math.min(16, (rank.prepend as number) + prepend),
    communities: [...(communities.isReplaced ? [] : (rank.communities ?? [])), ...communities.list],
  }));
}

/** "+5" and "-5" change what is, "5" is the owner's. */
function medOf(text: string): ((before: number, rank: number) => number) | undefined {
  if (text === "") return undefined;
  const match = /^([+-]?)(\d{1,10})$/.exec(text);
  if (match === null) throw new Refusal(`setMed ${text} is no number`);
  const value = Number(match[2]);
  const bounded = (med: number) => Math.min(0xffff_ffff, Math.max(0, med));
  if (match[1] === "") return (_, rank) => bounded(value + MED_STEP * rank);
  return (before) => bounded(match[1] === "-" ? before - value : before + value);
}

function prependOf(prepend: Folded, localAs: number): number {
  const as = String(prepend["as"] ?? "");
  const count = numberOf(prepend, "repeatN");
  if (count > 0 && as !== "" && as !== "last-as" && as !== String(localAs))
    throw new Refusal(`setAsPathPrepend ${as}: only this member's own AS, ${localAs}`);
  return count;
}

function communitiesOf(set: Folded): { readonly isReplaced: boolean; readonly list: readonly string[] } {
  const options = textOf(set, "options").toLowerCase();
  const method = objectOf(set["setcommunitymethod"] ?? {}, "setCommunityMethod");
  const list = listOf(method["communitieslist"], "communitiesList").map(String);
  if (options === "remove") throw new Refusal("setCommunity remove: nothing is there to be removed");
  for (const community of list)
    if (!/^\d{1,5}:\d{1,5}$/.test(community)) throw new Refusal(`community ${community} is not like 65001:1`);
  return { isReplaced: options === "replace", list };
}
