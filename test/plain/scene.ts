// A cluster before an echo of TCP and UDP, on one port number of one VIP, and clients that talk to it all
// the time.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Address } from "@holdfast/model";
import { Cluster, type ClusterOptions, type Host, type Member, until, withLogs } from "@holdfast/testkit";

export const VIP = "203.0.113.1";
export const VIP6 = "2001:db8:a::1";
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
  /** The client's own, of TCP, and the VIP that it talks to from there. */
  readonly ports: readonly { readonly port: number; readonly vip: string }[];
  readonly tcpAlive: number;
  readonly udpAlive: number;
}

const script = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));

const SUMS = [
  "connected",
  "resets",
  "closed",
  "wrong",
  "answers",
  "datagrams",
  "lost",
  "tcpAlive",
  "udpAlive",
] as const;

interface EchoProcess {
  readonly child: ChildProcess;
  readonly vip: string;
  readonly lines: Interface;
}

/** Processes of one client's host, as one: each has so many files open as a process may. */
export class EchoClient {
  readonly #processes: readonly EchoProcess[];

  constructor(children: readonly { readonly child: ChildProcess; readonly vip: string }[]) {
    this.#processes = children.map(({ child, vip }) => {
      if (child.stdout === null) throw new Error("no output");
      return { child, vip, lines: createInterface({ input: child.stdout }) };
    });
  }

  async report(word: "report" | "mark" = "report"): Promise<EchoReport> {
    const reports = await Promise.all(
      this.#processes.map(async ({ child, vip, lines }) => {
        const line = once(lines, "line");
        child.stdin?.write(`${word}\n`);
        const [text] = (await line) as [string];
        const report = JSON.parse(text) as Omit<EchoReport, "ports"> & { readonly ports: readonly number[] };
        return { ...report, ports: report.ports.map((port) => ({ port, vip })) };
      }),
    );
    const sum = (name: (typeof SUMS)[number]) => reports.reduce((total, each) => total + each[name], 0);
    const most = (name: "tcpGapMs" | "udpGapMs") => Math.max(...reports.map((each) => each[name]));
    return {
      ...(Object.fromEntries(SUMS.map((name) => [name, sum(name)])) as Record<(typeof SUMS)[number], number>),
      ...{ tcpGapMs: most("tcpGapMs"), udpGapMs: most("udpGapMs") },
      ports: reports.flatMap(({ ports }) => ports),
    };
  }

  /** All of them are answered from now on: no connection and no socket is left behind. */
  async allAnswered(counts: { readonly tcp: number; readonly udp: number }, limitMs = 60_000) {
    await this.report("mark");
    let last: EchoReport | undefined;
    return until(
      `${counts.tcp} connections and ${counts.udp} exchanges to be answered`,
      async () => {
        last = await this.report();
        return last.tcpAlive >= counts.tcp && last.udpAlive >= counts.udp && last;
      },
      limitMs,
      250,
    ).catch((error) => {
      const { ports: _, ...told } = last ?? {};
      throw new Error(`${(error as Error).message}: ${JSON.stringify(told)}`, { cause: error });
    });
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

/** Flows of each protocol that one process of the client's has. */
const COUNT_MAX_PER_PROCESS = 5_000;
/** New flows of each protocol a second, of all processes. */
const BEGINNINGS_PER_SECOND = 2_000;

export interface PlainSceneOptions extends ClusterOptions {
  readonly tcpCount: number;
  readonly udpCount: number;
  readonly pauseMs?: number;
  /** New flows of each protocol a second; default 2,000. */
  readonly perSecond?: number;
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
    const { tcpCount, udpCount, tcp = {}, udp = {}, prepare, ...rest } = options;
    const told: string[] = [];
    const cluster = new Cluster({ members: 3, clients: [1], vips: [VIP], ...rest, withService: false });
    try {
      for (const host of cluster.endpoints)
        await startEcho(host.spawn(...echoOf(tcp.proxyProtocol === true)), told);
      await cluster.start();
      await createServices(cluster, { tcp, udp });
      prepare?.(cluster);
      const [host] = cluster.clients;
      if (host === undefined) throw new Error("no client");
      const client = startClient(host, cluster.vips, options);
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
    return this.cluster.memberOf(owners.get(this.cluster.vips[0] as Address) as string);
  }
}

/** Each VIP has as many flows as the others. */
function startClient(host: Host, vips: readonly string[], options: PlainSceneOptions): EchoClient {
  const { tcpCount, udpCount, pauseMs = 100, perSecond = BEGINNINGS_PER_SECOND } = options;
  const least = Math.ceil(Math.max(tcpCount, udpCount) / COUNT_MAX_PER_PROCESS);
  const count = vips.length * Math.ceil(least / vips.length);
  const shareOf = (all: number, index: number) =>
    Math.floor((all * (index + 1)) / count) - Math.floor((all * index) / count);
  return new EchoClient(
    Array.from({ length: count }, (_, index) => {
      const vip = vips[index % vips.length] as Address;
      const shares = [shareOf(tcpCount, index), shareOf(udpCount, index)];
      const words = [vip, PORT, ...shares, pauseMs, perSecond / count].map(String);
      return { vip, child: host.spawn(process.execPath, [script("echo-client.ts"), ...words]) };
    }),
  );
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
  const endpoints = cluster.endpoints.map((host) => {
    const addresses = host.addresses("core");
    return { address: addresses[0], port: ENDPOINT_PORT, ...(addresses.length > 1 && { addresses }) };
  });
  for (const protocol of ["tcp", "udp"] as const) {
    const service = {
      ...{ name: protocol, protocol, vips: cluster.vips, port: PORT, endpoints },
      ...fields[protocol],
    };
    const { status, body } = (await member?.fetch("POST", "/v1/services", service)) ?? {};
    if (status !== 201) throw new Error(`${protocol}: ${status} ${JSON.stringify(body)}`);
  }
  await cluster.settled();
  await cluster.endpointsUp();
}
