// VIPs as the API shows them.
import type { VipView } from "@holdfast/api";
import type { Address } from "@holdfast/model";
import { textOf } from "../services/clash-report.ts";
import type { ApiSources } from "./sources.ts";

export function vipViews(sources: ApiSources): VipView[] {
  const services = servicesByVip(sources);
  const announcements = sources.announcements();
  return sources.ownerships().map((ownership) => {
    const pin = sources.orders.pinOf(ownership.vip);
    return {
      vip: ownership.vip,
      services: services.get(ownership.vip) ?? [],
      ...(ownership.owner !== undefined && { owner: ownership.owner }),
      ...(pin !== undefined && { pin }),
      candidates: [...ownership.candidates],
      reasons: [...ownership.reasons],
      announcements: announcements.get(ownership.vip) ?? [],
      ...clashOf(sources, ownership.vip),
    };
  });
}

function servicesByVip({ registry }: ApiSources): ReadonlyMap<string, string[]> {
  const ids = new Map<string, string[]>();
  for (const { id, vips } of registry.list())
    for (const vip of vips) {
      const others = ids.get(vip);
      if (others === undefined) ids.set(vip, [id]);
      else others.push(id);
    }
  return ids;
}

function clashOf(sources: ApiSources, vip: Address): Pick<VipView, "clash"> {
  const clash = sources.clashes().clashes.get(vip);
  if (clash === undefined) return {};
  const { holder, servedHere, problem } = clash;
  const { member, interface: name } = holder;
  return { clash: { code: problem.code, member, interface: name, servedHere, message: textOf(clash) } };
}
