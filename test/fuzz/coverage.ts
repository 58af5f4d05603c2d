// Guidance: which blocks of the project's code have run, from V8's own block counters. Asking costs
// milliseconds, so one asks after a batch; a batch that reached new code is worth keeping.
import { Session } from "node:inspector";

const WATCHED = /\/packages\/(sctp|forwarder|sync|model|coordinator|node|api)\/src\//;

interface Result {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly ranges: readonly {
        readonly startOffset: number;
        readonly endOffset: number;
        readonly count: number;
      }[];
    }[];
  }[];
}

export class BlockCoverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();
  #closed = false;

  constructor() {
    this.#session.connect();
    this.#post("Profiler.enable");
    this.#post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Blocks that have run so far. */
  get blockCount(): number {
    return this.#seen.size;
  }

  /** Blocks that ran since the last call and never before. */
  take(): string[] {
    const fresh: string[] = [];
    for (const block of this.ran()) {
      if (this.#seen.has(block)) continue;
      this.#seen.add(block);
      fresh.push(block);
    }
    return fresh;
  }

  /** Blocks that ran since the last call of this or of `take`. */
  *ran(): Generator<string> {
    const { result } = this.#post("Profiler.takePreciseCoverage") as Result;
    for (const { url, functions } of result) {
      if (!WATCHED.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) yield `${url}:${startOffset}:${endOffset}`;
        }
      }
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }

  #post(method: string, parameters?: object): unknown {
    let answer: unknown;
    // In-process sessions answer before post returns.
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}
