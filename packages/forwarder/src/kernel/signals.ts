// Calls that a signal must not disturb.

import { constants } from "node:os";
import { libc } from "./libc.ts";

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** sigset_t of glibc. */
const SIGNAL_SET_SIZE = 128;
/** What an instruction raises itself: the kernel ends a process that blocks these and then raises one. */
const SYNCHRONOUS_SIGNALS = ["SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV"] as const;

/** Runs `action` with this thread's signals put off, for calls that the kernel gives up when one comes. */
export function withoutSignals<T>(action: () => T): T {
  const set = Buffer.alloc(SIGNAL_SET_SIZE, 0xff);
  for (const name of SYNCHRONOUS_SIGNALS) {
    const bit = constants.signals[name] - 1;
    set[bit >>> 3] = (set[bit >>> 3] as number) & ~(1 << (bit & 7));
  }
  const before = Buffer.alloc(SIGNAL_SET_SIZE);
  libc().signalMask(SIG_BLOCK, set, before);
  try {
    return action();
  } finally {
    libc().signalMask(SIG_SETMASK, before, null);
  }
}
