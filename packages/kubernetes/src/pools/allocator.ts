// Which VIP is whose. What was assigned stays assigned, whatever happens to pools; what cannot be assigned is a problem of that
// one Service. Everything here is in memory: the record is in the Services, and is read before the first new one is given.

import type { KubernetesService } from "../objects.ts";
import { familyOf } from "./address.ts";
import { addressesOf, isAllowed, isCalled, type Pool, poolHas } from "./pool.ts";

export interface AssignedVip {
  readonly vip: string;
  /** Empty: it was demanded, and is in no pool. */
  readonly pool: string;
}

export interface Assignment {
  /** The primary first. */
  readonly vips: readonly AssignedVip[];
  /** `SCTP/38412`. */
  readonly ports: readonly string[];
  readonly sharingKey: string;
  /** Further addresses that endpoints are talked to from, and nobody's VIPs; absent: none. */
  readonly sources?: readonly string[];
}

/** One VIP that a Service wants. */
export type Wish =
  | { readonly kind: "pool"; readonly pool: string }
  | { readonly kind: "default"; readonly family: 4 | 6 | undefined }
  /** The pool with this rank among secondaries. */
  | { readonly kind: "rank"; readonly rank: number; readonly family: 4 | 6 | undefined }
  | { readonly kind: "address"; readonly address: string };

export interface Demand {
  readonly service: KubernetesService;
  readonly wishes: readonly Wish[];
  readonly ports: readonly string[];
  readonly sharingKey: string;
  /** In pools as VIPs are; Services with one first VIP may have the same. Absent: none. */
  readonly sources?: readonly string[];
}

/** Why a Service gets no VIP: an event's reason and text. */
export interface Refusal {
  readonly reason: string;
  readonly message: string;
}

export interface AllocatorOptions {
  /** Addresses outside all pools may be demanded. */
  readonly allowsAnyAddress: boolean;
}

export class Allocator {
  readonly #options: AllocatorOptions;
  readonly #assignments = new Map<string, Assignment>();
  readonly #usersOf = new Map<string, Set<string>>();
  /** By source address. */
  readonly #sourceUsersOf = new Map<string, Set<string>>();
  /** VIPs that somebody else has at the members: a key of ours that wants them no more, or undefined. */
  #foreign: ReadonlyMap<string, string | undefined> = new Map();
  #pools: readonly Pool[] = [];
  /** By pool: all addresses before this one are in use. */
  readonly #hints = new Map<string, bigint>();

  constructor(options: AllocatorOptions) {
    this.#options = options;
  }

  get pools(): readonly Pool[] {
    return this.#pools;
  }

  setPools(pools: readonly Pool[]): void {
    this.#pools = [...pools].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#hints.clear();
  }

  setForeign(vips: ReadonlyMap<string, string | undefined>): void {
    this.#foreign = vips;
    this.#hints.clear();
  }

  assignmentOf(key: string): Assignment | undefined {
    return this.#assignments.get(key);
  }

  /** As a VIP or to talk to endpoints from; what has no assignment yet may have everything. */
  has(key: string, address: string): boolean {
    const assignment = this.#assignments.get(key);
    if (assignment === undefined) return true;
    const { vips, sources = [] } = assignment;
    return vips.some(({ vip }) => vip === address) || sources.includes(address);
  }

  usersOf(vip: string): ReadonlySet<string> {
    return this.#usersOf.get(vip) ?? new Set();
  }

  /** VIPs in use that came from a pool, and source addresses that are in it. */
  usedOf(name: string): readonly string[] {
    const pool = this.#pools.find((each) => each.name === name);
    const used = [...this.#assignments.values()].flatMap(({ vips }) =>
      vips.filter((each) => each.pool === name).map(({ vip }) => vip),
    );
    const sources = [...this.#sourceUsersOf.keys()].filter(
      (source) => pool !== undefined && poolHas(pool, source),
    );
    return [...new Set([...used, ...sources])];
  }

  /** What was written down. Of two that clash the first one keeps it; the other's is left out and the clash returned. */
  reserve(key: string, recorded: Assignment): Refusal | undefined {
    const vips: AssignedVip[] = [];
    let clash: Refusal | undefined;
    for (const each of recorded.vips) {
      const other = this.#portUser(key, each.vip, recorded.ports);
      // kube-loxilb's status does not name the pool.
      const pool =
        each.pool !== "" ? each.pool : (this.#pools.find((one) => poolHas(one, each.vip))?.name ?? "");
      if (other === undefined) vips.push({ vip: each.vip, pool });
      else
        clash ??= {
          reason: "AssignmentClash",
          message: `${each.vip} was written down for this Service and for ${other}, which has it; another one is assigned.`,
        };
    }
    if (vips.length > 0) this.#set(key, { ...recorded, vips });
    return clash;
  }

  release(key: string): boolean {
    const before = this.#assignments.get(key);
    this.#assignments.delete(key);
    for (const { vip } of before?.vips ?? []) forget(this.#usersOf, vip, key);
    for (const source of before?.sources ?? []) forget(this.#sourceUsersOf, source, key);
    if (before !== undefined) this.#hints.clear();
    return before !== undefined;
  }

  /** All wishes or none. What is assigned already and fits a wish stays. */
  assign(key: string, demand: Demand): Assignment | Refusal {
    const before = this.#assignments.get(key);
    const vips: AssignedVip[] = [];
    for (const wish of demand.wishes) {
      const kept = before?.vips.find(
        (each) =>
          !vips.some(({ vip }) => vip === each.vip) &&
          this.#fits(each, wish) &&
          this.#isFree(key, each.vip, demand) === undefined,
      );
      const found = kept ?? this.#find(key, wish, demand, vips);
      if ("reason" in found) return found;
      vips.push(found);
    }
    const { sources = [] } = demand;
    for (const source of sources) {
      const problem = this.#sourceProblem(key, source, demand, vips);
      if (problem !== undefined) return problem;
    }
    const assignment = { vips, ports: demand.ports, sharingKey: demand.sharingKey, sources };
    this.#set(key, assignment);
    return assignment;
  }

  #set(key: string, assignment: Assignment): void {
    this.release(key);
    this.#assignments.set(key, assignment);
    for (const { vip } of assignment.vips) remember(this.#usersOf, vip, key);
    for (const source of assignment.sources ?? []) remember(this.#sourceUsersOf, source, key);
  }

  #fits({ vip, pool }: AssignedVip, wish: Wish): boolean {
    if (wish.kind === "address") return wish.address === vip;
    const from = this.#pools.find(({ name }) => name === pool);
    if (wish.kind === "pool")
      return from === undefined ? wish.pool.toLowerCase() === pool : isCalled(from, wish.pool);
    if (wish.family !== undefined && familyOf(vip) !== wish.family) return false;
    // The default may change; who has a VIP keeps it.
    return wish.kind === "default" || from === undefined || from.spec.secondaryRank === wish.rank;
  }

  #find(key: string, wish: Wish, demand: Demand, taken: readonly AssignedVip[]): AssignedVip | Refusal {
    if (wish.kind === "address") return this.#demanded(key, wish.address, demand, taken);
    const pools = this.#poolsFor(wish);
    if (pools.length === 0) return noPool(wish);
    let refusal: Refusal = { reason: "PoolFull", message: "" };
    for (const pool of pools) {
      if (pool.spec.disabled === true) {
        refusal = { reason: "PoolDisabled", message: `VipPool ${pool.name} is disabled.` };
        continue;
      }
      if (!isAllowed(pool, demand.service)) {
        refusal = {
          reason: "PoolNotAllowed",
          message: `VipPool ${pool.name} is not for this Service: see its 'allowed'.`,
        };
        continue;
      }
      const vip = this.#search(key, pool, demand, taken);
      if (vip !== undefined) return { vip, pool: pool.name };
      refusal = {
        reason: "PoolFull",
        message: `VipPool ${pool.name} has no free address: add a range, or delete a Service that uses it.`,
      };
    }
    return refusal;
  }

  #search(key: string, pool: Pool, demand: Demand, taken: readonly AssignedVip[]): string | undefined {
    // Who shares may have an address that is in use: for it all are looked at.
    const isAlone = demand.sharingKey === "";
    for (const { vip, index } of addressesOf(pool, isAlone ? this.#hints.get(pool.name) : 0n)) {
      if (taken.some((each) => each.vip === vip) || this.#isFree(key, vip, demand) !== undefined) continue;
      if (isAlone && taken.every((each) => each.pool !== pool.name)) this.#hints.set(pool.name, index);
      return vip;
    }
    return undefined;
  }

  #poolsFor(wish: Exclude<Wish, { kind: "address" }>): readonly Pool[] {
    if (wish.kind === "pool") return this.#pools.filter((pool) => isCalled(pool, wish.pool));
    const ofFamily = this.#pools.filter(({ family }) => family === (wish.family ?? family));
    if (wish.kind === "rank") return ofFamily.filter(({ spec }) => spec.secondaryRank === wish.rank);
    const defaults = ofFamily.filter(({ spec }) => spec.default === true);
    if (defaults.length > 0) return defaults;
    return ofFamily.length === 1 ? ofFamily : [];
  }

  #demanded(key: string, vip: string, demand: Demand, taken: readonly AssignedVip[]): AssignedVip | Refusal {
    const pool = this.#poolOf(vip, demand);
    if (pool !== undefined && "reason" in pool) return pool;
    const problem = taken.some((each) => each.vip === vip)
      ? "this Service itself"
      : this.#isFree(key, vip, demand);
    if (problem !== undefined)
      return { reason: "AddressInUse", message: `${vip} is used by ${problem}${SHARING_HINT}` };
    return { vip, pool: pool?.name ?? "" };
  }

  /** Members answer for it, as for a VIP: it has to be in a pool as those are. */
  #sourceProblem(
    key: string,
    source: string,
    demand: Demand,
    vips: readonly AssignedVip[],
  ): Refusal | undefined {
    const pool = this.#poolOf(source, demand);
    if (pool !== undefined && "reason" in pool) return pool;
    const [user] = vips.some(({ vip }) => vip === source)
      ? ["this Service itself"]
      : [...this.usersOf(source)].filter((each) => each !== key);
    const other = [...(this.#sourceUsersOf.get(source) ?? [])].find(
      (each) => each !== key && this.#assignments.get(each)?.vips[0]?.vip !== vips[0]?.vip,
    );
    const isOwn = this.#sourceUsersOf.get(source)?.has(key) === true;
    const by = user ?? other ?? (isOwn ? undefined : this.#foreignUser(key, source));
    return by === undefined
      ? undefined
      : { reason: "AddressInUse", message: `The source address ${source} is used by ${by}.` };
  }

  /** The pool that an address is demanded from; undefined: none, which is allowed here. */
  #poolOf(vip: string, demand: Demand): Pool | Refusal | undefined {
    const pool = this.#pools.find((each) => poolHas(each, vip));
    if (pool === undefined && !this.#options.allowsAnyAddress)
      return {
        reason: "AddressNotInPool",
        message: `${vip} is in no VipPool: add it to one that this Service may use.`,
      };
    if (pool !== undefined && !isAllowed(pool, demand.service))
      return {
        reason: "PoolNotAllowed",
        message: `${vip} is in VipPool ${pool.name}, which is not for this Service.`,
      };
    return pool;
  }

  /** Who has it, when this Service cannot. */
  #isFree(key: string, vip: string, { ports, sharingKey, sources = [] }: Demand): string | undefined {
    if (sources.includes(vip)) return "this Service itself, as a source address";
    const sourceUser = [...(this.#sourceUsersOf.get(vip) ?? [])].find((user) => user !== key);
    if (sourceUser !== undefined) return `${sourceUser}, as a source address`;
    const users = [...this.usersOf(vip)].filter((user) => user !== key);
    if (users.length === 0) return this.#has(key, vip) ? undefined : this.#foreignUser(key, vip);
    const portUser = this.#portUser(key, vip, ports);
    if (portUser !== undefined) return portUser;
    if (this.#has(key, vip)) return undefined;
    const stranger = users.find(
      (user) => sharingKey === "" || this.#assignments.get(user)?.sharingKey !== sharingKey,
    );
    return stranger;
  }

  /** What `key` itself left with associations it may have again. */
  #foreignUser(key: string, vip: string): string | undefined {
    const holder = this.#foreign.get(vip);
    if (!this.#foreign.has(vip) || holder === key) return undefined;
    return holder === undefined
      ? "a service that is not of Kubernetes"
      : `${holder}, which wants it no more and has associations there`;
  }

  #has(key: string, vip: string): boolean {
    return this.#usersOf.get(vip)?.has(key) === true;
  }

  #portUser(key: string, vip: string, ports: readonly string[]): string | undefined {
    return [...this.usersOf(vip)].find(
      (user) =>
        user !== key && this.#assignments.get(user)?.ports.some((port) => ports.includes(port)) === true,
    );
  }
}

function remember(users: Map<string, Set<string>>, address: string, key: string): void {
  users.set(address, (users.get(address) ?? new Set()).add(key));
}

function forget(users: Map<string, Set<string>>, address: string, key: string): void {
  const left = users.get(address);
  left?.delete(key);
  if (left?.size === 0) users.delete(address);
}

const SHARING_HINT = ": Services that share a VIP have one 'holdfast.io/sharing-key' and different ports.";

function noPool(wish: Exclude<Wish, { kind: "address" }>): Refusal {
  if (wish.kind === "pool")
    return {
      reason: "PoolUnknown",
      message: `There is no VipPool ${wish.pool}, or it has an error (see its status).`,
    };
  const family = wish.family === undefined ? "" : ` of IPv${wish.family}`;
  return wish.kind === "rank"
    ? { reason: "PoolUnknown", message: `No VipPool${family} has secondaryRank ${wish.rank}.` }
    : {
        reason: "PoolUnknown",
        message: `No VipPool${family} is the default, and there is not just one: name one with 'holdfast.io/pool'.`,
      };
}
