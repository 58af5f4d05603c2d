// Who should own each VIP, from the view and the placement alone: every member with the same view computes
// the same.
import type { Address, MemberName, VipOwnership } from "@holdfast/model";
import { type ClusterView, isPresent, type MemberView } from "../view.ts";
import { type Eligibility, eligibilityOf } from "./eligibility.ts";
import { type PlacedVip, type Placement, placedVips } from "./placement.ts";
import { type Preferences, preferencesOf } from "./preference.ts";

export interface Candidate {
  readonly member: MemberName;
  readonly grade: number;
  /** Place in the VIP's list, 0 first; the same whoever is alive. */
  readonly rank: number;
}

export interface VipAssignment {
  readonly placed: PlacedVip;
  /** Who should own it; undefined: nobody may. */
  readonly owner: MemberName | undefined;
  /** Owner first, then first successor, …: everybody who could. */
  readonly candidates: readonly Candidate[];
}

export interface Assignment {
  readonly vips: ReadonlyMap<Address, VipAssignment>;
  /** Why nobody takes over what it has not, when that is so. */
  readonly refused: string | undefined;
}

/**
 * Computes assignments; keeps the lists for as long as placement and members' configuration stay the same.
 */
export class Ownership {
  private readonly placement: Placement;
  private readonly placed: readonly PlacedVip[];
  private preferences: Preferences | undefined;
  /** Whom the lists were made of. */
  private preferring = "";

  constructor(placement: Placement) {
    this.placement = placement;
    this.placed = placedVips(placement);
  }

  /** The VIPs' lists; made anew when members come or go. */
  lists(view: ClusterView): Preferences {
    const members = view.members.map(({ name, zone, networks }) => ({
      name,
      zone,
      networks: networks.map(({ network }) => network),
    }));
    const preferring = JSON.stringify(members);
    if (this.preferences === undefined || preferring !== this.preferring) {
      this.preferences = preferencesOf(members, this.placed);
      this.preferring = preferring;
    }
    return this.preferences;
  }

  assign(view: ClusterView): Assignment {
    const lists = this.lists(view);
    const members = new Map(view.members.map((member) => [member.name, member]));
    const eligible = eligibilityOf({ ...this.placement, members: view.members });
    const refused = this.refusal(view);
    const owners = new Map<Address, MemberView>();
    const candidatesOf = new Map<Address, Candidate[]>();
    for (const placed of this.placed) {
      const list = lists.get(placed.vip) ?? [];
      const eligibility = eligible(placed);
      const candidates: Candidate[] = [];
      let best = Number.POSITIVE_INFINITY;
      for (let rank = 0; rank < list.length; rank++) {
        const name = list[rank] as MemberName;
        const grade = eligibility.get(name)?.grade;
        if (grade === undefined) continue;
        candidates.push({ member: name, grade, rank });
        if (grade < best) best = grade;
      }
      candidatesOf.set(placed.vip, candidates);
      // Whoever stands first and can, owns: what happens to other members moves nothing of it.
      const first = candidates[0];
      if (first !== undefined && first.rank === 0 && first.grade === best) {
        owners.set(placed.vip, members.get(first.member) as MemberView);
      }
    }
    const vips = new Map<Address, VipAssignment>();
    for (const placed of this.placed) {
      const taken = placed.siblings.flatMap((sibling) => owners.get(sibling) ?? []);
      const ordered = order(candidatesOf.get(placed.vip) ?? [], owners.get(placed.vip), taken, members);
      const owner = ordered[0] === undefined ? undefined : members.get(ordered[0].member);
      if (owner !== undefined) owners.set(placed.vip, owner);
      vips.set(placed.vip, {
        placed,
        owner:
          placed.withdrawn !== undefined
            ? undefined
            : refused === undefined
              ? owner?.name
              : holderOf(placed.vip, ordered, members),
        candidates: ordered,
      });
    }
    return { vips, refused };
  }

  /** The same in plain words, for the API. `announcing`: who claims it now. */
  explain(view: ClusterView, assignment: Assignment): VipOwnership[] {
    const eligible = eligibilityOf({ ...this.placement, members: view.members });
    const lists = this.lists(view);
    return [...assignment.vips.values()].map((vip) => ({
      vip: vip.placed.vip,
      owner: vip.owner,
      candidates: vip.candidates.map(({ member }) => member),
      reasons: reasonsOf(vip, assignment, view, lists.get(vip.placed.vip) ?? [], eligible(vip.placed)),
    }));
  }

  private refusal(view: ClusterView): string | undefined {
    const present = view.members.filter(isPresent).length;
    const { minimumMembers } = this.placement;
    return present >= minimumMembers
      ? undefined
      : `nobody may take it over: ${present} of at least ${minimumMembers} members (minimumMembers) are present`;
  }
}

/**
 * The first that announces it: too few to take it over are no reason to let go of what carries associations.
 */
function holderOf(
  vip: Address,
  candidates: readonly Candidate[],
  members: ReadonlyMap<MemberName, MemberView>,
): MemberName | undefined {
  return candidates.find(
    ({ member }) => members.get(member)?.claims.some((claim) => claim.vip === vip) === true,
  )?.member;
}

/**
 * By grade; then who owns no sibling; then whose zone owns no sibling; then by the list, in which they come.
 * Runs for every VIP and candidate at every change of the view, so it sorts only when there is something to
 * sort.
 */
function order(
  candidates: readonly Candidate[],
  owner: MemberView | undefined,
  taken: readonly MemberView[],
  members: ReadonlyMap<MemberName, MemberView>,
): readonly Candidate[] {
  const takenNames = new Set(taken.map(({ name }) => name));
  const takenZones = new Set(taken.flatMap(({ zone }) => zone ?? []));
  const keys = new Map<Candidate, number>();
  let sorted = true;
  let previous = -1;
  for (const candidate of candidates) {
    let key = candidate.grade * 4;
    if (takenNames.has(candidate.member)) key += 2;
    if (takenZones.size > 0) {
      const zone = members.get(candidate.member)?.zone;
      if (zone !== undefined && takenZones.has(zone)) key += 1;
    }
    if (candidate.member === owner?.name) key = -1;
    if (key < previous) sorted = false;
    previous = key;
    if (key !== 0) keys.set(candidate, key);
  }
  if (sorted) return candidates;
  return [...candidates].sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0) || a.rank - b.rank);
}

function reasonsOf(
  vip: VipAssignment,
  assignment: Assignment,
  view: ClusterView,
  list: readonly MemberName[],
  eligible: ReadonlyMap<MemberName, Eligibility>,
): string[] {
  const { placed } = vip;
  const reasons: string[] = [];
  if (assignment.refused !== undefined) reasons.push(assignment.refused);
  if (placed.withdrawn !== undefined) reasons.push(`nobody may own it: ${placed.withdrawn}`);
  if (placed.pin !== undefined && !list.includes(placed.pin)) {
    reasons.push(
      `the pin to ${placed.pin} has no effect: no member of that name has an address on the VIP's networks`,
    );
  }
  const owner = vip.candidates[0];
  if (owner === undefined) reasons.push("nobody may own it: no member can");
  else if (vip.owner !== undefined && assignment.refused !== undefined)
    reasons.push(`${vip.owner} keeps it: it announced it before`);
  else if (vip.owner !== undefined) {
    const why = eligibleReason(owner, placed, list);
    reasons.push(`${owner.member} owns it: ${why}`);
  }
  vip.candidates.slice(1).forEach((candidate, index) => {
    const reason = eligible.get(candidate.member)?.reason ?? "";
    const place = index === 0 ? "would be next" : `would be number ${index + 2}`;
    const passed = owner !== undefined && candidate.rank < owner.rank;
    const why =
      reason !== ""
        ? `only when nobody better is left, since ${reason}`
        : passed
          ? "it stands earlier in the list, but it or its zone owns another VIP of the service"
          : "";
    reasons.push(`${candidate.member} ${place}${why === "" ? "" : `: ${why}`}`);
  });
  for (const name of list) {
    if (vip.candidates.some((candidate) => candidate.member === name)) continue;
    reasons.push(`${name} is passed over: ${eligible.get(name)?.reason}`);
  }
  for (const { name } of view.members) {
    if (!list.includes(name))
      reasons.push(`${name} is passed over: it has no address on the VIP's or the endpoints' network`);
  }
  return reasons;
}

function eligibleReason(owner: Candidate, placed: PlacedVip, list: readonly MemberName[]): string {
  if (placed.pin === owner.member) return "the operator pinned it there";
  if (owner.rank === 0) return `it stands first in the VIP's list (${list.join(", ")})`;
  return `it is the first in the VIP's list (${list.join(", ")}) that can`;
}
