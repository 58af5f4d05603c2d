// A proven address that went silent on its VIP while the client has more addresses than there are VIPs: after
// a while path packets try another one (docs/sctp.md §6). What answers stays until the paired address speaks
// again; what does not gives way to the next. Addresses that never proved themselves are the business of
// probes.ts.
import { type Address, currentGeneration, familyOf, type SessionRecord } from "@holdfast/model";
import type { Core } from "../core.ts";
import type { Flow } from "../fast-path/port.ts";
import type { LocalSession } from "../sessions/local-session.ts";
import { withEntry } from "../sessions/local-session.ts";
import { heardOn, isVerified } from "./flows.ts";

/** A sweep saw a down flow's counter. */
export function noteDownPackets(
  core: Core,
  local: LocalSession,
  flow: Flow,
  packets: number,
  nowMs: number,
): void {
  const record = core.table.get(local.id);
  const entry = record && core.registry.get(record.serviceId);
  const vip = entry?.vipIndex.get(flow.key.destination);
  if (record === undefined || vip === undefined || entry === undefined) return;
  if (!mayFallBack(record, entry.service.vips.length, vip)) return;
  local.silence ??= [];
  const silence = local.silence[vip];
  if (silence === undefined) {
    local.silence[vip] = { packets, sinceMs: nowMs };
    return;
  }
  const { fallbackMs, fallbackPacketCount } = core.limits;
  if (packets - silence.packets < fallbackPacketCount || nowMs - silence.sinceMs < fallbackMs) return;
  const next = nextAfter(record, local, vip, flow.newDestination);
  if (next === undefined) return;
  core.counters.count("fallbacks");
  local.silence[vip] = { packets, sinceMs: nowMs };
  const fallback = next === currentGeneration(record)?.pairing[vip] ? undefined : next;
  core.sessions.update(local, record, { fallback: withEntry(local.paths.fallback, vip, fallback) });
}

/** A sweep saw that the client spoke on a VIP: its silence begins anew. */
export function noteUpTraffic(core: Core, local: LocalSession, flow: Flow, lastSeenMs: number): void {
  if (local.silence === undefined) return;
  const record = core.table.get(local.id);
  const vip = record && core.registry.get(record.serviceId)?.vipIndex.get(flow.key.destination);
  if (vip === undefined || record === undefined) return;
  const silence = local.silence[vip];
  if (silence === undefined || lastSeenMs <= silence.sinceMs) return;
  local.silence[vip] = undefined;
  if (
    local.paths.fallback?.[vip] !== undefined &&
    flow.key.source === currentGeneration(record)?.pairing[vip]
  ) {
    core.sessions.update(local, record, { fallback: withEntry(local.paths.fallback, vip, undefined) });
  }
}

/** Clients with no address to spare fail over natively: the endpoint sees the path die. */
function mayFallBack(record: SessionRecord, vipCount: number, vip: number): boolean {
  const paired = currentGeneration(record)?.pairing[vip];
  return paired !== undefined && isVerified(record, paired) && record.clients.size > vipCount;
}

/** The proven address to try after the one in use; undefined: there is no other. */
function nextAfter(
  record: SessionRecord,
  local: LocalSession,
  vip: number,
  present: Address,
): Address | undefined {
  const pairing = currentGeneration(record)?.pairing ?? [];
  const verified = [...record.clients].filter(([, isProven]) => isProven).map(([address]) => address);
  // Reserve addresses before those that belong to other VIPs.
  const reserve = verified.filter((address) => !pairing.includes(address));
  const candidates = [pairing[vip], heardOn(record, local.paths, vip), ...reserve, ...verified];
  const family = familyOf(present);
  const order = [...new Set(candidates)].filter(
    (address) => address !== undefined && familyOf(address) === family && isVerified(record, address),
  );
  const next = order[(order.indexOf(present) + 1) % order.length];
  return next === present ? undefined : next;
}
