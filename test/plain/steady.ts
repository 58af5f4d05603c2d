// Hosts with echoes behind services of TCP and UDP, and clients whose numbered records go to and fro: what
// the demo shows and the benchmark measures.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Cluster, type Host, until } from "@holdfast/testkit";

export const ECHO_PORT = 7_777;
export type PlainProtocol = "tcp" | "udp";

export interface SteadyReport {
  readonly ready: number;
  readonly resets: number;
  readonly closed: number;
  /** Records out of order, or twice. */
  readonly wrong: number;
  readonly sent: number;
  /** Records that came back. */
  readonly received: number;
  /** The longest time between two records of a flow since the last mark, ms, a flow. */
  readonly gapsMs: readonly number[];
}

const script = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));

/** An echo of TCP and UDP on a host. */
export async function startEcho(host: Host, port = ECHO_PORT): Promise<ChildProcess> {
  const child = host.spawn(process.execPath, [script("echo-server.ts"), String(port)]);
  if (child.stdout === null) throw new Error("no output");
  await once(child.stdout, "data");
  return child;
}

export class SteadyClient {
  readonly host: Host;
  readonly count: number;
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(host: Host, child: ChildProcess, count: number) {
    this.host = host;
    this.count = count;
    this.#child = child;
    if (child.stdout === null) throw new Error("no output");
    this.#lines = createInterface({ input: child.stdout });
  }

  /** Resolves when all its flows are there. */
  static async start(
    host: Host,
    target: { readonly address: string; readonly port: number; readonly protocol: PlainProtocol },
    load: { readonly count: number; readonly intervalMs: number },
  ): Promise<SteadyClient> {
    const { address, port, protocol } = target;
    const words = [address, port, protocol, load.count, load.intervalMs].map(String);
    const child = host.spawn(process.execPath, [script("steady-client.ts"), ...words]);
    const client = new SteadyClient(host, child, load.count);
    await until("all flows", async () => (await client.report()).received >= load.count, 60_000, 50);
    return client;
  }

  /** Asked again before it has answered, it answers both in order. */
  report(word: "report" | "mark" | "stop" = "report"): Promise<SteadyReport> {
    const line = once(this.#lines, "line") as Promise<[string]>;
    this.#child.stdin?.write(`${word}\n`);
    return line.then(([text]) => JSON.parse(text) as SteadyReport);
  }

  /** Sends nothing more, and waits for what is under way; of UDP, until nothing comes any more. */
  async settle(): Promise<SteadyReport> {
    let last = await this.report("stop");
    let sinceMs = performance.now();
    return until(
      "the last records",
      async () => {
        const now = await this.report();
        if (now.received !== last.received) sinceMs = performance.now();
        last = now;
        return (now.received === now.sent || performance.now() - sinceMs > 3_000) && now;
      },
      30_000,
      50,
    );
  }
}

/** A service for each protocol, on one port number of all VIPs, with echoes behind it. */
export async function createEchoServices(
  cluster: Cluster,
  port: number,
  protocols: readonly PlainProtocol[],
  fields: object = {},
): Promise<void> {
  const member = cluster.members.find(({ running }) => running);
  const endpoints = cluster.endpoints.map((host) => ({
    address: host.addresses("core")[0],
    port: ECHO_PORT,
  }));
  for (const protocol of protocols) {
    const service = { name: `echo-${protocol}`, protocol, vips: cluster.vips, port, endpoints, ...fields };
    const { status, body } = (await member?.fetch("POST", "/v1/services", service)) ?? {};
    if (status !== 201) throw new Error(`${protocol}: ${status} ${body}`);
  }
  await cluster.settled();
  await cluster.endpointsUp();
}
