// Objects of compiled programs: opened, and loaded into the kernel.
import { HoldfastError } from "@holdfast/model";
import { libbpf, withLibbpfLog } from "../../kernel/libbpf.ts";
import { ERRNO, errno, errnoName, type Pointer } from "../../kernel/libc.ts";
import { withoutSignals } from "../../kernel/signals.ts";

/** The verifier gives up, and asks for another try, when a signal comes or memory is short for a moment. */
const LOAD_ATTEMPT_COUNT_MAX = 5;

type LoadResult =
  | { readonly object: Pointer }
  | { readonly error: number; readonly lines: readonly string[] };

/** Throws BPF_LOAD_FAILED. */
export function openObject(file: string): Pointer {
  const { result: object, lines } = withLibbpfLog(() => libbpf().objectOpen(file, null));
  if (object === null || object === 0n)
    throw new HoldfastError("BPF_LOAD_FAILED", { reason: lines.join("; ") || errnoName(errno()) });
  return object;
}

/** `open` gives what is to be loaded, for each try anew. Throws BPF_NOT_PERMITTED, BPF_LOAD_FAILED. */
export function loadObject(open: () => Pointer): Pointer {
  const loaded = retried(() => loadOnce(open()));
  if ("object" in loaded) return loaded.object;
  const { error, lines } = loaded;
  const name = errnoName(error);
  if (name === "EPERM" && !lines.some((line) => line.includes("processed"))) {
    throw new HoldfastError("BPF_NOT_PERMITTED", { reason: name });
  }
  throw new HoldfastError("BPF_LOAD_FAILED", { reason: `${name}: ${lines.slice(-12).join("; ")}` });
}

/** Tries again while the kernel says EAGAIN or EINTR, `LOAD_ATTEMPT_COUNT_MAX` times at most. */
export function retried<T extends { readonly object: unknown } | { readonly error: number }>(
  attempt: () => T,
): T {
  for (let left = LOAD_ATTEMPT_COUNT_MAX; ; left--) {
    const result = attempt();
    if (!("error" in result) || left <= 1) return result;
    const error = Math.abs(result.error);
    if (error !== ERRNO["EAGAIN"] && error !== ERRNO["EINTR"]) return result;
  }
}

function loadOnce(object: Pointer): LoadResult {
  const bpf = libbpf();
  // A profiler signals its threads every millisecond, and verifying takes longer.
  const { result, lines } = withoutSignals(() => withLibbpfLog(() => bpf.objectLoad(object)));
  if (result === 0) return { object };
  bpf.objectClose(object);
  return { error: result, lines };
}
