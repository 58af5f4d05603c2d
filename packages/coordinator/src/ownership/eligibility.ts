// Can this member own a VIP on these networks now? A grade, 0 is best: as long as anybody has a lower grade,
// the higher ones are passed over. No grade: never.
import type { MemberName } from "@holdfast/model";
import { isPresent, type MemberView } from "../view.ts";
import type { PlacedVip } from "./placement.ts";

export const GRADE_FULL = 0;
/** Came back from a wrong verdict a moment ago. */
export const GRADE_SETTLING = 1;
/** The VIP's network is not configured, and the member has lost one of those it might be. */
export const GRADE_DEGRADED = 2;
/** Last resort: better than nobody. */
export const GRADE_DRAINING = 3;

export interface Eligibility {
  /** undefined: cannot own it. */
  readonly grade: number | undefined;
  /** In plain words, when the grade is not 0. */
  readonly reason: string;
}

export interface EligibilityContext {
  readonly members: readonly MemberView[];
  readonly drains: readonly MemberName[];
  readonly clusterNetworks: readonly string[];
}

/**
 * By member's name, for one VIP. Memoized over VIPs of the same networks: a cluster has few of those, and
 * many VIPs.
 */
export function eligibilityOf(
  context: EligibilityContext,
): (vip: PlacedVip) => ReadonlyMap<MemberName, Eligibility> {
  const general = new Map<MemberView, Eligibility>();
  for (const member of context.members) general.set(member, generalEligibility(member, context.drains));
  const heardOn = new Set<string>();
  for (const member of context.members) {
    if (general.get(member)?.grade === undefined) continue;
    for (const { network, carrier, heard } of member.networks) if (carrier && heard) heardOn.add(network);
  }
  const known = new Map<string, ReadonlyMap<MemberName, Eligibility>>();
  const unable = context.members.filter(({ unserved }) => unserved.length > 0);
  return (vip) => {
    const onItsNetworks = eligibleOnNetworks(vip);
    const holders = unable.filter(({ unserved }) => unserved.includes(vip.vip));
    if (holders.length === 0) return onItsNetworks;
    return new Map([...onItsNetworks, ...holders.map(({ name }) => [name, HOLDS_ADDRESS] as const)]);
  };

  function eligibleOnNetworks(vip: PlacedVip): ReadonlyMap<MemberName, Eligibility> {
    const key = [vip.network, ...vip.endpointsNetworks].join();
    let eligible = known.get(key);
    if (eligible === undefined) {
      eligible = new Map(
        [...general].map(([member, grade]) => [
          member.name,
          onNetworks(member, vip, grade, heardOn, context),
        ]),
      );
      known.set(key, eligible);
    }
    return eligible;
  }
}

const HOLDS_ADDRESS: Eligibility = {
  grade: undefined,
  reason: "an interface of it has the address",
};

function generalEligibility(member: MemberView, drains: readonly MemberName[]): Eligibility {
  const never = (reason: string): Eligibility => ({ grade: undefined, reason });
  if (member.phase === "left") return never("it has left");
  if (!isPresent(member)) return never(member.incarnation === 0 ? "it was never heard" : "it is dead");
  if (!member.mainAlive) return never("its main loop does not answer");
  if (!member.ready) return never("it is not ready");
  if (!member.caughtUp) return never("it has not caught up with the sessions");
  if (member.draining || drains.includes(member.name)) return { grade: GRADE_DRAINING, reason: "it drains" };
  if (member.settling) return { grade: GRADE_SETTLING, reason: "it came back a moment ago and settles" };
  return { grade: GRADE_FULL, reason: "" };
}

function onNetworks(
  member: MemberView,
  vip: PlacedVip,
  general: Eligibility,
  heardOn: ReadonlySet<string>,
  context: EligibilityContext,
): Eligibility {
  if (general.grade === undefined) return general;
  /** Why the member cannot serve on this network; undefined: it can. */
  const trouble = (name: string): string | undefined => {
    const network = member.networks.find((candidate) => candidate.network === name);
    if (network === undefined) return `it has no address on network ${name}`;
    if (!network.carrier) return `it has no carrier on network ${name}`;
    // When nobody is heard there, hearing nobody says nothing about this member.
    if (!network.heard && heardOn.has(name)) return `it hears neither member nor router on network ${name}`;
    return undefined;
  };
  const required =
    vip.network === undefined ? vip.endpointsNetworks : [vip.network, ...vip.endpointsNetworks];
  for (const name of required) {
    const reason = trouble(name);
    if (reason !== undefined) return { grade: undefined, reason };
  }
  if (vip.network !== undefined) return general;
  const possible = member.networks.filter(({ network }) => !context.clusterNetworks.includes(network));
  const candidates = possible.length > 0 ? possible : member.networks;
  const troubles = candidates.flatMap(({ network }) => trouble(network) ?? []);
  if (troubles.length === 0) return general;
  if (troubles.length === candidates.length) return { grade: undefined, reason: troubles[0] as string };
  return general.grade > GRADE_DEGRADED ? general : { grade: GRADE_DEGRADED, reason: troubles[0] as string };
}
