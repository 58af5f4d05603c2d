// The probe thread runs before everything that has no real-time priority: it takes a hundredth of a processor,
// and a member whose probes wait for others' work looks dead.
import { setPriority } from "node:os";
import koffi from "koffi";
import { errnoName } from "./datagrams.ts";

const CALLING_THREAD = 0;
const SCHED_FIFO = 1;
/** What the thread begins does not inherit it. */
const SCHED_RESET_ON_FORK = 0x4000_0000;
/** Below a BGP speaker's. */
const PRIORITY = 1;
/** The next best thing: the greatest share of what has none. */
const NICE = -20;

/** Of the calling thread; undefined when it has it, else the system's word (CAP_SYS_NICE is missing). */
export function takeRealtimePriority(): string | undefined {
  const library = koffi.load("libc.so.6");
  const setScheduler = library.func("int sched_setscheduler(int thread, int policy, void *priority)");
  const priority = Buffer.alloc(4);
  priority.writeInt32LE(PRIORITY);
  if (setScheduler(CALLING_THREAD, SCHED_FIFO | SCHED_RESET_ON_FORK, priority) === 0) return undefined;
  const reason = `sched_setscheduler ${errnoName(koffi.errno())}`;
  try {
    setPriority(CALLING_THREAD, NICE);
  } catch {
    // As it was.
  }
  return reason;
}
