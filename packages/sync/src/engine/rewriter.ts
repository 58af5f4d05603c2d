// Writing sessions again: those of the own segments that are about to retire, those of incarnations that are
// gone, those of which another member wrongly believes that they ended. Jobs run one after the other; the
// view is asked for a few records at a time.
import type { Entry } from "../journal/payload.ts";
import type { ToEngine, ToView } from "../ports/link.ts";
import { readBatch } from "./batch.ts";
import type { IdTable } from "./id-table.ts";

export interface RewriteJob {
  readonly name: string;
  /** Indices; may repeat. */
  readonly ids: readonly number[];
  /** Asked just before a session is exported. */
  readonly needed: (index: number) => boolean;
  readonly done: () => void;
}

interface Running extends RewriteJob {
  /** An index is used again after its session was forgotten. */
  readonly lives: readonly number[];
  next: number;
}

export class Rewriter {
  readonly #ids: IdTable;
  readonly #countMax: number;
  readonly #post: (message: ToView) => void;
  readonly #write: (entries: readonly Entry[]) => void;
  readonly #sequence: () => number;
  readonly #queue: Running[] = [];
  #request = 0;
  #waiting = false;
  #written = 0;

  constructor(ports: {
    readonly ids: IdTable;
    readonly exportCountMax: number;
    readonly post: (message: ToView) => void;
    readonly write: (entries: readonly Entry[]) => void;
    readonly sequence: () => number;
  }) {
    this.#ids = ports.ids;
    this.#countMax = ports.exportCountMax;
    this.#post = ports.post;
    this.#write = ports.write;
    this.#sequence = ports.sequence;
  }

  get written(): number {
    return this.#written;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  has(name: string): boolean {
    return this.#queue.some((job) => job.name === name);
  }

  add(job: RewriteJob): void {
    this.#queue.push({ ...job, lives: job.ids.map((index) => this.#ids.life(index)), next: 0 });
    if (!this.#waiting) this.#step();
  }

  /** The own incarnation changed: what ran was for the old one. */
  clear(): void {
    this.#queue.length = 0;
    this.#waiting = false;
    this.#request++;
  }

  exported(message: Extract<ToEngine, { kind: "exported" }>): void {
    if (!this.#waiting || message.request !== this.#request) return;
    this.#waiting = false;
    const entries = [...readBatch(message.deltas)].map((bytes): Entry => ({ kind: "delta", bytes }));
    this.#written += entries.length;
    if (entries.length > 0) this.#write(entries);
    this.#step();
  }

  #step(): void {
    for (let job = this.#queue[0]; job !== undefined && !this.#waiting; job = this.#queue[0]) {
      const chosen = new Set<number>();
      while (job.next < job.ids.length && chosen.size < this.#countMax) {
        const index = job.ids[job.next] as number;
        if (this.#ids.life(index) === job.lives[job.next] && !chosen.has(index) && job.needed(index))
          chosen.add(index);
        job.next++;
      }
      if (chosen.size === 0) {
        this.#queue.shift();
        job.done();
        continue;
      }
      const ids = new Uint8Array(chosen.size * 16);
      let at = 0;
      for (const index of chosen) {
        this.#ids.write(index, ids, at);
        at += 16;
      }
      this.#waiting = true;
      this.#request++;
      this.#post({ kind: "export", request: this.#request, sequence: this.#sequence(), ids });
    }
  }
}
