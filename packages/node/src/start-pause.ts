// A daemon that cannot start is started again without end, and waits longer before each try: nobody has to
// come and start it when the cause is gone, and it does not use up a processor until then. The service
// manager's own growth (systemd 254) grows with every restart since the last start by hand, also with those
// of months ago; this one forgets when a start held.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Starts that failed one after the other before there is a pause: a crash costs no time. */
const FREE_COUNT = 3;
const PAUSE_MS = 1_000;
export const START_PAUSE_MAX_MS = 30_000;
/** A daemon that ran so long has started. */
export const START_HELD_MS = 60_000;
/** Starts further apart have nothing to do with each other. */
const FORGET_MS = 600_000;
const FAILED_COUNT_MAX = 1_000;

export class StartPause {
  readonly #file: string | undefined;
  readonly failedCount: number;

  /**
   * `directory`: the service manager's (RUNTIME_DIRECTORY), kept over restarts; without it there is no pause.
   */
  constructor(directory: string | undefined, wallMs: number) {
    this.#file = directory === undefined ? undefined : join(directory, "starts");
    this.failedCount = this.#read(wallMs);
    // Counted as failed until it held: a process that is killed writes nothing.
    this.#write(Math.min(this.failedCount + 1, FAILED_COUNT_MAX), wallMs);
  }

  /** How long to wait before this start. */
  get pauseMs(): number {
    const beyond = this.failedCount - FREE_COUNT;
    return beyond < 0 ? 0 : Math.min(PAUSE_MS * 2 ** Math.min(beyond, 16), START_PAUSE_MAX_MS);
  }

  /** The start held, or the daemon was told to stop. */
  forget(): void {
    if (this.#file === undefined) return;
    try {
      rmSync(this.#file, { force: true });
    } catch {
      // A directory that cannot be written holds no count either.
    }
  }

  #read(wallMs: number): number {
    if (this.#file === undefined) return 0;
    try {
      const [count, atMs] = readFileSync(this.#file, "utf8").split(" ").map(Number);
      if (!Number.isSafeInteger(count) || atMs === undefined) return 0;
      return Math.abs(wallMs - atMs) < FORGET_MS ? Math.max(0, count as number) : 0;
    } catch {
      return 0;
    }
  }

  #write(count: number, wallMs: number): void {
    if (this.#file === undefined) return;
    try {
      writeFileSync(this.#file, `${count} ${wallMs}`, { mode: 0o600 });
    } catch {
      // Then there is no pause.
    }
  }
}
