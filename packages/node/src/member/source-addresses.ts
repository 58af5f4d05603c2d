// Further addresses that services talk to their endpoints from: whoever has the first VIP of a family has those of
// it, and answers for them, so that what comes back meets the member that knows the flow.
import { type Address, anchorOf, type Service, type VipDuty } from "@holdfast/model";

/** Source addresses by the VIP that they go with. Of two services that disagree the smaller id counts. */
export function sourcesByVip(services: readonly Service[]): ReadonlyMap<Address, readonly Address[]> {
  const byVip = new Map<Address, Address[]>();
  const seen = new Set<Address>(services.flatMap(({ vips }) => vips));
  for (const { vips, sourceAddresses = [] } of [...services].sort((a, b) => (a.id < b.id ? -1 : 1)))
    for (const source of sourceAddresses) {
      const vip = anchorOf(vips, source);
      if (vip === undefined || seen.has(source)) continue;
      seen.add(source);
      byVip.set(vip, [...(byVip.get(vip) ?? []), source]);
    }
  return byVip;
}

/** The duties, and the same again for what goes with their VIPs. */
export function withSources(duties: readonly VipDuty[], services: readonly Service[]): readonly VipDuty[] {
  const sources = sourcesByVip(services);
  if (sources.size === 0) return duties;
  return duties.flatMap((duty) => [duty, ...(sources.get(duty.vip) ?? []).map((vip) => ({ ...duty, vip }))]);
}
