// One segment of a writer's journal, as its writer or a reader holds it. Two implementations: an Automerge
// document (automerge-segment.ts), and the bare hash chain (memory-segment.ts) for simulation; both pass
// compliance.ts.
import type { Actor } from "../ports/journals.ts";
import type { ChangeRefusal, VerifiedChange } from "./change.ts";

export const EMPTY_HEAD = new Uint8Array(0);

export interface Segment {
  readonly actor: Actor;
  readonly number: number;
  /** Ticks held: 0 … ticks - 1. */
  readonly ticks: number;
  /** Hash of the last change; empty before the first. */
  readonly head: Uint8Array;
  /** Writer only: adds a tick and returns its change. */
  append(payload: Uint8Array): VerifiedChange;
  /** Checks a chunk as the next tick, without applying it. */
  verify(change: Uint8Array): VerifiedChange | ChangeRefusal;
  /** Applies what `verify` returned, as the next tick. */
  apply(change: VerifiedChange): void;
  /** The changes of ticks from … to - 1, byte for byte as they were written. */
  changes(from: number, to: number): Uint8Array[];
  /** Releases the document. The segment must not be used afterwards. */
  free(): void;
}

export interface JournalFactory {
  /** An empty segment, to write or to read. */
  open(actor: Actor, segment: number): Segment;
}
