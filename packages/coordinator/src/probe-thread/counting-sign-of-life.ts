// For tests: counts beats and closings in shared memory, in place of a map of the data plane.
import type { SignOfLife } from "./messages.ts";

export function open(data: unknown): SignOfLife {
  const counters = data as Int32Array;
  return {
    beat: () => void Atomics.add(counters, 0, 1),
    close: () => void Atomics.add(counters, 1, 1),
  };
}
