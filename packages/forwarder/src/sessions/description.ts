// A session as an operator may see it at this member: every path with its pairing, its flows and their
// counters.
import {
  type Address,
  currentCandidate,
  currentGeneration,
  effectivePhase,
  type Phase,
  type SessionId,
  type SessionRecord,
} from "@holdfast/model";
import type { Core } from "../core.ts";
import type { Flow, FlowCounters } from "../fast-path/port.ts";
import { heardOn, isVerified } from "../path-mapping/flows.ts";

export interface PathDescription {
  readonly vip: Address;
  /** The client address paired with it; undefined before the first commit. */
  readonly paired: Address | undefined;
  readonly verified: boolean;
  /** Where the client was last heard on this VIP. */
  readonly lastHeard: Address | undefined;
  /** Path packets go there instead of to `paired`. */
  readonly fallback: Address | undefined;
  /** Packets and bytes of this member's flows on the VIP. */
  readonly up: FlowTotals;
  readonly down: FlowTotals;
}

export interface FlowTotals {
  readonly packets: number;
  readonly bytes: number;
  /** Milliseconds since the last packet; undefined: none yet. */
  readonly idleMs: number | undefined;
}

export interface SessionDescription {
  readonly record: SessionRecord;
  readonly phase: Phase;
  readonly endpoint: Address | undefined;
  readonly endpointPort: number | undefined;
  readonly natPort: number | undefined;
  readonly clientTag: number | undefined;
  readonly endpointTag: number | undefined;
  readonly restartPending: boolean;
  /**
   * Milliseconds since any traffic of the association at this member; undefined: not in this member's fast
   * path.
   */
  readonly idleMs: number | undefined;
  readonly paths: readonly PathDescription[];
  readonly flows: readonly { readonly flow: Flow; readonly counters: FlowCounters | undefined }[];
}

export function describeSession(core: Core, id: SessionId): SessionDescription | undefined {
  const record = core.table.get(id);
  if (record === undefined) return undefined;
  const local = core.sessions.get(id);
  const entry = core.registry.get(record.serviceId);
  const generation = currentGeneration(record);
  const candidate = currentCandidate(record);
  const flows = (local === undefined ? [] : core.sessions.flows(local)).map((flow) => ({
    flow,
    counters: core.fastPath.counters(flow.key),
  }));
  const fastNowMs = core.fastPath.nowMs();
  const totals = (vip: Address, direction: "up" | "down"): FlowTotals => {
    let packets = 0;
    let bytes = 0;
    let idleMs: number | undefined;
    for (const { flow, counters } of flows) {
      if (flow.key.destination !== vip || flow.direction !== direction || counters === undefined) continue;
      packets += counters.packets;
      bytes += counters.bytes;
      if (counters.packets > 0) idleMs = Math.min(idleMs ?? Infinity, fastNowMs - counters.lastSeenMs);
    }
    return { packets, bytes, idleMs };
  };
  return {
    record,
    phase: effectivePhase(record),
    endpoint: candidate?.endpoint,
    endpointPort: candidate?.endpointPort,
    natPort: candidate?.natPort,
    clientTag: generation?.clientTag,
    endpointTag: candidate?.endpointTag,
    restartPending: local?.paths.pending ?? false,
    idleMs: local === undefined ? undefined : core.clock.nowMs() - local.lastSeenMs,
    paths: (entry?.service.vips ?? []).map((vip, index) => {
      const paired = generation?.pairing[index];
      return {
        vip,
        paired,
        verified: paired !== undefined && isVerified(record, paired),
        lastHeard: heardOn(record, local?.paths, index),
        fallback: local?.paths.fallback?.[index],
        up: totals(vip, "up"),
        down: totals(vip, "down"),
      };
    }),
    flows,
  };
}
