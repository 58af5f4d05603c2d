// Ends the speaker when this process's main loop is silent: a daemon that hangs or is stopped must not go on announcing.
// The kernel sees to the speaker when the process dies (process.ts); this sees to it when the process does nothing.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Logger } from "@holdfast/model";

/** As for readiness: the main loop may be silent for so long. */
export const SILENCE_MAX_MS = 2_000;
const LOOK_MS = 200;

/**
 * Reads the process to end, 0 for none, one line each time that the main loop goes round; says which it
 * ended. End of file: the daemon is gone. A process of its own, since SIGSTOP stops all threads of the daemon;
 * a shell, since it costs 3 MB. Looks are counted, not time: a machine that slept has both silent. A look may
 * end in the middle of a line, whose rest is another process's number then: what was read of it is kept.
 */
const SCRIPT = `
trap '' INT TERM HUP
silent=0
guarded=0
begun=
while :; do
  if IFS= read -r -t "$1" line; then
    guarded=$begun$line
    begun=
    silent=0
  elif [ $? -le 128 ]; then
    exit 0
  elif begun=$begun$line; silent=$((silent + 1)); [ "$silent" -ge "$2" ] && [ "$guarded" -gt 0 ]; then
    kill -KILL "$guarded" 2>/dev/null && echo "$guarded"
    guarded=0
  fi
done`;

export class Watchdog {
  readonly #logger: Logger;
  #child: ChildProcess | undefined;
  #pid = 0;
  #closed = false;
  #missing = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** The main loop lives. At least twice as often as `SILENCE_MAX_MS`. */
  pulse(): void {
    if (this.#closed || this.#missing) return;
    this.#child ??= this.#spawn();
    this.#child.stdin?.write(`${this.#pid}\n`);
  }

  /** The process to end; undefined: none. */
  guard(pid: number | undefined): void {
    this.#pid = pid ?? 0;
    this.pulse();
  }

  close(): void {
    this.#closed = true;
    this.#child?.stdin?.end();
  }

  #spawn(): ChildProcess {
    const words = [
      "-c",
      SCRIPT,
      "holdfast-watchdog",
      String(LOOK_MS / 1_000),
      String(SILENCE_MAX_MS / LOOK_MS),
    ];
    const child = spawn("bash", words, { stdio: ["pipe", "pipe", "ignore"] });
    child.unref();
    // It may die while it is written to.
    child.stdin?.on("error", () => {});
    child.once("error", (error: NodeJS.ErrnoException) => {
      // What a machine cannot do for the moment is tried again at the next pulse.
      if (this.#child === child) this.#child = undefined;
      this.#missing = error.code === "ENOENT";
      if (this.#missing)
        this.#logger.error({ err: error }, "a daemon that hangs would go on announcing: there is no bash");
    });
    child.once("exit", () => {
      if (this.#child === child) this.#child = undefined;
    });
    createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on("line", () =>
      this.#logger.error(
        { silentMs: SILENCE_MAX_MS },
        "this process stood still: its speaker was ended, so that routers go on with other members",
      ),
    );
    return child;
  }
}
