// What services say of their VIPs' routes. Several services may have one VIP: the first by id that speaks of routes counts.
import type { Address, Service, ServiceAnnounce } from "@holdfast/model";

export function announceOf(services: readonly Service[], vip: Address): ServiceAnnounce | undefined {
  return speakersOf(services, vip)[0]?.announce;
}

/** Services that speak of a VIP's routes, in the order in which they count. */
export function speakersOf(services: readonly Service[], vip: Address): readonly Service[] {
  return services
    .filter(({ vips, announce }) => announce !== undefined && vips.includes(vip))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Text that changes with whatever services say of routes. */
export function announceKeyOf(services: readonly Service[]): string {
  return services
    .filter(({ announce }) => announce !== undefined)
    .map(({ id, vips, announce }) => `${id} ${vips.join()} ${JSON.stringify(announce)}`)
    .sort()
    .join("\n");
}
