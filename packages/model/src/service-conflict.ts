// Which services cannot stand beside each other: two of one protocol that claim the same port of the same
// VIP.
import type { Address } from "./address.ts";
import type { Protocol, Service, ServiceId } from "./service.ts";

/** What a service claims. */
export type Claim = Pick<Service, "id" | "protocol" | "vips" | "port">;

export interface ServiceConflict {
  readonly vip: Address;
  readonly port: number;
  readonly protocol: Protocol;
  /** Who has it. */
  readonly service: ServiceId;
}

/**
 * The first VIP of `service`, in its order, whose port another service of its protocol has; one of its own id
 * is itself.
 */
export function conflictOf(service: Claim, others: Iterable<Claim>): ServiceConflict | undefined {
  return conflictsOf(service, others)[0];
}

/** All of them, each VIP once. */
export function conflictsOf(service: Claim, others: Iterable<Claim>): readonly ServiceConflict[] {
  const { id, protocol, vips, port } = service;
  const holders = new Map<Address, ServiceId>();
  for (const other of others) {
    if (other.id === id || other.protocol !== protocol || other.port !== port) continue;
    for (const vip of other.vips) if (vips.includes(vip) && !holders.has(vip)) holders.set(vip, other.id);
  }
  return vips.flatMap((vip) => {
    const holder = holders.get(vip);
    return holder === undefined ? [] : [{ vip, port, protocol, service: holder }];
  });
}
