// `npm run bench -- connections`: new TCP connections a second, each with one request to nginx, which closes
// it. Through a member with its daemon, and through a router with nftables SNAT and DNAT, in turns. One core
// does it all: wrk, nginx, the daemon, and what the kernel does for them; what disturbs one disturbs
// the other.
//
// And in one process the slow path alone, without a kernel, by processor time.
//
//   --connections N  in process, of each kind; default 200,000; 0: none
//   --rounds N     default 3; 0: in process alone
//   --seconds N    of each slice, default 5
//   --baseline REV  takes turns, too, and is what we are compared with beside nftables
import { type ChildProcess, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Cluster, type Host, Lab } from "@holdfast/testkit";
import { ended, startNginx } from "../plain/real-stacks.ts";
import { compared } from "./baseline/compare.ts";
import { type OtherBuild, OtherBuildError } from "./baseline/other-build.ts";
import { numberOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";

const VIP = "203.0.113.1";
const PORT = 8_080;
const NGINX_PORT = 80;
/** NAT ports toward one endpoint are finite, and rest a second at least. */
const ENDPOINT_COUNT = 4;
/**
 * A member has a quarter of them, as in a cluster of three. With fewer they come round within the
 * benchmark, and a fourth of the SYNs meets an endpoint's TIME-WAIT (docs/decisions/0740); nftables has
 * them all.
 */
const MEMBER_NUMBER_COUNT = 4;
const CLIENT_ADDRESS = "198.18.1.10";
const INSIDE = "198.19.200.1";
const CONNECTION_COUNT = 64;
const NFTABLES = "nftables";
const IN_PROCESS = "connections/in-process.ts";

interface Subject {
  readonly name: string;
  readonly client: Host;
  /** Processor time that its daemon has taken, by the kernel's count. */
  usedMs(): number;
  /** Totals of connections that were opened, and of drops, as the subject counts them. */
  counters(): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

interface Slice {
  readonly perSecond: number;
  /** Processor time of the daemon for each connection. What it owes at the end is the next slice's. */
  readonly daemonUs: number;
  /** Of wrk: connect, read, write, timeout. */
  readonly errors: number;
}

export const takesBaseline = true;

export async function run(options: {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}): Promise<void> {
  const { baseline } = options;
  const rounds = numberOf(options.args, "rounds", 3);
  const seconds = numberOf(options.args, "seconds", 5);
  const core = cpus().length - 1;
  const inProcess = inOneProcess(numberOf(options.args, "connections", 200_000), baseline);
  if (rounds === 0) return print("connections", inProcess, options.json);
  const subjects: Subject[] = [];
  const slices = new Map<string, Slice[]>();
  try {
    subjects.push(await openHoldfast(core));
    subjects.push(await openHoldfast(core, { stateless: true }));
    if (baseline !== undefined)
      for (const stateless of [false, true])
        subjects.push(await openHoldfast(core, { build: baseline, stateless }));
    subjects.push(await openNftables(core));
    for (let round = 0; round < rounds; round++)
      for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
        const slice = await measure(subject, core, seconds);
        slices.set(subject.name, [...(slices.get(subject.name) ?? []), slice]);
        console.error(
          `${subject.name}: ${JSON.stringify(slice)} ${JSON.stringify(await subject.counters())}`,
        );
      }
    print("connections", [...rowsOf(slices, baseline), ...inProcess], options.json);
  } finally {
    for (const subject of subjects) await subject.close();
  }
}

function inOneProcess(count: number, baseline: OtherBuild | undefined): Row[] {
  if (count === 0) return [];
  const ours = measuredBy(new URL(IN_PROCESS, import.meta.url).href, count);
  if (baseline === undefined) return ours;
  const path = `test/bench/${IN_PROCESS}`;
  const theirs = baseline.module(path);
  if (theirs === undefined) throw new OtherBuildError(`revision '${baseline.revision}' has no ${path}`);
  const rows = ours.map((row) => ({ ...row, better: "more" as const }));
  return compared(rows, measuredBy(theirs, count), baseline.revision);
}

/** Each build has a process of its own: two of them cannot load the kernel's libraries in one. */
function measuredBy(module: string, count: number): Row[] {
  const words = `const { measureConnections } = await import(${JSON.stringify(module)});
    console.log(JSON.stringify(await measureConnections(${count})));`;
  const options = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", words];
  return JSON.parse(execFileSync(process.execPath, options, { encoding: "utf8" })) as Row[];
}

interface Kind {
  readonly build?: OtherBuild | undefined;
  /** The service says `stateless`: the fast path begins connections from offers, where it can. */
  readonly stateless?: boolean;
}

function nameOf({ build, stateless }: Kind): string {
  const name = build === undefined ? "holdfast" : `holdfast at ${build.revision}`;
  return stateless === true ? `${name}, stateless` : name;
}

function rowsOf(slices: ReadonlyMap<string, readonly Slice[]>, baseline: OtherBuild | undefined): Row[] {
  // What disturbs a slice makes it slower and never faster.
  const best = (name: string) => Math.max(...(slices.get(name) ?? []).map(({ perSecond }) => perSecond));
  const errors = (name: string) => (slices.get(name) ?? []).reduce((sum, slice) => sum + slice.errors, 0);
  const beside = (name: string, peer: string) => ({
    case: `${name}: new connections, client and server on the same core`,
    value: rounded(best(name), 0),
    unit: "a second",
    ...(name !== peer && { versus: peer, ratio: rounded(best(name) / best(peer), 2) }),
  });
  const used = (name: string): Row[] =>
    name === NFTABLES
      ? []
      : [
          {
            case: `${name}: processor time of its daemon for each connection`,
            value: rounded(Math.min(...(slices.get(name) ?? []).map(({ daemonUs }) => daemonUs)), 0),
            unit: "µs",
          },
        ];
  const rows = [...slices.keys()].flatMap((name): Row[] => [
    beside(name, NFTABLES),
    ...used(name),
    { case: `${name}: wrk's errors`, value: errors(name), unit: "" },
  ]);
  if (baseline === undefined) return rows;
  const ofBoth = [false, true].map((stateless) =>
    beside(nameOf({ stateless }), nameOf({ build: baseline, stateless })),
  );
  return [...ofBoth, ...rows];
}

/**
 * Who closes first, wrk or nginx, is a matter of turns on the core. Where it is wrk its ports are in
 * TIME-WAIT, and all 28,000 of them after some slices.
 */
function reuse(client: Host): Host {
  client.run("sysctl", ["-q", "-w", "net.ipv4.tcp_tw_reuse=1"]);
  return client;
}

async function measure({ client, usedMs }: Subject, core: number, seconds: number): Promise<Slice> {
  const words = ["-t", "1", "-c", String(CONNECTION_COUNT), "-d", `${seconds}s`, "-H", "Connection: close"];
  const url = `http://${VIP}:${PORT}/small`;
  const before = usedMs();
  const { code, output } = await ended(client.spawn("taskset", ["-c", String(core), "wrk", ...words, url]));
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  if (code !== 0 || !(perSecond > 0)) throw new Error(`wrk ended with ${code}: ${output}`);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output);
  const daemonUs = rounded(((usedMs() - before) * 1_000) / (perSecond * seconds), 1);
  return {
    perSecond,
    daemonUs,
    errors: (errors ?? []).slice(1).reduce((sum, text) => sum + Number(text), 0),
  };
}

/** All threads of a process, and what it starts from now on. */
function pin(child: ChildProcess | number | undefined, core: number): void {
  const pid = typeof child === "object" ? child.pid : child;
  if (pid === undefined) throw new Error("the process has ended");
  execFileSync("taskset", ["-a", "-c", "-p", String(core), String(pid)], { stdio: "ignore" });
}

/** proc(5), /proc/PID/stat: user and system time in ticks of 10 ms, the 14th and 15th word. */
function processorMs(pid: number | undefined): number {
  if (pid === undefined) throw new Error("the daemon has ended");
  const words = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(words[11]) + Number(words[12])) * 10;
}

async function openHoldfast(core: number, kind: Kind = {}): Promise<Subject> {
  const { build, stateless } = kind;
  const configuration = { cluster: { memberNumberCount: MEMBER_NUMBER_COUNT } };
  const cluster = new Cluster({ endpoints: ENDPOINT_COUNT, vips: [VIP], withService: false, configuration });
  try {
    for (const host of cluster.endpoints)
      await startNginx(host, cluster.lab.directory, ["taskset", "-c", String(core)]);
    const [member] = cluster.members;
    const program = build?.module("packages/cli/src/main.ts");
    if (member !== undefined && program !== undefined) member.program = fileURLToPath(program);
    await cluster.start();
    const endpoints = cluster.endpoints.map((host) => ({
      address: host.addresses("core")[0],
      port: NGINX_PORT,
    }));
    const spec = {
      ...{ name: "web", protocol: "tcp", vips: [VIP], port: PORT, endpoints },
      ...(stateless === true && { stateless }),
    };
    const { status, body } = (await member?.fetch("POST", "/v1/services", spec)) ?? {};
    if (status !== 201) throw new Error(`${status} ${body}`);
    await cluster.settled();
    await cluster.endpointsUp();
    pin(member?.pid, core);
    return {
      name: nameOf(kind),
      client: reuse(cluster.clients[0] as Host),
      usedMs: () => processorMs(member?.pid),
      counters: async () => ({
        opened: (await member?.metric('holdfast_slow_path_events_total{event="connections-opened"}')) ?? 0,
        exhausted: (await member?.drops("nat-ports-exhausted")) ?? 0,
        quota: (await member?.drops("embryo-quota")) ?? 0,
        punts: (await member?.drops("punt-rate")) ?? 0,
        seen: (await member?.metric('holdfast_slow_path_events_total{event="punts"}')) ?? 0,
      }),
      close: () => cluster.close(),
    };
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

async function openNftables(core: number): Promise<Subject> {
  const lab = new Lab();
  try {
    for (const network of ["path-a", "core"]) lab.network(network);
    const addresses = Array.from({ length: ENDPOINT_COUNT }, (_, i) => `198.19.0.${100 + i}`);
    const endpoints = addresses.map((address, i) => lab.host(`e${i + 1}`, { core: [`${address}/16`] }));
    const client = lab.host("c1", { "path-a": [`${CLIENT_ADDRESS}/18`] });
    const router = lab.host("r1", {
      "path-a": ["198.18.0.1/18", `${VIP}/32`],
      core: ["198.19.255.1/16", `${INSIDE}/32`],
    });
    client.onLink(VIP, "path-a");
    router.run("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1"]);
    const map = addresses.map((address, i) => `${i} : ${address} . ${NGINX_PORT}`).join(", ");
    router.run(
      "nft",
      ["-f", "-"],
      `table ip nat {
        chain before {
          type nat hook prerouting priority dstnat;
          ip daddr ${VIP} tcp dport ${PORT} dnat to numgen inc mod ${ENDPOINT_COUNT} map { ${map} }
        }
        chain after {
          type nat hook postrouting priority srcnat;
          oifname core meta l4proto tcp snat to ${INSIDE}
        }
      }\n`,
    );
    for (const host of endpoints) await startNginx(host, lab.directory, ["taskset", "-c", String(core)]);
    return {
      name: NFTABLES,
      client: reuse(client),
      usedMs: () => 0,
      counters: async () => ({}),
      close: () => lab.close(),
    };
  } catch (error) {
    await lab.close();
    throw error;
  }
}
