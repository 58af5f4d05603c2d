// Taking in what others wrote: live ticks, segments that were fetched, segments from the store. Every change
// is verified, only then applied, kept, and handed on to the view.
import type { Clock, Logger } from "@holdfast/model";
import { memberOf } from "../journal/actor.ts";
import { decodePayload, type Entry } from "../journal/payload.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { Store, StoredSegment } from "../ports/store.ts";
import type { Controls } from "./controls.ts";
import type { Deliveries } from "./deliveries.ts";
import type { IdTable } from "./id-table.ts";
import type { Incarnations } from "./incarnations.ts";
import type { Loose } from "./loose.ts";
import type { Peer, Peers } from "./peers.ts";
import type { Receipts } from "./receipts.ts";
import type { ReplicationSettings } from "./settings.ts";
import type { HeldJournal, HeldSegment, Shelf } from "./shelf.ts";
import type { Totals } from "./totals.ts";

export interface IntakePorts {
  readonly settings: ReplicationSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly shelf: Shelf;
  readonly ids: IdTable;
  readonly loose: Loose;
  readonly peers: Peers;
  readonly deliveries: Deliveries;
  readonly receipts: Receipts;
  readonly incarnations: Incarnations;
  readonly controls: Controls;
  readonly totals: Totals;
  /** The peer broke the rules. */
  readonly refuse: (peer: Peer, reason: string) => void;
}

export class Intake {
  readonly #ports: IntakePorts;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
  }

  /** One live change. */
  tick(peer: Peer, message: Extract<PeerMessage, { kind: "tick" }>): void {
    const { settings, clock, shelf, peers, deliveries, incarnations, totals, refuse } = this.#ports;
    const { actor, segment, tick, change } = message;
    // A live tick is its writer's: nobody speaks for another.
    if (memberOf(actor) !== peer.identity.number) {
      refuse(peer, "tick-of-another-member");
      return;
    }
    if (incarnations.isRetired(actor)) return;
    const journal = shelf.journal(actor);
    const held = journal && shelf.segment(journal, segment, clock.nowMs());
    if (journal === undefined || held === undefined || tick < held.segment.ticks) return;
    if (tick > held.segment.ticks) {
      totals.count("gaps");
      peers.want(peer, actor, segment, tick + 1);
      return;
    }
    if (deliveries.waiting >= settings.deliveryCountMax) {
      // The view does not keep up: what waits stays with its writer, and is fetched when there is room.
      totals.count("putOff");
      peers.want(peer, actor, segment, tick + 1);
      return;
    }
    this.#take(peer, journal, held, change, true);
  }

  /** A part of a segment, as it was asked for. */
  fetched(peer: Peer, message: Extract<PeerMessage, { kind: "segment" }>): void {
    const { store, shelf, peers, incarnations, controls, totals } = this.#ports;
    const { actor, segment, fromTick, changes, sealed } = message;
    if (incarnations.isRetired(actor) || incarnations.isOwn(actor)) return;
    const journal = shelf.journals.get(actor);
    const held = journal?.segments.get(segment);
    if (held === undefined || journal === undefined) return;
    const asked = held.fetching?.peer === peer.identity.number;
    if (asked) held.fetching = undefined;
    // While the writer is there, its journal comes from nobody else; a late answer is one that was asked for.
    else if (!peers.provides(peer, journal)) {
      totals.count("unasked");
      return;
    }
    if (fromTick > held.segment.ticks) return;
    for (const change of changes.slice(held.segment.ticks - fromTick)) {
      if (!this.#take(peer, journal, held, change, false)) return;
    }
    totals.count("fetchedChanges", changes.length);
    if (changes.length === 0) peers.unwant(peer, actor, segment);
    if (sealed && held.segment.ticks === fromTick + changes.length) {
      held.sealedTicks ??= held.segment.ticks;
      store.seal(actor, segment);
      controls.obey(journal);
    }
    peers.fetch(peer);
  }

  /**
   * A segment from the store: verified like one from a peer; what does not fit is left out with the rest of
   * it.
   */
  stored({ actor, segment, sealed, changes }: StoredSegment): void {
    const { clock, store, shelf, incarnations } = this.#ports;
    if (incarnations.isRetiredInStore(actor)) {
      store.drop(actor, Number.POSITIVE_INFINITY);
      return;
    }
    const journal = shelf.journal(actor);
    if (journal === undefined) return;
    // Segments come in order: the first one stored is the base.
    if (journal.segments.size === 0) journal.base = segment;
    const held = shelf.segment(journal, segment, clock.nowMs());
    if (held === undefined) return;
    for (const change of changes) if (!this.#take(undefined, journal, held, change, false)) return;
    if (sealed && changes.length > 0) held.sealedTicks ??= held.segment.ticks;
  }

  /**
   * Verifies a change, and only then applies it. `peer`: undefined when it comes from the store. false:
   * refused.
   */
  #take(
    peer: Peer | undefined,
    journal: HeldJournal,
    held: HeldSegment,
    change: Uint8Array,
    live: boolean,
  ): boolean {
    const { logger, store, receipts, totals } = this.#ports;
    const verified = held.segment.verify(change);
    if (typeof verified === "string") {
      totals.count(`refused.${verified}`);
      this.#refuse(peer, journal, held, `change ${verified}`);
      return false;
    }
    const entries = decodePayload(verified.payload);
    if (entries === undefined) {
      totals.count("refused.payload");
      this.#refuse(peer, journal, held, "change with a malformed payload");
      return false;
    }
    try {
      held.segment.apply(verified);
    } catch (error) {
      totals.count("refused.unapplicable");
      logger.error({ error, actor: journal.actor }, "a verified change could not be applied");
      this.#refuse(peer, journal, held, "change that cannot be applied");
      return false;
    }
    if (peer !== undefined) {
      store.append(journal.actor, held.segment.number, verified.tick, verified.bytes);
      receipts.held(journal);
    }
    this.#read(journal, held, entries, live);
    return true;
  }

  /** A writer that tells each member something else is no fault of those who hand on what it told them. */
  #refuse(peer: Peer | undefined, journal: HeldJournal, held: HeldSegment, reason: string): void {
    const { peers, refuse } = this.#ports;
    if (peer?.identity.number === journal.member) refuse(peer, reason);
    else if (peer !== undefined) peers.unwant(peer, journal.actor, held.segment.number);
  }

  #read(journal: HeldJournal, held: HeldSegment, entries: readonly Entry[], live: boolean): void {
    const { ids, loose, deliveries, controls, totals } = this.#ports;
    const deltas: Uint8Array[] = [];
    const indices: number[] = [];
    for (const entry of entries) {
      if (entry.kind === "unknown") {
        totals.count("unknownEntries");
        continue;
      }
      if (entry.kind !== "delta") {
        controls.note(journal, held.segment.number, entry);
        continue;
      }
      const index = ids.indexOf(entry.bytes);
      ids.mention(index);
      held.mentions.push(index);
      loose.carried(entry.bytes);
      deltas.push(entry.bytes);
      indices.push(index);
    }
    totals.count("remoteDeltas", deltas.length);
    deliveries.add(journal, held, deltas, indices, live ? "live" : "fetched");
    controls.obey(journal);
  }
}
