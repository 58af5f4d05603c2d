// The hash chain alone, without an Automerge document around it: the same bytes at a fraction of the cost, so
// that a thousand seeds of a whole cluster fit into a test run.
import type { Actor } from "../ports/journals.ts";
import { documentActorOf } from "./actor.ts";
import { type ChangeRefusal, encodeChange, type VerifiedChange, verifyChange } from "./change.ts";
import { EMPTY_HEAD, type JournalFactory, type Segment } from "./segment.ts";

class MemorySegment implements Segment {
  readonly actor: Actor;
  readonly number: number;
  readonly #documentActor: string;
  #changes: Uint8Array[] = [];
  #head: Uint8Array = EMPTY_HEAD;

  constructor(actor: Actor, number: number) {
    this.actor = actor;
    this.number = number;
    this.#documentActor = documentActorOf(actor, number);
  }

  get ticks(): number {
    return this.#changes.length;
  }

  get head(): Uint8Array {
    return this.#head;
  }

  append(payload: Uint8Array): VerifiedChange {
    const change = encodeChange(this.#documentActor, this.ticks, this.#head, payload);
    this.apply(change);
    return change;
  }

  verify(change: Uint8Array): VerifiedChange | ChangeRefusal {
    return verifyChange(change, this.#documentActor, this.ticks, this.#head);
  }

  apply(change: VerifiedChange): void {
    this.#changes.push(change.bytes);
    this.#head = change.hash;
  }

  changes(from: number, to: number): Uint8Array[] {
    return this.#changes.slice(from, to);
  }

  free(): void {
    this.#changes = [];
  }
}

export const memoryJournal: JournalFactory = {
  open: (actor, segment) => new MemorySegment(actor, segment),
};
