// What writers say about journals, in the journals: where an own one begins now, and which incarnations of
// another member were written again. It is done once everything that was written before it is here.
import type { Entry, Floor } from "../journal/payload.ts";
import type { Store } from "../ports/store.ts";
import type { Floors } from "./floors.ts";
import type { Incarnations } from "./incarnations.ts";
import type { Peers } from "./peers.ts";
import type { Retirement } from "./retirement.ts";
import { type HeldJournal, isContiguous, type Shelf } from "./shelf.ts";

export interface ControlPorts {
  readonly shelf: Shelf;
  readonly store: Store;
  readonly floors: Floors;
  readonly peers: Peers;
  readonly incarnations: Incarnations;
  readonly retirement: Retirement;
  readonly drop: (journal: HeldJournal, base: number) => void;
}

export class Controls {
  readonly #ports: ControlPorts;

  constructor(ports: ControlPorts) {
    this.#ports = ports;
  }

  /** Notes what the writer says in this segment. */
  note(journal: HeldJournal, segment: number, entry: Exclude<Entry, { kind: "delta" | "unknown" }>): void {
    if (entry.kind === "floor") {
      journal.controls.push({ segment, base: journal.saidBase, floor: entry.floor });
      return;
    }
    if (entry.kind === "header") this.#sealed(journal, segment - 1, entry.previousTicks);
    journal.saidBase = entry.base;
    journal.controls.push({ segment, base: entry.base, floor: undefined });
  }

  /** Does what the writer said, once everything that it wrote before is here. */
  obey(journal: HeldJournal): void {
    const left = [];
    for (const control of journal.controls) {
      const from = Math.max(control.base, journal.base);
      if (!isContiguous(journal, from, control.segment)) {
        left.push(control);
        continue;
      }
      if (control.floor !== undefined) this.#lower(control.floor, journal.member);
      else if (control.base > journal.base) this.#ports.drop(journal, control.base);
    }
    // Of many bases that wait the last one is enough.
    const lastBase = left.findLast((control) => control.floor === undefined);
    journal.controls = left.filter((control) => control.floor !== undefined || control === lastBase);
  }

  obeyAll(): void {
    for (const journal of [...this.#ports.shelf.journals.values()])
      if (journal.controls.length > 0) this.obey(journal);
  }

  /** The header of a segment says how long the one before it is. */
  #sealed(journal: HeldJournal, number: number, ticks: number): void {
    const before = journal.segments.get(number);
    if (before === undefined || ticks === 0) return;
    before.sealedTicks = ticks;
    if (before.segment.ticks === ticks) this.#ports.store.seal(journal.actor, number);
  }

  /** Another member has written again what lived in older incarnations of a member. */
  #lower(floor: Floor, by: number): void {
    const { incarnations, floors, store, retirement } = this.#ports;
    if (incarnations.isLie(floor.counter)) return;
    // While the store is read nothing is dropped: what stands there has to be compared with the others first.
    if (!incarnations.hasBegun) return;
    if (floors.raise(floor.member, floor.counter)) store.put("floors", floors.encode());
    const own = incarnations.own.journal;
    if (floor.member === own.member && floor.counter > own.counter) incarnations.giveWay(floor.counter, by);
    if (!this.#isThere(floor, by)) retirement.lowered(floor);
  }

  /**
   * Who is there looks after its own old incarnations, and so does this member: nobody else's word drops
   * them. A floor that is left out costs room for a while, one that is believed wrongly costs sessions.
   */
  #isThere({ member }: Floor, by: number): boolean {
    const { incarnations, peers } = this.#ports;
    if (member === incarnations.own.journal.member) return true;
    return by !== member && peers.get(member)?.incarnation !== undefined;
  }
}
