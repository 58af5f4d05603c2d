// A member of the lab's cluster: the real daemon, started from its command line on a host.
import type { ChildProcess } from "node:child_process";
import { createWriteStream, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { until } from "../wait.ts";
import { HOLDFAST_PROGRAM } from "./program.ts";

/** Until the last line of a daemon that ended has reached its file. */
const LAST_WORDS_MS = 2_000;

/**
 * What a story threw, with the members' logs. Logs of a CI run are cut: what went wrong stands at either end.
 */
export function withLogs(error: unknown, members: readonly Member[], size = 3_000): Error {
  const { message } = error as Error;
  const logs = members.map((member) => `--- ${member.name}\n${member.log().slice(-size)}`);
  return new Error([message, ...logs, `--- ${message}`].join("\n"), { cause: error });
}

export class Member {
  readonly name: string;
  readonly number: number;
  readonly host: Host;
  readonly socket: string;
  readonly configFile: string;
  readonly logFile: string;
  /** What outlives the daemon. */
  readonly pinDirectory: string;
  readonly storeDirectory: string;
  /** The command's main file; an installed package's may stand here. */
  program = HOLDFAST_PROGRAM;
  /**
   * Stands in place of /etc/hosts for the daemons that are launched from now on; may be written meanwhile.
   */
  hostsFile: string | undefined;
  #child: ChildProcess | undefined;
  #exit: Promise<number | null> = Promise.resolve(null);
  #signalled = false;
  /** Of the daemon that was started last. */
  #logWritten = true;

  constructor(
    lab: Lab,
    host: Host,
    number: number,
    configuration: object,
    places: { readonly pinDirectory: string; readonly storeDirectory: string },
  ) {
    this.pinDirectory = places.pinDirectory;
    this.storeDirectory = places.storeDirectory;
    this.name = host.name;
    this.number = number;
    this.host = host;
    this.socket = join(lab.directory, `${host.name}.sock`);
    this.configFile = join(lab.directory, `${host.name}.json`);
    this.logFile = join(lab.directory, `${host.name}.log`);
    const { api } = configuration as { readonly api?: { readonly listen?: readonly string[] } };
    const listen = [`unix:${this.socket}`, ...(api?.listen ?? [])];
    writeFileSync(
      this.configFile,
      JSON.stringify({ ...configuration, api: { ...api, listen } }, undefined, 1),
    );
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The daemon ended though nobody here told it to. */
  get crashed(): boolean {
    return this.#child !== undefined && !this.running && !this.#signalled;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the daemon and waits until it is ready to own VIPs. */
  async start(limitMs = 60_000): Promise<void> {
    this.launch();
    await this.ready(limitMs);
  }

  launch(): void {
    const log = createWriteStream(this.logFile, { flags: "a" });
    const command = [
      ...this.#withHosts(),
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      this.program,
    ];
    const child = this.host.spawn(
      command[0] as string,
      [...command.slice(1), "run", "--config", this.configFile],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    this.#signalled = false;
    this.#exit = new Promise((resolve) => child.once("exit", resolve));
    // What it says last is still in its pipes when it ends.
    this.#logWritten = false;
    child.once("close", () =>
      log.end(() => {
        if (this.#child === child) this.#logWritten = true;
      }),
    );
  }

  /** What runs a command in a mount namespace of its own; the process stays the same. */
  #withHosts(): string[] {
    if (this.hostsFile === undefined) return [];
    const mount = 'mount --bind "$0" /etc/hosts && exec "$@"';
    return ["unshare", "--mount", "sh", "-c", mount, this.hostsFile];
  }

  /** Changes sections of the configuration file; the daemon reads it when it is launched. */
  configure(sections: Readonly<Record<string, object>>): void {
    const configuration = JSON.parse(readFileSync(this.configFile, "utf8")) as Record<string, object>;
    for (const [name, section] of Object.entries(sections))
      configuration[name] = { ...configuration[name], ...section };
    writeFileSync(this.configFile, JSON.stringify(configuration, undefined, 1));
  }

  async ready(limitMs = 60_000): Promise<void> {
    try {
      await until(
        `${this.name} to be ready`,
        async () => {
          if (!this.running) return true;
          return (await this.fetch("GET", "/v1/health/ready")).status === 200;
        },
        limitMs,
        20,
      );
      if (!this.running) {
        await until("its log to be whole", () => this.#logWritten, LAST_WORDS_MS).catch(() => {});
        const { exitCode, signalCode } = this.#child ?? {};
        throw new Error(`${this.name} ended with ${exitCode ?? signalCode} instead of becoming ready`);
      }
    } catch (error) {
      throw new Error(`${(error as Error).message}; its log ends:\n${this.log().slice(-4000)}`, {
        cause: error,
      });
    }
  }

  log(): string {
    try {
      return readFileSync(this.logFile, "utf8");
    } catch {
      return "";
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (signal !== "SIGSTOP" && signal !== "SIGCONT" && signal !== "SIGHUP") this.#signalled = true;
    this.#child?.kill(signal);
  }

  /** The daemon alone dies: interfaces and data plane stay. */
  async killDaemon(): Promise<void> {
    this.signal("SIGKILL");
    await this.#exit;
  }

  /**
   * The whole node dies: the daemon first, or it would see its interfaces go and hand its VIPs over, which a
   * node without power does not.
   */
  async killNode(): Promise<void> {
    this.signal("SIGKILL");
    this.host.unplug();
    await this.#exit;
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.signal("SIGTERM");
    return this.#exit;
  }

  /** One request over the daemon's unix socket. */
  fetch(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; body: string; headers: Readonly<Record<string, unknown>> }> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const asked = request(
        {
          socketPath: this.socket,
          method,
          path,
          timeout: 10_000,
          headers: { ...(text !== undefined && { "content-type": "application/json" }), ...headers },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              body: Buffer.concat(parts).toString(),
              headers: response.headers,
            }),
          );
        },
      );
      asked.on("timeout", () => asked.destroy(new Error(`${method} ${path} timed out`)));
      asked.on("error", reject);
      asked.end(text);
    });
  }

  /** GET, parsed; throws on any status but 200. */
  async get<T>(path: string): Promise<T> {
    const { status, body } = await this.fetch("GET", path);
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${body}`);
    return JSON.parse(body) as T;
  }

  /** A value of /v1/metrics, summed over its labels. */
  async metric(name: string): Promise<number> {
    const { body } = await this.fetch("GET", "/v1/metrics");
    let sum = 0;
    for (const line of body.split("\n")) {
      if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) sum += Number(line.split(" ").at(-1));
    }
    return sum;
  }

  /** Packets that fast and slow path together dropped for a reason. */
  async drops(reason: string): Promise<number> {
    const { body } = await this.fetch("GET", "/v1/metrics");
    const counts = /^holdfast_(?:fast|slow)_path_dropped_packets_total\{reason="([^"]+)"\} (\d+)/gm;
    let sum = 0;
    for (const [, name, value] of body.matchAll(counts)) if (name === reason) sum += Number(value);
    return sum;
  }
}

/** A metric's values of all of these members, added up. */
export async function metricOfAll(members: Iterable<Member>, name: string): Promise<number> {
  const values = await Promise.all([...members].map((member) => member.metric(name)));
  return values.reduce((sum, value) => sum + value, 0);
}
