// An address that was paired with a VIP at INIT and never proven, or that went silent while the client has more
// addresses than there are VIPs: after a while path packets try another one (sctp-rules §2).
import { type Address, currentGeneration, familyOf, type SessionRecord } from "@holdfast/model";
import type { Flow } from "../fast-path/port.ts";
import type { LocalSession } from "../sessions/local-session.ts";
import { withEntry } from "../sessions/local-session.ts";
import type { Core } from "../slow-path/core.ts";
import { heardOn, isVerified } from "./flows.ts";

/** The paired address gets another chance after this many fallback periods. */
const RETRY_PERIODS = 10;

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
  if (local.paths.fallback?.[vip] !== undefined) return;
  const { fallbackMs, fallbackPacketCount } = core.limits;
  if (packets - silence.packets < fallbackPacketCount || nowMs - silence.sinceMs < fallbackMs) return;
  const other = alternative(record, local, vip, flow.newDestination);
  if (other === undefined) return;
  core.counters.count("fallbacks");
  local.silence[vip] = { packets, sinceMs: nowMs };
  core.sessions.update(local, record, { fallback: withEntry(local.paths.fallback, vip, other) });
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

/** Housekeeping: the pairing is tried again. */
export function retryPairing(core: Core, local: LocalSession, record: SessionRecord, nowMs: number): void {
  const { fallback } = local.paths;
  if (fallback === undefined) return;
  for (let vip = 0; vip < fallback.length; vip++) {
    const silence = local.silence?.[vip];
    if (fallback[vip] === undefined) continue;
    if (silence !== undefined && nowMs - silence.sinceMs < RETRY_PERIODS * core.limits.fallbackMs) continue;
    if (local.silence !== undefined) local.silence[vip] = undefined;
    core.sessions.update(local, record, { fallback: withEntry(local.paths.fallback, vip, undefined) });
  }
}

/** Proven pairings of clients with no address to spare fail over natively: the endpoint sees the path die. */
function mayFallBack(record: SessionRecord, vipCount: number, vip: number): boolean {
  const paired = currentGeneration(record)?.pairing[vip];
  return paired !== undefined && (!isVerified(record, paired) || record.clients.size > vipCount);
}

function alternative(
  record: SessionRecord,
  local: LocalSession,
  vip: number,
  present: Address,
): Address | undefined {
  const family = familyOf(present);
  const heard = heardOn(record, local.paths, vip);
  if (heard !== undefined && heard !== present && familyOf(heard) === family) return heard;
  const paired = new Set(currentGeneration(record)?.pairing);
  let other: Address | undefined;
  for (const [address, verified] of record.clients) {
    if (!verified || address === present || familyOf(address) !== family) continue;
    // A reserve address first: the others belong to other VIPs.
    if (!paired.has(address)) return address;
    other ??= address;
  }
  return other;
}
