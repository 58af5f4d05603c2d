// What this member does about the assignment: which VIPs it announces. Make before break: who should own a
// VIP announces it as soon as it can; who owned it lets go when it sees the other's claim. A death needs no
// such care. Pure: the tenure so far and a view give the next one.
import type { Address } from "@holdfast/model";
import type { Assignment, Candidate, VipAssignment } from "../ownership/assignment.ts";
import { type ClusterView, isPresent, type MemberView } from "../view.ts";
import type { Claim } from "../wire/message.ts";

/** The grade of a claim that ends as soon as the rightful owner announces. Others never yield to it. */
export const GRADE_HANDING_OVER = 0xff;

export interface Tenure {
  readonly owned: ReadonlySet<Address>;
  /** In the order of the placement. */
  readonly claims: readonly Claim[];
}

export const NO_TENURE: Tenure = { owned: new Set(), claims: [] };

/**
 * `displaced`: this member was presumed dead a moment ago. The others have replaced it, so it lets go of what
 * is not its own any more without waiting for anybody.
 */
export function nextTenure(
  previous: Tenure,
  assignment: Assignment,
  view: ClusterView,
  displaced: boolean,
): Tenure {
  const claimants = claimantsOf(view);
  const owned = new Set<Address>();
  const claims: Claim[] = [];
  for (const [vip, assigned] of assignment.vips) {
    const had = previous.owned.has(vip);
    const others = claimants.get(vip) ?? [];
    const mine = assigned.candidates.find(({ member }) => member === view.self);
    if (!holds(assigned, view, had, others, mine, displaced)) continue;
    owned.add(vip);
    const rightful = assigned.owner === view.self && mine !== undefined;
    claims.push({ vip, grade: rightful ? mine.grade : GRADE_HANDING_OVER, rank: mine?.rank ?? 0xff });
  }
  return same(previous.claims, claims) ? previous : { owned, claims };
}

function holds(
  assigned: VipAssignment,
  view: ClusterView,
  had: boolean,
  others: readonly Claimant[],
  mine: Candidate | undefined,
  displaced: boolean,
): boolean {
  // Frozen a moment ago: nothing is begun until somebody has told what happened meanwhile.
  if (!view.confirmed) return had;
  if (assigned.owner === undefined) return false;
  if (assigned.owner === view.self && mine !== undefined) {
    return !others.some((other) => outranks(other, assigned, mine, view));
  }
  if (!had || displaced) return false;
  return !others.some(({ member }) => member.name === assigned.owner);
}

interface Claimant {
  readonly member: MemberView;
  readonly claim: Claim;
}

function claimantsOf(view: ClusterView): Map<Address, Claimant[]> {
  const claimants = new Map<Address, Claimant[]>();
  for (const member of view.members) {
    if (member.isSelf || !isPresent(member)) continue;
    for (const claim of member.claims) {
      const known = claimants.get(claim.vip);
      if (known === undefined) claimants.set(claim.vip, [{ member, claim }]);
      else known.push({ member, claim });
    }
  }
  return claimants;
}

/**
 * Two that both believe to be the owner (their configurations differ for a moment): the better-ranked claim
 * stays, the other yields; of equals the smaller name.
 */
function outranks(other: Claimant, assigned: VipAssignment, mine: Candidate, view: ClusterView): boolean {
  if (other.claim.grade === GRADE_HANDING_OVER) return false;
  const known = assigned.candidates.find(({ member }) => member === other.member.name);
  // As far as we know it cannot own the VIP, or only as a last resort: it will let go.
  if (known === undefined || known.grade > mine.grade) return false;
  if (other.claim.grade !== mine.grade) return other.claim.grade < mine.grade;
  if (other.claim.rank !== mine.rank) return other.claim.rank < mine.rank;
  return other.member.name < view.self;
}

function same(a: readonly Claim[], b: readonly Claim[]): boolean {
  return (
    a.length === b.length &&
    a.every((claim, index) => {
      const other = b[index];
      return claim.vip === other?.vip && claim.grade === other.grade && claim.rank === other.rank;
    })
  );
}
