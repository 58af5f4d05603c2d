// A speaker as a child whose life is tied to ours: it is told to die with the process that started it, whatever ends that.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** What BGP and BFD need: port 179, raw sockets, binding to interfaces. */
const CAPABILITIES = "+net_admin,+net_bind_service,+net_raw";
const REALTIME_PRIORITY = "10";

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Looked up once: every change of a route hands a file over. */
const known = new Map<string, User | undefined>();

/** undefined: there is none, or we may not become it. */
function userOf(name: string): User | undefined {
  if (!known.has(name)) known.set(name, lookUp(name));
  return known.get(name);
}

function lookUp(name: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const fields = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((line) => line.startsWith(`${name}:`))
    ?.split(":");
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** Real-time priority keeps BFD alive on a busy machine; it needs CAP_SYS_NICE. */
export function mayBeRealtime(): boolean {
  return spawnSync("chrt", ["-f", REALTIME_PRIORITY, "true"]).status === 0;
}

/** BIRD's BFD sends from any port that the kernel gives out. */
export function sourcePortMin(): number | undefined {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
  } catch {
    return undefined;
  }
}

/** Lets the speaker's user, and nobody else, read and write here: a file may hold passwords. */
export function handOver(path: string, mode: number, name: string): void {
  chmodSync(path, mode);
  const user = userOf(name);
  if (user !== undefined) chownSync(path, user.uid, user.gid);
}

export interface SpawnOptions {
  /** It becomes this one where there is such a user; undefined: it stays what we are. */
  readonly user: string | undefined;
  readonly realtime: boolean;
  /** Each line that it writes. */
  readonly onLine: (line: string) => void;
}

/**
 * Not with BIRD's own -u: the kernel clears the parent-death signal when a process changes its user. setpriv changes the
 * user first. The signal follows the thread that forks, so this must be called on the main thread.
 */
export function spawnSpeaker(command: readonly string[], options: SpawnOptions): ChildProcess {
  const user = options.user === undefined ? undefined : userOf(options.user);
  const words = [
    ...(options.realtime ? ["chrt", "-f", REALTIME_PRIORITY] : []),
    "setpriv",
    ...(user === undefined
      ? []
      : [
          ...["--reuid", String(user.uid), "--regid", String(user.gid), "--clear-groups"],
          ...["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES],
        ]),
    ...["--pdeathsig", "KILL", "--no-new-privs"],
    ...command,
  ];
  const child = spawn(words[0] as string, words.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    if (stream !== null) createInterface({ input: stream }).on("line", options.onLine);
  return child;
}
