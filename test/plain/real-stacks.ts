// Programs that everybody knows, behind and before services of TCP and UDP: nginx, curl, wrk, iperf3.
import { type ChildProcess, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cluster, type Host, until } from "@holdfast/testkit";

export const WEB_PORT = 8_080;
export const IPERF_PORT = 5_201;
const NGINX_PORT = 80;

/** Of a program that has ended: its code and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Resolves when the program has ended; its output and errors together. */
export function ended(child: ChildProcess): Promise<Ended> {
  let output = "";
  child.stdout?.on("data", (bytes: Buffer) => {
    output += bytes;
  });
  child.stderr?.on("data", (bytes: Buffer) => {
    output += bytes;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, output })));
}

/** What iperf3 says of all data that it sent: of TCP what arrived, of UDP what was lost, too. */
export interface IperfSum {
  readonly bytes: number;
  readonly lost_packets?: number;
  readonly packets?: number;
}

interface IperfReport {
  readonly error?: string;
  readonly end?: { readonly sum?: IperfSum; readonly sum_received?: IperfSum };
}

/** iperf3 on both sides: a server that goes on as long as its host, and runs of a client. */
export class Iperf {
  readonly #client: Host;
  readonly #words: readonly string[];
  #said = "";

  constructor(server: Host, client: Host, address: string) {
    this.#client = client;
    this.#words = ["-c", address, "-p", String(IPERF_PORT), "-J"];
    const child = server.spawn("iperf3", ["-s", "-p", String(IPERF_PORT), "--forceflush"]);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (bytes: Buffer) => {
        this.#said = (this.#said + bytes).slice(-2_000);
      });
  }

  /**
   * Runs it for so many seconds. Throws with what iperf3 says is wrong, at both sides: with -J it ends with
   * code 0 when it fails, too.
   */
  run(seconds: number, words: readonly string[]): Promise<IperfSum> {
    const sum = this.#run(seconds, words);
    // Whoever waits for something else first hears of it afterwards.
    sum.catch(() => {});
    return sum;
  }

  async #run(seconds: number, words: readonly string[]): Promise<IperfSum> {
    const { code, output } = await ended(
      this.#client.spawn("iperf3", [...this.#words, "-t", String(seconds), ...words]),
    );
    const { error, end = {} } = readReport(output);
    const sum = end.sum ?? end.sum_received;
    if (code !== 0 || error !== undefined || sum === undefined)
      throw new Error(
        `iperf3 ${words.join(" ")}: code ${code}, ${error ?? output.slice(-600)}\n--- its server\n${this.#said}`,
      );
    return sum;
  }
}

function readReport(output: string): IperfReport {
  try {
    return JSON.parse(output) as IperfReport;
  } catch {
    return {};
  }
}

/** A file of so many bytes that nobody can guess, and its digest. */
export function bigFile(directory: string, size: number): { readonly name: string; readonly digest: string } {
  const file = join(directory, "big");
  mkdirSync(directory, { recursive: true });
  execFileSync("sh", ["-c", `head -c ${size} /dev/urandom >"$0"`, file]);
  return { name: "big", digest: digestOf(file) };
}

export function digestOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** nginx on a host; returns the directory of its files. It ends with the lab. `under`: what runs it. */
export async function startNginx(
  host: Host,
  directory: string,
  under: readonly string[] = [],
): Promise<string> {
  const home = join(directory, `${host.name}.nginx`);
  const root = join(home, "files");
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, "small"), "here\n");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(home, name)};`)
    .join("\n");
  writeFileSync(
    join(home, "nginx.conf"),
    // One process: workers would outlive a master that is killed with the lab.
    `daemon off; master_process off; user root; pid ${join(home, "pid")}; error_log stderr warn;
     events { worker_connections 2048; }
     http { access_log off; keepalive_requests 1000000; ${temporary}
       server { listen ${NGINX_PORT}; listen [::]:${NGINX_PORT}; root ${root}; } }\n`,
  );
  const [command = "nginx", ...words] = [...under, "nginx", "-p", home, "-c", join(home, "nginx.conf")];
  host.spawn(command, words, { stdio: "ignore" });
  await until(`nginx of ${host.name}`, () => {
    host.run("curl", ["-sf", "-o", "/dev/null", `http://${host.addresses("core")[0]}/small`]);
    return true;
  });
  return root;
}

/** A service of each kind, with all endpoints of the cluster. */
export async function createRealServices(cluster: Cluster): Promise<void> {
  const [member] = cluster.members;
  const vips = [cluster.vips[0]];
  const at = (port: number) =>
    cluster.endpoints.map((host) => ({ address: host.addresses("core")[0], port }));
  for (const service of [
    { name: "web", protocol: "tcp", vips, port: WEB_PORT, endpoints: at(NGINX_PORT) },
    // One endpoint: iperf3's control and data connections have to meet.
    { name: "iperf-tcp", protocol: "tcp", vips, port: IPERF_PORT, endpoints: at(IPERF_PORT).slice(0, 1) },
    { name: "iperf-udp", protocol: "udp", vips, port: IPERF_PORT, endpoints: at(IPERF_PORT).slice(0, 1) },
  ]) {
    const { status, body } = (await member?.fetch("POST", "/v1/services", service)) ?? {};
    if (status !== 201) throw new Error(`${service.name}: ${status} ${body}`);
  }
  await cluster.settled();
  await cluster.endpointsUp();
}
