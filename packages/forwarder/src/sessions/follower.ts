// Follows the session table: whatever it learns, and from whom, the local side of the session, its embryo,
// its ports and those who watch it hear of it in this order.
import {
  currentCandidate,
  natPortsOf,
  placeAt,
  type SessionChange,
  type SessionRecord,
  samePlace,
} from "@holdfast/model";
import type { Adoption } from "../adoption/adoption.ts";
import type { Core } from "../core.ts";
import { releasePort } from "../embryos/ports.ts";
import type { EndpointGuard } from "../endings/endpoint-guard.ts";
import type { Strays } from "../endings/strays.ts";
import type { Housekeeping } from "../housekeeping/housekeeping.ts";
import type { PortKeeper } from "../nat-ports/port-keeper.ts";
import { settleHeard } from "../slow-path/sctp/heard.ts";

interface FollowerParts {
  readonly core: Core;
  readonly portKeeper: PortKeeper;
  readonly adoption: Adoption;
  readonly strays: Strays;
  readonly guard: EndpointGuard;
  readonly housekeeping: Housekeeping;
  readonly ended: (record: SessionRecord) => void;
}

export class Follower {
  readonly #core: Core;
  readonly #parts: FollowerParts;

  constructor(parts: FollowerParts) {
    this.#core = parts.core;
    this.#parts = parts;
  }

  changed(change: SessionChange): void {
    const { sessions, associations, clock } = this.#core;
    const nowMs = clock.nowMs();
    associations.changed(change.previous, change.record);
    this.#parts.portKeeper.changed(change, nowMs);
    const { previous, record } = change;
    if (record?.commit !== undefined) {
      this.#parts.adoption.claim(record);
      if (previous?.commit !== record.commit) this.#parts.strays.note(record);
      if (previous?.commit?.epoch !== record.commit.epoch) this.#born(record);
    }
    const before = record && sessions.get(record.id);
    const entry = record && (before?.installed?.entry ?? this.#core.registry.get(record.serviceId));
    const settled = before !== undefined && record !== undefined && settleHeard(before, previous, record);
    // Without its service there is nothing to install; `setServices` comes back to it.
    const known =
      record === undefined || this.#core.registry.get(record.serviceId) !== undefined || before !== undefined;
    const local = known ? sessions.changed(change) : undefined;
    if (settled && local !== undefined && record !== undefined) sessions.refresh(local, record);
    if (previous === undefined && record !== undefined && record.commit === undefined) {
      this.#parts.housekeeping.unproven(record, nowMs);
    }
    if (local !== undefined && record !== undefined)
      this.#parts.housekeeping.changed(local, previous, record, nowMs);
    if (this.#parts.guard.isNewEnd(previous, record)) {
      if (change.origin === "remote" && this.#parts.guard.denies(record as SessionRecord)) {
        this.#core.counters.count("endpoint-deaths-denied");
        this.#core.table.apply(
          { id: (record as SessionRecord).id, activity: (record as SessionRecord).activity + 1 },
          { urgent: true },
        );
        return;
      }
      this.#core.counters.count("sessions-ended");
      if (record?.commit === undefined) this.#unanswered(record as SessionRecord);
      this.#parts.guard.ended(record as SessionRecord, entry);
      this.#parts.ended(record as SessionRecord);
    }
  }

  /** The handshake of a generation is done, whoever saw its last packet. */
  #born(record: SessionRecord): void {
    const natPort = currentCandidate(record)?.natPort;
    if (natPort !== undefined) this.#removeEmbryo(record, record.commit?.clientTag ?? 0, natPort);
  }

  /** A handshake that ended before it was done. */
  #unanswered(record: SessionRecord): void {
    for (const generation of record.generations.values()) {
      for (const { natPort } of generation.candidates.values())
        this.#removeEmbryo(record, generation.clientTag, natPort);
    }
  }

  #removeEmbryo(record: SessionRecord, clientTag: number, natPort: number): void {
    const embryo = this.#core.nursery.byAnswer(clientTag, natPort);
    if (embryo === undefined) return;
    this.#core.nursery.remove(embryo);
    // Another member finished the handshake, while the INIT had moved to another endpoint here.
    const place = placeAt(embryo.endpoint, embryo.natPort);
    if (!natPortsOf(record).some((held) => samePlace(held, place))) releasePort(this.#core, embryo);
  }
}
