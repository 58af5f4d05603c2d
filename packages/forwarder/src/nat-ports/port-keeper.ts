// Keeps the allocator what the table says: ports of living sessions are in use, those of ended ones rest.
import {
  type CandidateIdentity,
  isLiving,
  natPortsOf,
  type SessionChange,
  type SessionRecord,
  type SessionTable,
  samePlace,
} from "@holdfast/model";
import type { NatPorts, ReleaseReason } from "./allocator.ts";
import { holderOf, tagsAt } from "./holder.ts";
import type { Loans } from "./loans.ts";

export class PortKeeper {
  readonly #natPorts: NatPorts;
  readonly #table: SessionTable;
  readonly #loans: Loans;

  constructor(natPorts: NatPorts, table: SessionTable, loans: Loans) {
    this.#natPorts = natPorts;
    this.#table = table;
    this.#loans = loans;
  }

  changed({ previous, record }: SessionChange, nowMs: number): void {
    const was = previous !== undefined && isLiving(previous);
    const is = record !== undefined && isLiving(record);
    const same = previous?.generations === record?.generations && previous?.commit === record?.commit;
    if (was === is && same) return;
    const after = is ? natPortsOf(record) : [];
    for (const port of after) {
      this.#natPorts.reserve(port.endpoint, port.endpointPort, port.natPort);
      if (record !== undefined && this.#loans.isLent(port)) this.#loans.settled(port, tagsAt(record, port));
    }
    if (previous !== undefined)
      this.#release(previous, after, was && is ? "unseen" : releaseReason(previous, record), nowMs);
    // A restart that came too late: its port was allocated for a session that has ended.
    if (record !== undefined && !is) this.#release(record, after, "unseen", nowMs);
  }

  #release(
    record: SessionRecord,
    kept: readonly CandidateIdentity[],
    reason: ReleaseReason,
    nowMs: number,
  ): void {
    for (const port of natPortsOf(record)) {
      if (!this.#natPorts.tracks(port.natPort) || kept.some((other) => samePlace(port, other))) continue;
      if (this.#loans.isLent(port) || this.#isUsedByAnother(port, record)) continue;
      const { endpoint, endpointPort, natPort } = port;
      this.#natPorts.release(endpoint, endpointPort, natPort, reason, nowMs, holderOf(record, natPort));
    }
  }

  #isUsedByAnother(port: CandidateIdentity, record: SessionRecord): boolean {
    return this.#table
      .byNatPort(port.endpoint, port.endpointPort, port.natPort)
      .some((other) => other.id !== record.id && isLiving(other));
  }
}

/** Forgotten without an end: nobody saw what became of it. */
function releaseReason(previous: SessionRecord, record: SessionRecord | undefined): ReleaseReason {
  const end = record?.end;
  if (end === undefined) return "unseen";
  switch (end.cause) {
    case "shutdown":
    case "abortByClient":
    case "abortByEndpoint":
      return "verified";
    case "handshakeTimeout":
      return isEchoed(previous) ? "unseen" : "evicted";
    default:
      return "unseen";
  }
}

function isEchoed(record: SessionRecord): boolean {
  for (const generation of record.generations.values()) {
    for (const candidate of generation.candidates.values()) if (candidate.echoed) return true;
  }
  return record.commit !== undefined;
}
