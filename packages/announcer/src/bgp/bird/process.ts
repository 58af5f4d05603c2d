// BIRD as a child whose life is tied to ours: it is told to die with the process that started it, whatever ends that.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Logger } from "@holdfast/model";

/** What BGP and BFD need: port 179, raw sockets, binding to interfaces. */
const CAPABILITIES = "+net_admin,+net_bind_service,+net_raw";
const REALTIME_PRIORITY = "10";

export interface BirdPaths {
  readonly program: string;
  readonly configuration: string;
  readonly socket: string;
  readonly pid: string;
}

/** Looked up once: every change of a route hands a file over. */
let knownUser: { readonly uid: number; readonly gid: number } | undefined | "unknown" = "unknown";

/** Debian's package makes this user; without it BIRD runs as we do. */
function birdUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (knownUser === "unknown") knownUser = lookUpBirdUser();
  return knownUser;
}

function lookUpBirdUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const fields = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((line) => line.startsWith("bird:"))
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

/** Lets BIRD's user, and nobody else, read and write here: a file may hold passwords. */
export function handOver(path: string, mode: number): void {
  chmodSync(path, mode);
  const user = birdUser();
  if (user !== undefined) chownSync(path, user.uid, user.gid);
}

/**
 * Not with BIRD's own -u: the kernel clears the parent-death signal when a process changes its user. setpriv changes the
 * user first. The signal follows the thread that forks, so this must be called on the main thread.
 */
export function spawnBird(paths: BirdPaths, realtime: boolean, logger: Logger): ChildProcess {
  const user = birdUser();
  const words = [
    ...(realtime ? ["chrt", "-f", REALTIME_PRIORITY] : []),
    "setpriv",
    ...(user === undefined
      ? []
      : [
          ...["--reuid", String(user.uid), "--regid", String(user.gid), "--clear-groups"],
          ...["--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES],
        ]),
    ...["--pdeathsig", "KILL", "--no-new-privs"],
    ...[paths.program, "-f", "-c", paths.configuration, "-s", paths.socket, "-P", paths.pid],
  ];
  const child = spawn(words[0] as string, words.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    if (stream !== null) createInterface({ input: stream }).on("line", (line) => relay(line, logger));
  return child;
}

/** "2026-11-29 13:49:46.136 <INFO> Started" */
function relay(line: string, logger: Logger): void {
  const match = /^(?:\S+ \S+ )?<(\w+)> (.*)$/.exec(line);
  const text = match?.[2] ?? line;
  // BIRD calls its own orderly end fatal.
  if (text === "Shutdown completed") logger.info({ speaker: "bird" }, text);
  else if (match?.[1] === "WARN" || match?.[1] === "RMT") logger.warn({ speaker: "bird" }, text);
  else if (match === null || ["ERR", "FATAL", "BUG", "AUTH"].includes(match[1] ?? ""))
    logger.error({ speaker: "bird" }, text);
  else logger.debug({ speaker: "bird" }, text);
}
