// What prepares a host is `ip` and `nft`, as kube-proxy and CNIs use them, and the kernel's settings below
// /proc/sys. A port, so that tests describe a host.
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { HoldfastError } from "@holdfast/model";

/** A program that does not end is ended: nothing that is asked of it takes longer. */
const LIMIT_MS = 10_000;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

export interface HostTools {
  /** Runs `ip`; throws HOST_IP_FAILED. */
  ip(args: readonly string[], input?: string): Promise<string>;
  /** Runs `nft`; throws HOST_NFT_FAILED. */
  nft(args: readonly string[], input?: string): Promise<string>;
  /** A setting of the kernel in this network namespace; undefined: there is none of that name. */
  setting(name: string): string | undefined;
  /** false: it cannot be written. */
  set(name: string, value: string): boolean;
}

export const hostTools: HostTools = {
  async ip(args, input) {
    return run(
      "ip",
      args,
      input,
      (reason, cause) => new HoldfastError("HOST_IP_FAILED", { reason }, { cause }),
    );
  },
  async nft(args, input) {
    return run(
      "nft",
      args,
      input,
      (reason, cause) => new HoldfastError("HOST_NFT_FAILED", { reason }, { cause }),
    );
  },
  setting(name) {
    try {
      return readFileSync(`/proc/sys/${name}`, "utf8").trim();
    } catch {
      return undefined;
    }
  },
  set(name, value) {
    try {
      writeFileSync(`/proc/sys/${name}`, value);
      return true;
    } catch {
      return false;
    }
  },
};

function run(
  program: string,
  args: readonly string[],
  input: string | undefined,
  failed: (reason: string, cause: unknown) => HoldfastError,
): Promise<string> {
  return new Promise((resolve, reject) => {
    // What they say of a failure is read.
    const env = { ...process.env, LC_ALL: "C" };
    const options = { timeout: LIMIT_MS, maxBuffer: OUTPUT_BYTES_MAX, encoding: "utf8", env } as const;
    const child = execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const [said] = stderr.trim().split("\n");
      reject(failed(said === undefined || said === "" ? error.message : said, error));
    });
    // A program that is not there, or ends before it has read everything, is told by the callback.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input ?? "");
  });
}
