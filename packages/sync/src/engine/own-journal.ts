// The journal that this incarnation writes: ticks into segments, each segment headed by what a newcomer must
// know.
import type { Clock } from "@holdfast/model";
import type { VerifiedChange } from "../journal/change.ts";
import { type Entry, encodePayload, type Floor } from "../journal/payload.ts";
import type { Actor, JournalPosition } from "../ports/journals.ts";
import { CHANGE_BYTES_MAX } from "../ports/limits.ts";
import type { IdTable } from "./id-table.ts";
import { type ReplicationSettings, SEAL_SHARE } from "./settings.ts";
import type { HeldJournal, HeldSegment, Shelf } from "./shelf.ts";

export function comparePositions(a: JournalPosition, b: JournalPosition): number {
  return a.segment - b.segment || a.ticks - b.ticks;
}

function isOfOneSession(a: Entry | undefined, b: Entry): boolean {
  return a?.kind === "delta" && b.kind === "delta" && Buffer.compare(idOf(a.bytes), idOf(b.bytes)) === 0;
}

function idOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, 16);
}

/**
 * Bytes of deltas after which a tick is closed; room for the header and for one session's more than fits
 * stays.
 */
const TICK_BYTES_AIM = CHANGE_BYTES_MAX / 4;

export interface OwnJournalPorts {
  readonly clock: Clock;
  readonly shelf: Shelf;
  readonly ids: IdTable;
  readonly settings: ReplicationSettings;
  /** Floors that this member has set: every segment repeats them. */
  readonly floors: () => readonly Floor[];
  /** A tick was written and must go to the store and the peers. */
  readonly written: (held: HeldSegment, change: VerifiedChange) => void;
  readonly sealed: (segment: number) => void;
}

export class OwnJournal {
  readonly journal: HeldJournal;
  readonly #ports: OwnJournalPorts;
  #open: HeldSegment | undefined;
  #nextSegment = 0;
  #position: JournalPosition = { segment: 0, ticks: 0 };

  constructor(actor: Actor, ports: OwnJournalPorts) {
    this.journal = ports.shelf.open(actor);
    this.#ports = ports;
  }

  /** The end of what was written. */
  get position(): JournalPosition {
    return this.#position;
  }

  /** Writes entries, as one tick or, when they are many, as several. `full`: its deltas are whole records. */
  write(entries: readonly Entry[], full: boolean): JournalPosition {
    const { segmentDeltaMax } = this.#ports.settings;
    let tick: Entry[] = [];
    let size = 0;
    for (const entry of entries) {
      const entrySize = "bytes" in entry ? entry.bytes.length + 8 : 32;
      const isFull = tick.length >= segmentDeltaMax || size + entrySize > TICK_BYTES_AIM;
      // Several deltas of one session are what is known of it together: no segment may have some without the
      // others.
      if (isFull && !isOfOneSession(tick.at(-1), entry)) {
        this.#writeTick(tick, full);
        tick = [];
        size = 0;
      }
      tick.push(entry);
      size += entrySize;
    }
    if (tick.length > 0) this.#writeTick(tick, full);
    return this.#position;
  }

  /**
   * Segments whose living sessions must be written again now: opened before `beforeMs`. The open one is
   * sealed.
   */
  retirable(beforeMs: number): HeldSegment[] {
    this.#sealOldOpen();
    const due: HeldSegment[] = [];
    for (const held of this.journal.segments.values()) if (held.openedAtMs <= beforeMs) due.push(held);
    if (this.#open !== undefined && due.includes(this.#open)) this.#seal(this.#open);
    return due.sort((a, b) => a.segment.number - b.segment.number);
  }

  #sealOldOpen(): void {
    const { clock, settings } = this.#ports;
    const open = this.#open;
    if (open !== undefined && clock.nowMs() - open.openedAtMs >= settings.memoryMs * SEAL_SHARE)
      this.#seal(open);
  }

  #seal(held: HeldSegment): void {
    held.sealedTicks = held.segment.ticks;
    this.#open = undefined;
    this.#ports.sealed(held.segment.number);
  }

  #writeTick(entries: readonly Entry[], full: boolean): void {
    const { ids, settings } = this.#ports;
    this.#sealOldOpen();
    const { held, head } = this.#openSegment();
    const change = held.segment.append(encodePayload([...head, ...entries]));
    for (const entry of entries) {
      if (entry.kind !== "delta") continue;
      const index = ids.indexOf(entry.bytes);
      ids.mention(index);
      ids.wrote(index, held.segment.number, full);
      held.mentions.push(index);
    }
    held.joined = held.segment.ticks;
    this.#position = { segment: held.segment.number, ticks: held.segment.ticks };
    this.#ports.written(held, change);
    if (held.segment.ticks >= settings.segmentTickMax || held.mentions.length >= settings.segmentDeltaMax) {
      this.#seal(held);
    }
  }

  #openSegment(): { held: HeldSegment; head: Entry[] } {
    if (this.#open !== undefined) return { held: this.#open, head: [] };
    const { clock, shelf, floors } = this.#ports;
    const previous = this.journal.segments.get(this.#nextSegment - 1);
    const held = shelf.segment(this.journal, this.#nextSegment, clock.nowMs());
    if (held === undefined) throw new Error("the own journal has too many segments");
    this.#nextSegment++;
    this.#open = held;
    const head: Entry[] = [
      { kind: "header", previousTicks: previous?.segment.ticks ?? 0, base: this.journal.base },
      ...floors().map((floor): Entry => ({ kind: "floor", floor })),
    ];
    return { held, head };
  }
}
