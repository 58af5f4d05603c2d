// What ownership is computed from, beside the view.
import type { Address, MemberName, ServiceId } from "@holdfast/model";

export interface VipPlacement {
  readonly vip: Address;
  /** The network on which the VIP is announced. Left out: on all but the cluster's own. */
  readonly network?: string;
}

export interface ServicePlacement {
  readonly id: ServiceId;
  /** Index 0 is the primary. */
  readonly vips: readonly VipPlacement[];
  /** The network on which the endpoints are reached; its owner needs it as much as the VIP's. */
  readonly endpointsNetwork?: string;
  /** In plain words, why nobody may announce it now ("no endpoint is healthy"). */
  readonly withdrawn?: string;
}

export interface Pin {
  readonly vip: Address;
  readonly member: MemberName;
}

export interface Placement {
  readonly services: readonly ServicePlacement[];
  readonly pins: readonly Pin[];
  /** Members that the operator drains, beside those that say so themselves. */
  readonly drains: readonly MemberName[];
  /**
   * With fewer members present nobody takes over what it does not announce already: a minority begins
   * nothing. 1: never.
   */
  readonly minimumMembers: number;
  /** Networks that never carry VIPs. */
  readonly clusterNetworks: readonly string[];
}

export const EMPTY_PLACEMENT: Placement = {
  services: [],
  pins: [],
  drains: [],
  minimumMembers: 1,
  clusterNetworks: ["cluster"],
};

/** A member as the configuration knows it: all that the lists depend on. */
export interface PlacedMember {
  readonly name: MemberName;
  readonly zone: string | undefined;
  readonly networks: readonly string[];
}

/** One VIP with everything that its placement depends on, over all services that use it. */
export interface PlacedVip {
  readonly vip: Address;
  readonly network: string | undefined;
  readonly endpointsNetworks: readonly string[];
  /** The other VIPs of its services. */
  readonly siblings: readonly Address[];
  readonly pin: MemberName | undefined;
  readonly withdrawn: string | undefined;
}

/** The VIPs in the one order in which all members place them: by service id, then by index. */
export function placedVips(placement: Placement): PlacedVip[] {
  const services = [...placement.services].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const users = new Map<Address, ServicePlacement[]>();
  for (const service of services) {
    for (const { vip } of service.vips) users.set(vip, [...(users.get(vip) ?? []), service]);
  }
  return [...users].map(([vip, services]) => {
    const siblings = new Set(services.flatMap((service) => service.vips.map((placed) => placed.vip)));
    siblings.delete(vip);
    const withdrawn = services.map((service) => service.withdrawn).filter((reason) => reason !== undefined);
    return {
      vip,
      network: services
        .flatMap((service) => service.vips)
        .find((placed) => placed.vip === vip && placed.network !== undefined)?.network,
      endpointsNetworks: [...new Set(services.flatMap(({ endpointsNetwork }) => endpointsNetwork ?? []))],
      siblings: [...siblings],
      pin: placement.pins.find((pin) => pin.vip === vip)?.member,
      // A VIP that serves another service too stays for that one.
      withdrawn: withdrawn.length === services.length ? withdrawn[0] : undefined,
    };
  });
}
