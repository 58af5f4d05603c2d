// Records name VIPs by their place in the service. When a living service gets other VIPs, what this member
// knows of the paths moves with them; other members learn the addresses last heard from it.
import type { Address, SessionRecord } from "@holdfast/model";
import type { ServiceEntry } from "../services/registry.ts";
import type { LocalSession } from "../sessions/local-session.ts";
import { heardOn } from "./flows.ts";

/** Before the session's flows are refreshed; nothing, when the VIPs are where they were. */
export function moveVips(local: LocalSession, record: SessionRecord, entry: ServiceEntry | undefined): void {
  const before = local.installed?.entry;
  if (before === undefined || entry === undefined || before === entry) return;
  const { vips } = entry.service;
  if (sameList(before.service.vips, vips)) return;
  const from = vips.map((vip) => before.vipIndex.get(vip));
  const { paths } = local;
  local.paths = {
    ...paths,
    heard: from.map((index) => (index === undefined ? undefined : heardOn(record, paths, index))),
    learnedClients: from.map((index) => (index === undefined ? undefined : paths.learnedClients?.[index])),
    fallback: undefined,
  };
  local.silence = undefined;
  local.heardAtMs = undefined;
  local.heardDirty = true;
}

function sameList(a: readonly Address[], b: readonly Address[]): boolean {
  return a.length === b.length && a.every((vip, index) => vip === b[index]);
}
