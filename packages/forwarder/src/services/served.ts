// What the fast path is told of VIPs: where each is served, and who has it.
import type { Address } from "@holdfast/model";
import type { LocalAddress, ServedPort } from "../fast-path/port.ts";
import { type ServiceRegistry, servedPort } from "./registry.ts";

/** What this member must do for one VIP (`VipDuty`), with the successor as the fast path needs it. */
export interface VipPlacement {
  readonly vip: Address;
  readonly owned: boolean;
  /** There is no member that could own it but this one. */
  readonly lone?: boolean;
  readonly successor?: { readonly interfaceIndex: number; readonly mac: Uint8Array };
}

/** Every VIP of the registries' services but those of `unserved`. */
export function localAddresses(
  registries: readonly ServiceRegistry[],
  unserved: ReadonlySet<Address>,
  placements: readonly VipPlacement[],
): LocalAddress[] {
  const ports = new Map<Address, ServedPort[]>();
  for (const registry of registries)
    for (const entry of registry.entries)
      for (const vip of entry.service.vips) {
        if (unserved.has(vip)) continue;
        const list = ports.get(vip);
        if (list === undefined) ports.set(vip, [servedPort(entry, vip)]);
        else list.push(servedPort(entry, vip));
      }
  // Further addresses that endpoints are talked to from: nothing is served there, answers come.
  for (const registry of registries)
    for (const { service } of registry.entries)
      for (const source of service.sourceAddresses ?? [])
        if (!unserved.has(source) && !ports.has(source)) ports.set(source, []);
  const byVip = new Map(placements.map((placement) => [placement.vip, placement]));
  return [...ports].map(([address, served]) => {
    const { owned = false, lone = false, successor } = byVip.get(address) ?? {};
    return {
      address,
      owned,
      ...(lone && { lone }),
      ports: served,
      ...(successor !== undefined && { successor }),
    };
  });
}
