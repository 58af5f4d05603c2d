// What survives a restart.
import type { Actor } from "./journals.ts";

export interface StoredSegment {
  readonly actor: Actor;
  readonly segment: number;
  readonly sealed: boolean;
  /** Changes of ticks 0, 1, …; a torn tail is left out by the store. */
  readonly changes: readonly Uint8Array[];
}

export interface StoredState {
  readonly segments: readonly StoredSegment[];
  /** Small named values: "incarnation", "floors", "configuration", … */
  readonly values: ReadonlyMap<string, Uint8Array>;
  /** What was torn or corrupt and left out, in words for the log. */
  readonly damaged: readonly string[];
}

/**
 * What survives a restart. Written behind: calls return at once and are applied in order; a crash may lose the last
 * moments, never tear what is older. Implementations: files; in memory.
 */
export interface Store {
  load(): Promise<StoredState>;
  append(actor: Actor, segment: number, tick: number, change: Uint8Array): void;
  seal(actor: Actor, segment: number): void;
  /** Drops the actor's segments below `base`; all of them when `base` is Infinity. */
  drop(actor: Actor, base: number): void;
  put(name: string, value: Uint8Array): void;
  /**
   * Resolves when everything before is on disk: then to undefined; or when a value was tried and is not, which goes on
   * being tried: then to the reason.
   */
  flush(): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface StoreState {
  /** What keeps the store from being written, in words; undefined: nothing. */
  readonly failure: string | undefined;
  /** Broken files that were put aside, at this start and earlier ones. */
  readonly brokenCount: number;
}
