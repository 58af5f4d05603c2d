// Hangs: an input that never comes back holds the thread that would report it. Another thread watches how far
// the inputs have got, has a copy of the one at hand, and ends the process with a report when nothing moves.
import { writeSync } from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";

/** Far beyond what the slowest input needs on a machine that has other work. */
export const HANG_MS_DEFAULT = 60_000;
/** Of an input; the rest is cut off in the report, and the seed brings it back. */
const INPUT_SIZE_MAX = 65_536;
const NAME_SIZE_MAX = 64;
/** Looks before it is a hang: counted, so that a process that was stopped as a whole does not look hung. */
const LOOK_COUNT = 20;
/** Int32: count of inputs begun, size of the input, size of the target's name. */
const HEAD_WORDS = 3;

interface Shared {
  readonly memory: SharedArrayBuffer;
  readonly hangMs: number;
  readonly label: string;
}

export class Watch {
  readonly #worker: Worker;
  readonly #head: Int32Array;
  readonly #input: Uint8Array;
  readonly #name: Uint8Array;

  /** `label` stands in the report: how to bring the run back. */
  constructor(label: string, hangMs = HANG_MS_DEFAULT) {
    const memory = new SharedArrayBuffer(HEAD_WORDS * 4 + NAME_SIZE_MAX + INPUT_SIZE_MAX);
    [this.#head, this.#name, this.#input] = views(memory);
    const shared: Shared = { memory, hangMs, label };
    this.#worker = new Worker(new URL(import.meta.url), {
      workerData: { holdfastWatch: shared },
      execArgv: [],
    });
  }

  target(name: string): void {
    const bytes = Buffer.from(name).subarray(0, NAME_SIZE_MAX);
    this.#name.set(bytes);
    this.#head[2] = bytes.length;
    this.begin(new Uint8Array(0));
  }

  /** An input is about to run. */
  begin(input: Uint8Array): void {
    const size = Math.min(input.length, INPUT_SIZE_MAX);
    this.#input.set(size === input.length ? input : input.subarray(0, size));
    this.#head[1] = size;
    this.#head[0] = ((this.#head[0] as number) + 1) | 0;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

function views(memory: SharedArrayBuffer): [Int32Array, Uint8Array, Uint8Array] {
  const nameOffset = HEAD_WORDS * 4;
  return [
    new Int32Array(memory, 0, HEAD_WORDS),
    new Uint8Array(memory, nameOffset, NAME_SIZE_MAX),
    new Uint8Array(memory, nameOffset + NAME_SIZE_MAX, INPUT_SIZE_MAX),
  ];
}

function look({ memory, hangMs, label }: Shared): void {
  const [head, name, input] = views(memory);
  let last = 0;
  let looks = 0;
  setInterval(() => {
    const begun = Atomics.load(head, 0);
    looks = begun === last ? looks + 1 : 0;
    last = begun;
    if (looks < LOOK_COUNT) return;
    const target = Buffer.from(name.slice(0, head[2])).toString();
    const hex = Buffer.from(input.slice(0, head[1])).toString("hex");
    writeSync(2, `FOUND (${label}): ${target}: no end after ${hangMs} ms\ninput ${hex}\n`);
    process.kill(process.pid, "SIGKILL");
  }, hangMs / LOOK_COUNT);
}

const shared = (workerData as { holdfastWatch?: Shared } | null)?.holdfastWatch;
if (!isMainThread && shared !== undefined) look(shared);
