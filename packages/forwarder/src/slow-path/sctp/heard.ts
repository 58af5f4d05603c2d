// last[j]: the client address last heard on a VIP. Soft state of the member that hears it; the others learn
// of changes, at a bounded rate.
import type { Address, Heard, SessionRecord } from "@holdfast/model";
import { currentGeneration } from "@holdfast/model";
import type { Core } from "../../core.ts";
import { heardOn, type LocalPaths } from "../../path-mapping/flows.ts";
import { type LocalSession, withEntry, withLearned } from "../../sessions/local-session.ts";

/** What to join when an address was heard on a VIP; undefined when the record says so already. */
export function heardDelta(
  core: Core,
  record: SessionRecord,
  vip: number,
  address: Address,
): ReadonlyMap<number, Heard> | undefined {
  const known = record.heard.get(vip);
  if (known?.address === address) return undefined;
  // Hybrid stamp: later than anything seen, and not far from the wall clock, so that members' stamps compare.
  const stamp = Math.max((known?.stamp ?? 0) + 1, Math.floor(core.clock.wallMs()));
  return new Map([[vip, { address, stamp, member: core.memberNumber }]]);
}

/**
 * A tag-valid packet of the client arrived on a VIP: flows follow, the table hears of it when that is news.
 */
export function noteHeard(
  core: Core,
  local: LocalSession,
  record: SessionRecord,
  vip: number,
  address: Address,
): undefined {
  const nowMs = core.clock.nowMs();
  local.lastSeenMs = nowMs;
  const changes: { -readonly [K in keyof LocalPaths]?: LocalPaths[K] } = {};
  if (heardOn(record, local.paths, vip) !== address)
    changes.heard = withEntry(local.paths.heard, vip, address);
  if (currentGeneration(record)?.pairing[vip] !== address) {
    const learned = withLearned(local.paths.learnedClients, vip, address, core.limits.learnedFlowCountMax);
    if (learned !== undefined) {
      core.counters.count("flows-learned");
      changes.learnedClients = learned;
    }
  } else if (local.paths.fallback?.[vip] !== undefined) {
    // The paired address speaks again: back to it.
    changes.fallback = withEntry(local.paths.fallback, vip, undefined);
  }
  if (local.silence !== undefined) local.silence[vip] = undefined;
  if (Object.keys(changes).length > 0) core.sessions.update(local, record, changes);
  // The flow's learning is spent by the packet that was punted; what it taught may have been known already.
  else core.sessions.reinstall(local, record);
  if (changes.heard !== undefined) replicateHeard(core, local, record, vip, nowMs);
}

/** At most once a period and VIP; what comes in between waits for the housekeeping. */
function replicateHeard(
  core: Core,
  local: LocalSession,
  record: SessionRecord,
  vip: number,
  nowMs: number,
): undefined {
  local.heardAtMs ??= [];
  const last = local.heardAtMs[vip];
  if (last !== undefined && nowMs - last < core.limits.heardPeriodMs) {
    local.heardDirty = true;
    return;
  }
  const address = local.paths.heard?.[vip];
  if (address === undefined) return;
  local.heardAtMs[vip] = nowMs;
  const heard = heardDelta(core, record, vip, address);
  if (heard !== undefined) core.table.apply({ id: record.id, heard });
}

/** Housekeeping: hands over what waited. */
export function flushHeard(core: Core, local: LocalSession, record: SessionRecord, nowMs: number): undefined {
  if (!local.heardDirty) return;
  local.heardDirty = false;
  local.paths.heard?.forEach((address, vip) => {
    if (address !== undefined && record.heard.get(vip)?.address !== address) {
      replicateHeard(core, local, record, vip, nowMs);
    }
  });
}

/** The table has news of a VIP: a local observation that it has overtaken is forgotten. */
export function settleHeard(
  local: LocalSession,
  previous: SessionRecord | undefined,
  record: SessionRecord,
): boolean {
  const heard = local.paths.heard;
  if (heard === undefined || previous?.heard === record.heard) return false;
  let next = heard as (Address | undefined)[];
  record.heard.forEach((value, vip) => {
    if (next[vip] !== undefined && previous?.heard.get(vip) !== value) next = withEntry(next, vip, undefined);
  });
  if (next === heard) return false;
  local.paths = { ...local.paths, heard: next.some((address) => address !== undefined) ? next : undefined };
  return true;
}
