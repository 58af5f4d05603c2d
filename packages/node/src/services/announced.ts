// What services say of their VIPs' routes. Several services may have one VIP: the first by id that speaks of
// routes counts.
import type { Address, Service, ServiceAnnounce } from "@holdfast/model";

/** By VIP; those that no service speaks of are not in it. */
export function announcesOf(services: readonly Service[]): ReadonlyMap<Address, ServiceAnnounce> {
  const said = new Map<Address, ServiceAnnounce>();
  for (const { vips, announce } of [...services].sort((a, b) => (a.id < b.id ? -1 : 1)))
    if (announce !== undefined) for (const vip of vips) if (!said.has(vip)) said.set(vip, announce);
  return said;
}

/** Text that changes with whatever services say of routes, and of what is announced beside their VIPs. */
export function announceKeyOf(services: readonly Service[]): string {
  return services
    .filter(({ announce, sourceAddresses }) => announce !== undefined || sourceAddresses !== undefined)
    .map(
      ({ id, vips, announce, sourceAddresses = [] }) =>
        `${id} ${vips.join()} ${JSON.stringify(announce)} ${sourceAddresses.join()}`,
    )
    .sort()
    .join("\n");
}
