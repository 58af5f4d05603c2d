// Ends the speaker when this process's main loop is silent: a daemon that hangs must not go on announcing. The kernel
// sees to the speaker when the process dies (process.ts); this sees to it when the process lives and does nothing.
import { Worker } from "node:worker_threads";

/** As for readiness: the main loop may be silent for so long. */
export const SILENCE_MAX_MS = 2_000;

export interface WatchdogData {
  /** [beats of the main loop, process id of the speaker or 0] */
  readonly shared: SharedArrayBuffer;
  readonly silenceMaxMs: number;
}

const BEATS = 0;
const PID = 1;

export class Watchdog {
  readonly #shared = new SharedArrayBuffer(8);
  readonly #cells = new Int32Array(this.#shared);
  readonly #worker: Worker;

  constructor(silenceMaxMs = SILENCE_MAX_MS) {
    const data: WatchdogData = { shared: this.#shared, silenceMaxMs };
    this.#worker = new Worker(new URL("./watchdog-thread.ts", import.meta.url), {
      workerData: data,
      name: "speaker-watchdog",
    });
    this.#worker.unref();
  }

  /** The main loop lives. At least twice as often as `SILENCE_MAX_MS`. */
  pulse(): void {
    Atomics.add(this.#cells, BEATS, 1);
  }

  /** The process to end; undefined: none. */
  guard(pid: number | undefined): void {
    this.pulse();
    Atomics.store(this.#cells, PID, pid ?? 0);
  }

  async close(): Promise<void> {
    this.guard(undefined);
    await this.#worker.terminate();
  }
}
