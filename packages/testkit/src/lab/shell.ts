// Running programs: the lab's only way to touch the machine.
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Where the lab's daemons keep compiled modules: three that start at once want both processors. */
const COMPILED = fileURLToPath(new URL("../../../../.cache/compiled", import.meta.url));

/** Runs a program and returns its stdout. Throws with its stderr when it fails. */
export function runSync(command: string, args: readonly string[], input?: string): string {
  try {
    return execFileSync(command, args, {
      encoding: "utf8",
      input,
      stdio: ["pipe", "pipe", "pipe"],
      maxBuffer: 64 * 1024 * 1024,
    });
  } catch (error) {
    const { stderr, status } = error as { stderr?: string; status?: number };
    throw new Error(`${command} ${args.join(" ")} failed with ${status}: ${stderr ?? error}`, {
      cause: error,
    });
  }
}

/** `ip -batch`: one process for many commands. Lines of one namespace; "" is the machine's own. */
export function ipBatch(namespace: string, lines: readonly string[]): void {
  if (lines.length === 0) return;
  const where = namespace === "" ? [] : ["-n", namespace];
  runSync("ip", [...where, "-batch", "-"], `${lines.join("\n")}\n`);
}

/** The words that run a program inside a network namespace and leave every other namespace (bpffs!) alone. */
export function insideNamespace(
  namespace: string,
  command: string,
  args: readonly string[],
): [string, string[]] {
  return ["nsenter", [`--net=/run/netns/${namespace}`, "--", command, ...args]];
}

export function spawnInside(
  namespace: string,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const [program, words] = insideNamespace(namespace, command, args);
  return spawn(program, words, { env: { NODE_COMPILE_CACHE: COMPILED, ...process.env }, ...options });
}

export function runInside(
  namespace: string,
  command: string,
  args: readonly string[],
  input?: string,
): string {
  const [program, words] = insideNamespace(namespace, command, args);
  return runSync(program, words, input);
}
