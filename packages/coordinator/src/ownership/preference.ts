// The list of every VIP: who should own it, who comes next, … It depends on the configuration alone, never on
// who is alive. So a death moves only what the dead member owned, and its return moves only that back: the
// owner is the first of the list that can.
//
// Owners: rendezvous hashing (highest hash of VIP and member wins), within bounds: siblings on different
// members and zones first, then an even load. Successors: not a sibling's owner, and every member inherits
// about as much as any other. The rest follows by hash.
import type { Address, MemberName } from "@holdfast/model";
import type { PlacedMember, PlacedVip } from "./placement.ts";

export type Preferences = ReadonlyMap<Address, readonly MemberName[]>;

export function preferencesOf(members: readonly PlacedMember[], vips: readonly PlacedVip[]): Preferences {
  const lists = new Map<Address, PlacedMember[]>(vips.map(({ vip }) => [vip, []]));
  const feasible = (vip: PlacedVip) =>
    members.filter(
      (member) =>
        (vip.network === undefined || member.networks.includes(vip.network)) &&
        vip.endpointsNetworks.every((network) => member.networks.includes(network)),
    );
  placeOwners(members, vips, lists, feasible);
  placeSuccessors(vips, lists, feasible);
  return new Map([...lists].map(([vip, list]) => [vip, list.map(({ name }) => name)]));
}

type Feasible = (vip: PlacedVip) => PlacedMember[];
type Lists = Map<Address, PlacedMember[]>;

function placeOwners(
  members: readonly PlacedMember[],
  vips: readonly PlacedVip[],
  lists: Lists,
  feasible: Feasible,
): void {
  const floor = Math.floor(vips.length / Math.max(1, members.length));
  /** So many members may have one more than the others. */
  const extraMax = vips.length - floor * members.length;
  const load = new Map<PlacedMember, number>(members.map((member) => [member, 0]));
  let extras = 0;
  const place = (vip: PlacedVip, member: PlacedMember) => {
    const before = load.get(member) ?? 0;
    load.set(member, before + 1);
    if (before === floor) extras++;
    lists.get(vip.vip)?.push(member);
  };
  const pinnedTo = (vip: PlacedVip) => feasible(vip).find((member) => member.name === vip.pin);
  for (const vip of vips) {
    const member = pinnedTo(vip);
    if (member !== undefined) place(vip, member);
  }
  for (const vip of vips) {
    if (pinnedTo(vip) !== undefined) continue;
    const owners = siblingsAt(vip, lists, 0);
    const best = pickBest(feasible(vip), (member) => {
      const loaded = load.get(member) ?? 0;
      const full = loaded > floor || (loaded === floor && extras >= extraMax);
      return [
        owners.includes(member) ? 1 : 0,
        sharesZone(member, owners) ? 1 : 0,
        full ? 1 + loaded : 0,
        -hashOf(vip.vip, member.name),
      ];
    });
    if (best !== undefined) place(vip, best);
  }
  level(
    vips.filter((vip) => pinnedTo(vip) === undefined),
    lists,
    load,
    feasible,
  );
}

/**
 * Siblings that had to go apart may have made the load uneven: moves VIPs from the fullest member to an
 * emptier one, where no sibling or zone is against it, until no two differ by two.
 */
function level(
  vips: readonly PlacedVip[],
  lists: Lists,
  load: Map<PlacedMember, number>,
  feasible: Feasible,
): void {
  // Each move takes one VIP from where it is two more than elsewhere, so there are fewer moves than VIPs.
  for (let moves = 0; moves < vips.length; moves++) {
    const byLoad = [...load].sort(([a, x], [b, y]) => y - x || (a.name < b.name ? -1 : 1));
    const move = byLoad.flatMap(([from, most]) =>
      [...byLoad]
        .reverse()
        .filter(([, least]) => most - least >= 2)
        .map(([to]) => ({ from, to })),
    );
    const moved = move.some(({ from, to }) => {
      const vip = pickBest(
        vips.filter((candidate) => {
          if (lists.get(candidate.vip)?.[0] !== from || !feasible(candidate).includes(to)) return false;
          const owners = siblingsAt(candidate, lists, 0);
          return !owners.includes(to) && !sharesZone(to, owners);
        }),
        (candidate) => [-hashOf(candidate.vip, to.name)],
      );
      if (vip === undefined) return false;
      lists.set(vip.vip, [to]);
      load.set(from, (load.get(from) ?? 0) - 1);
      load.set(to, (load.get(to) ?? 0) + 1);
      return true;
    });
    if (!moved) return;
  }
}

function placeSuccessors(vips: readonly PlacedVip[], lists: Lists, feasible: Feasible): void {
  const inherited = new Map<string, number>();
  for (const vip of vips) {
    const list = lists.get(vip.vip);
    const owner = list?.[0];
    if (list === undefined || owner === undefined) continue;
    const owners = siblingsAt(vip, lists, 0);
    const successors = siblingsAt(vip, lists, 1);
    const pair = (member: PlacedMember) => `${owner.name}\n${member.name}`;
    const rest = feasible(vip).filter((member) => member !== owner);
    const first = pickBest(rest, (member) => [
      owners.includes(member) ? 1 : 0,
      sharesZone(member, owners) ? 1 : 0,
      sharesZone(member, [owner]) ? 1 : 0,
      inherited.get(pair(member)) ?? 0,
      inherited.get(member.name) ?? 0,
      -hashOf(vip.vip, member.name),
    ]);
    if (first === undefined) continue;
    for (const key of [pair(first), first.name]) inherited.set(key, (inherited.get(key) ?? 0) + 1);
    list.push(first);
    const cost = (member: PlacedMember) => [
      owners.includes(member) ? 1 : 0,
      successors.includes(member) ? 1 : 0,
      -hashOf(vip.vip, member.name),
    ];
    const others = rest
      .filter((member) => member !== first)
      .map((member) => ({ member, cost: cost(member) }));
    others.sort((a, b) => compare(a.cost, b.cost));
    list.push(...others.map(({ member }) => member));
  }
}

/** Who stands at `position` in the lists of the siblings, as far as those are made. */
function siblingsAt(vip: PlacedVip, lists: Lists, position: number): PlacedMember[] {
  return vip.siblings.flatMap((sibling) => lists.get(sibling)?.[position] ?? []);
}

function sharesZone(member: PlacedMember, others: readonly PlacedMember[]): boolean {
  return member.zone !== undefined && others.some((other) => other.zone === member.zone);
}

function pickBest<T>(items: readonly T[], costOf: (item: T) => number[]): T | undefined {
  let best: { item: T; cost: number[] } | undefined;
  for (const item of items) {
    const cost = costOf(item);
    if (best === undefined || compare(cost, best.cost) < 0) best = { item, cost };
  }
  return best?.item;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** 32 bits, the same at every member: FNV-1a over both names, mixed by murmur3's finalizer. */
export function hashOf(vip: Address, member: MemberName): number {
  let hash = 0x811c9dc5;
  for (const text of [vip, "\n", member]) {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
