// What this member keeps about a session beside the replicated record: its handle, what it has heard itself,
// times.
import type { Address, SessionId } from "@holdfast/model";
import type { LocalPaths } from "../path-mapping/flows.ts";
import type { SentProbes } from "../path-mapping/probes.ts";
import type { ServiceEntry } from "../services/registry.ts";

/**
 * From what, beside the record, the installed flows were made, so that they can be told from the wanted ones.
 * The record is the table's, or what a change replaced: kept here it would be most of a member's memory.
 */
export interface Installed {
  readonly entry: ServiceEntry;
  readonly paths: LocalPaths;
}

export interface LocalSession {
  readonly id: SessionId;
  readonly handle: number;
  /** Replaced as a whole when anything in it changes. */
  paths: LocalPaths;
  installed: Installed | undefined;
  /** Own clock, ms: when traffic of the association was last seen here, any path, any direction. */
  lastSeenMs: number;
  /** When the record's activity last changed, or the session was first seen. */
  activityAtMs: number;
  /** When the endpoint last spoke with the tag in force, seen by the slow path or a sweep. */
  endpointHeardMs: number;
  /** When the commit in force was first known here. */
  committedMs: number;
  /** Since when the phase is one of shutting down. */
  shutdownMs: number | undefined;
  /** Since when an end is in force. */
  endedMs: number | undefined;
  /** When a generation became pending; 0 when none is. */
  pendingMs: number;
  /** Initiate tag of the endpoint's own latest INIT (RFC 9260 §5.2); 0: none was seen here. */
  endpointInitTag: number;
  /**
   * Generation (the client's tag) and VIPs (bit by index) of which this member knows that the endpoint spoke
   * there.
   */
  spokenTag: number;
  spokenVips: number;
  /** By VIP: when a last-heard address was handed to replication, and whether a newer one waits. */
  heardAtMs: number[] | undefined;
  heardDirty: boolean;
  /** By VIP: traffic since the client was last heard there (path-mapping/fallback.ts). */
  silence: (PathSilence | undefined)[] | undefined;
  /** HEARTBEATs to addresses that never proved themselves (path-mapping/probes.ts). */
  probes: SentProbes | undefined;
}

export interface PathSilence {
  /** Packets sent down on the VIP when the client was last heard there, as the flow's counter said. */
  packets: number;
  sinceMs: number;
}

const NO_PATHS: Omit<LocalPaths, "handle"> = {
  heard: undefined,
  learnedClients: undefined,
  learnedEndpoints: undefined,
  fallback: undefined,
  endpointsDown: undefined,
  pending: false,
};

export function newLocalSession(id: SessionId, handle: number, nowMs: number): LocalSession {
  return {
    id,
    handle,
    paths: { handle, ...NO_PATHS },
    installed: undefined,
    lastSeenMs: nowMs,
    activityAtMs: nowMs,
    endpointHeardMs: nowMs,
    committedMs: nowMs,
    shutdownMs: undefined,
    endedMs: undefined,
    pendingMs: 0,
    endpointInitTag: 0,
    spokenTag: 0,
    spokenVips: 0,
    heardAtMs: undefined,
    heardDirty: false,
    silence: undefined,
    probes: undefined,
  };
}

/** A copy of a by-VIP list with one entry changed. */
export function withEntry<T>(
  list: readonly (T | undefined)[] | undefined,
  index: number,
  value: T | undefined,
): (T | undefined)[] {
  const copy = list === undefined ? [] : [...list];
  while (copy.length <= index) copy.push(undefined);
  copy[index] = value;
  return copy;
}

/**
 * A copy of by-VIP address lists with one address more, or undefined when it is there already or there is no
 * room.
 */
export function withLearned(
  lists: readonly (readonly Address[] | undefined)[] | undefined,
  vip: number,
  address: Address,
  countMax: number,
): (readonly Address[] | undefined)[] | undefined {
  const list = lists?.[vip] ?? [];
  if (list.includes(address) || list.length >= countMax) return undefined;
  return withEntry(lists, vip, [...list, address]);
}
