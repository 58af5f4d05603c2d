// VIPs that are somebody's address. The registry refuses them; but an address may come to an interface later,
// a file may be older than the network, and two members may know different things. Then the host keeps its
// address: the VIP is not served by a member whose interface has it, nor by any that knew of the clash before
// the VIP was in service.
import {
  type Address,
  type AddressHolder,
  type HoldfastError,
  holderProblem,
  type MemberName,
  type Service,
  type ServiceId,
  unservableServices,
} from "@holdfast/model";

export interface VipClash {
  readonly vip: Address;
  readonly holder: AddressHolder;
  /** This member serves it all the same: the address came to another member when the VIP was in service. */
  readonly servedHere: boolean;
  /** VIP_IS_MEMBER_ADDRESS, VIP_IS_GATEWAY or VIP_IS_BROADCAST. */
  readonly problem: HoldfastError;
}

/**
 * The others have said by then what they have: a service that has gone that long without a clash was there
 * before it.
 */
export const SETTLED_AFTER_MS = 10_000;

export interface ClashSources {
  nowMs(): number;
  holderOf(vip: Address): AddressHolder | undefined;
  /** An interface of this member. */
  ownHolderOf(vip: Address): AddressHolder | undefined;
  /** Some other member announces it now. */
  isAnnouncedElsewhere(vip: Address): boolean;
  /** The member announced it, before anybody else did after it: it let go of it when the address came to it. */
  wasAnnouncedBy(vip: Address, member: MemberName): boolean;
}

export interface Judgement {
  /** Those that break the rule by themselves: the same at every member, none of them is served. */
  readonly refused: ReadonlyMap<ServiceId, HoldfastError>;
  readonly clashes: ReadonlyMap<Address, VipClash>;
  /** What this member does not serve, of services that it does. */
  readonly unserved: ReadonlySet<Address>;
}

export class ClashJudge {
  readonly #sources: ClashSources;
  /** Since when a VIP is in service without a clash; one that outlasted a clash since ever. */
  #since = new Map<Address, number>();

  constructor(sources: ClashSources) {
    this.#sources = sources;
  }

  judge(services: readonly Service[]): Judgement {
    const refused = unservableServices(services);
    const clashes = new Map<Address, VipClash>();
    const unserved = new Set<Address>();
    const since = new Map<Address, number>();
    for (const service of services) {
      if (refused.has(service.id)) continue;
      for (const vip of [...service.vips, ...(service.sourceAddresses ?? [])]) {
        if (since.has(vip) || clashes.has(vip)) continue;
        const clash = this.#clashOf(vip);
        if (clash === undefined) {
          since.set(vip, this.#since.get(vip) ?? this.#sources.nowMs());
          continue;
        }
        if (clash.servedHere || this.#isSettled(vip)) since.set(vip, Number.NEGATIVE_INFINITY);
        clashes.set(vip, clash);
        if (!clash.servedHere) unserved.add(vip);
      }
    }
    this.#since = since;
    return { refused, clashes, unserved };
  }

  #isSettled(vip: Address): boolean {
    const since = this.#since.get(vip);
    return since !== undefined && this.#sources.nowMs() - since >= SETTLED_AFTER_MS;
  }

  #clashOf(vip: Address): VipClash | undefined {
    const { holderOf, ownHolderOf, isAnnouncedElsewhere, wasAnnouncedBy } = this.#sources;
    const own = ownHolderOf(vip);
    const holder = own ?? holderOf(vip);
    const problem = holderProblem(vip, holder);
    if (holder === undefined || problem === undefined) return undefined;
    // The owner's word that it serves the VIP no more comes by probes, that it has the address by replication: this
    // member may have taken the VIP over by then, and nobody announces it elsewhere.
    const wasInService =
      this.#isSettled(vip) || isAnnouncedElsewhere(vip) || wasAnnouncedBy(vip, holder.member);
    const servedHere = own === undefined && wasInService;
    return { vip, holder, servedHere, problem };
  }
}
