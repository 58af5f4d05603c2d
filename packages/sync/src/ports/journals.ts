// Journals as members tell each other of them.

/**
 * The writer of a journal: one incarnation of one member, 32 hexadecimal digits. Bytes 0–1 are the member's number,
 * 2–7 its incarnation counter (greater is later), 8–15 random. A new one for every start: Automerge actors are never
 * used twice.
 */
export type Actor = string;

/** One segment as its holder has it. */
export interface SegmentSummary {
  /** 0, 1, 2, … per actor. */
  readonly segment: number;
  /** Ticks held, 0 … ticks - 1 without a gap. */
  readonly ticks: number;
  /** Hash (32 bytes) of the last change; empty while `ticks` is 0. */
  readonly head: Uint8Array;
  /** The writer will add no tick to it. */
  readonly sealed: boolean;
}

/** A place in a journal: everything of the segments before, and this many ticks of this one. */
export interface JournalPosition {
  readonly segment: number;
  readonly ticks: number;
}

/** What a member holds of one actor's journal. */
export interface JournalSummary {
  readonly actor: Actor;
  /** First segment that still counts; those below are retired. */
  readonly base: number;
  readonly segments: readonly SegmentSummary[];
}

/** Everything a member holds, and whom it hears. */
export interface Summary {
  readonly incarnation: Actor;
  readonly journals: readonly JournalSummary[];
  /** Numbers of the members that the sender is connected with now. */
  readonly connected: readonly number[];
  /** Member number → incarnation counter: incarnations with a smaller counter are retired, nobody takes their changes. */
  readonly floors: readonly (readonly [member: number, counter: number])[];
  /** The sender holds everything it knows of. */
  readonly caughtUp: boolean;
}
