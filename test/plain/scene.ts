// A cluster before an echo of TCP and UDP, on one port number of one VIP, and clients that talk to it all
// the time.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Cluster, type ClusterOptions, type Member, until, withLogs } from "@holdfast/testkit";

export const VIP = "203.0.113.1";
export const PORT = 38_412;
const ENDPOINT_PORT = 7_777;

export interface EchoReport {
  readonly connected: number;
  readonly resets: number;
  readonly closed: number;
  readonly wrong: number;
  readonly answers: number;
  readonly datagrams: number;
  readonly lost: number;
  readonly tcpGapMs: number;
  readonly udpGapMs: number;
  /** The client's own, of TCP. */
  readonly ports: readonly number[];
  readonly tcpAlive: number;
  readonly udpAlive: number;
}

const script = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));

export class EchoClient {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error("no output");
    this.#lines = createInterface({ input: child.stdout });
  }

  async report(word: "report" | "mark" = "report"): Promise<EchoReport> {
    const line = once(this.#lines, "line");
    this.#child.stdin?.write(`${word}\n`);
    const [text] = (await line) as [string];
    return JSON.parse(text) as EchoReport;
  }

  /** All of them are answered from now on: no connection and no socket is left behind. */
  async allAnswered(counts: { readonly tcp: number; readonly udp: number }, limitMs = 60_000) {
    await this.report("mark");
    return until(
      `${counts.tcp} connections and ${counts.udp} exchanges to be answered`,
      async () => {
        const now = await this.report();
        return now.tcpAlive >= counts.tcp && now.udpAlive >= counts.udp && now;
      },
      limitMs,
      250,
    );
  }

  /** So many more answers of TCP, and of UDP. */
  async flowing(count: number, limitMs = 30_000, datagrams = count): Promise<EchoReport> {
    const before = await this.report();
    return until(
      `${count} more answers`,
      async () => {
        const now = await this.report();
        const isOn = now.answers >= before.answers + count && now.datagrams >= before.datagrams + datagrams;
        return isOn && now;
      },
      limitMs,
      100,
    );
  }
}

export interface PlainSceneOptions extends ClusterOptions {
  readonly tcpCount: number;
  readonly udpCount: number;
  readonly pauseMs?: number;
  /** Further fields of the service of TCP; with proxyProtocol endpoints expect the header. */
  readonly tcp?: { readonly proxyProtocol?: boolean; readonly [field: string]: unknown };
  /** Further fields of the service of UDP. */
  readonly udp?: object;
  /** Before anybody connects. */
  readonly prepare?: (cluster: Cluster) => void;
}

export class PlainScene {
  readonly cluster: Cluster;
  readonly client: EchoClient;
  /** What the endpoints' servers wrote out, lines. */
  readonly told: readonly string[];

  private constructor(cluster: Cluster, client: EchoClient, told: readonly string[]) {
    this.cluster = cluster;
    this.client = client;
    this.told = told;
  }

  static async play(options: PlainSceneOptions, story: (scene: PlainScene) => Promise<void>): Promise<void> {
    const { tcpCount, udpCount, pauseMs = 100, tcp = {}, udp = {}, prepare, ...rest } = options;
    const told: string[] = [];
    const cluster = new Cluster({ members: 3, clients: [1], vips: [VIP], ...rest, withService: false });
    const [vip = VIP] = cluster.vips;
    try {
      for (const host of cluster.endpoints)
        await startEcho(host.spawn(...echoOf(tcp.proxyProtocol === true)), told);
      await cluster.start();
      await createServices(cluster, { tcp, udp });
      prepare?.(cluster);
      const [host] = cluster.clients;
      if (host === undefined) throw new Error("no client");
      const words = [vip, PORT, tcpCount, udpCount, pauseMs].map(String);
      const child = host.spawn(process.execPath, [script("echo-client.ts"), ...words]);
      const client = new EchoClient(child);
      await until(
        "all connections",
        async () => (await client.report()).connected === tcpCount,
        120_000,
        100,
      );
      await story(new PlainScene(cluster, client, told));
    } catch (error) {
      throw withLogs(error, cluster.members);
    } finally {
      await cluster.close();
    }
  }

  /** Every running member knows all flows. */
  async shared(count: number, limitMs = 30_000): Promise<void> {
    await until(
      `${count} flows at every member`,
      async () => {
        const running = this.cluster.members.filter((member) => member.running);
        const counts = await Promise.all(running.map(livingAt));
        return counts.every((each) => each >= count);
      },
      limitMs,
      200,
    );
  }

  async owner(): Promise<Member> {
    const owners = await this.cluster.settled();
    return this.cluster.memberOf(owners.get(this.cluster.vips[0] as string) as string);
  }
}

async function livingAt(member: Member): Promise<number> {
  const { items } = await member.get<{ items: { sessions: number }[] }>("/v1/services");
  return items.reduce((sum, { sessions }) => sum + sessions, 0);
}

function echoOf(proxyProtocol: boolean): [string, string[]] {
  return [
    process.execPath,
    [script("echo-server.ts"), String(ENDPOINT_PORT), ...(proxyProtocol ? ["proxy"] : [])],
  ];
}

async function startEcho(child: ChildProcess, told: string[]): Promise<void> {
  if (child.stdout === null) throw new Error("no output");
  const lines = createInterface({ input: child.stdout });
  const ready = once(lines, "line");
  lines.on("line", (line) => told.push(line));
  await ready;
}

/** Two protocols on one port number of one VIP. */
async function createServices(cluster: Cluster, fields: { tcp: object; udp: object }): Promise<void> {
  const [member] = cluster.members;
  const endpoints = cluster.endpoints.map((host) => ({
    address: host.addresses("core")[0],
    port: ENDPOINT_PORT,
  }));
  for (const protocol of ["tcp", "udp"] as const) {
    const service = {
      ...{ name: protocol, protocol, vips: [cluster.vips[0]], port: PORT, endpoints },
      ...fields[protocol],
    };
    const { status, body } = (await member?.fetch("POST", "/v1/services", service)) ?? {};
    if (status !== 201) throw new Error(`${protocol}: ${status} ${JSON.stringify(body)}`);
  }
  await cluster.settled();
  await cluster.endpointsUp();
}
