// The thread of watchdog.ts. Waits on nothing but time, so that a busy main loop cannot hold it.
import { workerData } from "node:worker_threads";
import type { WatchdogData } from "./watchdog.ts";

const { shared, silenceMaxMs } = workerData as WatchdogData;
const cells = new Int32Array(shared);
const never = new Int32Array(new SharedArrayBuffer(4));
const LOOK_MS = 100;

let beats = Atomics.load(cells, 0);
let silentLooks = 0;
for (;;) {
  Atomics.wait(never, 0, 0, LOOK_MS);
  const now = Atomics.load(cells, 0);
  // Counted in looks, not by the clock: a machine that slept has both threads silent.
  silentLooks = now === beats ? silentLooks + 1 : 0;
  beats = now;
  const pid = Atomics.load(cells, 1);
  if (pid === 0 || silentLooks * LOOK_MS < silenceMaxMs) continue;
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone.
  }
  Atomics.compareExchange(cells, 1, pid, 0);
}
