// `npm run bench -- forward`: packets a second through one core, generator included, of our fast path by
// every hook, nftables SNAT and DNAT, and plain kernel routing; and into a program that drops at once, which
// is the limit that the others are a share of. Every case has namespaces and tables of its own, and the cases
// take turns in short slices, so that all of them meet the same noise. What disturbs a slice makes it slower
// and never faster: the figure is the rate that one slice in ten exceeds, for theirs as for ours, and a
// ratio is one of figures.
//   --flows N,N…      how many flows take turns, default 64,50000, which are the most
//   --rounds N        of slices, default 10; with --baseline 40
//   --only TEXT       cases whose name has it, and nftables and the limit, which they are compared with
//   --protocol NAME   sctp (default), tcp or udp
//   --family NAME     ipv4 (default); both: our cases of SCTP over IPv6 as well, compared with those over
//                     IPv4
//   --baseline REV    its BPF cases take turns too, and are what ours are compared with
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import * as forwarder from "@holdfast/forwarder";
import { protocolName } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import koffi from "koffi";
import type { OtherBuild } from "./baseline/other-build.ts";
import { Generator, type Traffic } from "./forward/generator.ts";
import { fill, type HandOver, openSubject, type SubjectMode } from "./forward/subject.ts";
import {
  ENDPOINT,
  ENDPOINT_PORT,
  type Family,
  flowCountsOf,
  IPV4,
  IPV6,
  inside,
  SERVICE_PORT,
  Testbed,
  VIP,
} from "./forward/testbed.ts";
import { traffic } from "./forward/traffic.ts";
import { BenchOptionError, numberOf, textOf, wordOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";

let flowCounts: readonly number[] = [];
const SIZES = [100, 1_400] as const;
const ROUND_COUNT = 10;
/** Beside another build: a difference of three in a hundred shall show. */
const ROUND_COUNT_BESIDE = 40;
/** A slice lasts as long for the slow as for the fast: a longer one would meet more disturbance. */
const SLICE_MS = 60;
const SLICE_COUNT_FIRST = 16_384;
const SLICE_COUNT_MAX = 1_048_576;
const BURST_COUNT = 4_096;
const BURST_SILENCE_MS = 500;
const UNDISTURBED = 0.9;
const NFTABLES = "nftables";
const IPV6_SUFFIX = "-ipv6";
/** What the generator alone does, into a program that drops: no row can have more. */
const LIMIT = "limit";

interface Case {
  readonly name: string;
  readonly sink: "xdp" | "tc";
  /** Default: IPv4. */
  readonly family?: Family;
  open(testbed: Testbed, protocol: number): Promise<() => Promise<void>>;
  /** It learns flows from packets: send one of each first, of SCTP a HEARTBEAT. */
  readonly tracks?: boolean;
  /** It forwards in this process's event loop: what a slice sends has to fit into its ring. */
  readonly userspace?: boolean;
  /** Packets end where they come in. */
  readonly dropsAtOnce?: boolean;
}

type Hook = readonly [
  name: string,
  mode: "xdp" | "xdp-generic" | "tc",
  sink: "xdp" | "tc",
  handOver?: HandOver,
];
const HOOKS: readonly Hook[] = [
  ["xdp-native", "xdp", "xdp"],
  ["xdp-generic", "xdp-generic", "tc"],
  ["tc", "tc", "tc"],
  // With `dataPlane.handOver: veth`; a build from before it hands nothing over.
  ["tc-veth", "tc", "tc", "veth"],
];

const OTHERS: readonly Case[] = [
  { name: NFTABLES, sink: "tc", open: openNftables, tracks: true },
  { name: "routing", sink: "tc", open: openRouting },
  { name: "userspace", sink: "tc", open: openUserspace, userspace: true },
  { name: LIMIT, sink: "xdp", open: async () => async () => {}, dropsAtOnce: true },
];

export const takesBaseline = true;

interface Options {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}

interface OpenCase {
  readonly each: Case;
  readonly testbed: Testbed;
  close: () => Promise<void>;
}

export async function run(options: Options): Promise<void> {
  const protocol = protocolOf(options.args);
  const rounds = numberOf(options.args, "rounds", options.baseline ? ROUND_COUNT_BESIDE : ROUND_COUNT);
  flowCounts = flowCountsOf(options.args);
  const cases = casesOf(options);
  // One core does it all: sending, receiving, forwarding, counting.
  pinToOneCore();
  setPriority(-20);
  const generator = new Generator();
  const open: OpenCase[] = [];
  try {
    for (const each of cases) {
      const testbed = new Testbed(`hf-bench-${process.pid}-${open.length}`, each.family);
      const entry = { each, testbed, close: async () => {} };
      open.push(entry);
      entry.close = await each.open(testbed, protocol);
      const [namespace, link] = each.dropsAtOnce ? [testbed.device, "dut0"] : [testbed.sink, "sink0"];
      inside(namespace, () => generator.attachSink(testbed.link(link).index, each.sink));
    }
    const rates = await ratesOf(generator, open, rounds, protocol);
    const rows = rowsOf(cases, rates, options.baseline);
    const prefix = protocol === PROTOCOL.SCTP ? "" : `${protocolName(protocol)}/`;
    print(
      "forward",
      rows.map((row) => ({ ...row, case: prefix + row.case })),
      options.json,
    );
  } finally {
    for (const { testbed, close } of open) {
      await close();
      testbed.close();
    }
  }
}

function protocolOf(args: readonly string[]): number {
  const numbers = { sctp: PROTOCOL.SCTP, tcp: PROTOCOL.TCP, udp: PROTOCOL.UDP };
  return numbers[wordOf(args, "protocol", ["sctp", "tcp", "udp"], "sctp")];
}

function casesOf({ args, baseline }: Options): readonly Case[] {
  const isBoth = wordOf(args, "family", ["ipv4", "both"], "ipv4") === "both";
  if (isBoth && protocolOf(args) !== PROTOCOL.SCTP) throw new BenchOptionError("--family both is for SCTP");
  const hooks = (isBoth ? [IPV4, IPV6] : [IPV4]).flatMap((family) =>
    HOOKS.flatMap((hook) => [ours(hook, family), ...(baseline ? [ours(hook, family, baseline)] : [])]),
  );
  return [...hooks, ...OTHERS].filter(
    ({ name }) => name === NFTABLES || name === LIMIT || name.includes(textOf(args, "only") ?? ""),
  );
}

async function ratesOf(
  generator: Generator,
  open: readonly OpenCase[],
  rounds: number,
  protocol: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const rates = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const flowCount of flowCounts) {
      for (const { each, testbed } of open) if (each.tracks) warm(generator, testbed, flowCount, protocol);
      for (const size of SIZES) {
        // Whoever comes first does so in every second round only.
        for (const { each, testbed } of round % 2 === 0 ? open : open.toReversed()) {
          const prepared = traffic(testbed, { flowCount, size, protocol, family: each.family ?? IPV4 });
          const key = `${each.name}/${flowCount}/${size}B`;
          const known = rates.get(key) ?? [];
          const rate = each.userspace
            ? await measureBurst(generator, testbed, prepared)
            : measure(generator, testbed, prepared, known.at(-1));
          rates.set(key, [...known, rate]);
        }
      }
    }
  }
  return rates;
}

function rowsOf(
  cases: readonly Case[],
  rates: ReadonlyMap<string, readonly number[]>,
  baseline: OtherBuild | undefined,
): Row[] {
  const rows: Row[] = [];
  for (const { name } of cases) {
    // The other build's own rows have no more to say than ours beside them.
    if (baseline && name.endsWith(theirName("", baseline))) continue;
    const peer = peerOf(name, cases, baseline);
    for (const flowCount of flowCounts) {
      for (const size of SIZES) {
        const rate = (of: string) => undisturbed(rates.get(`${of}/${flowCount}/${size}B`) ?? []);
        const value = rounded(rate(name) / 1e6, 3);
        const share = rounded(rate(name) / rate(LIMIT), 3);
        const row = { case: `${name}/${flowCount}/${size}B`, value, unit: "Mpps" };
        if (name === LIMIT) rows.push(row);
        else if (name === NFTABLES) rows.push({ ...row, share });
        else {
          const versus = baseline && peer === theirName(name, baseline) ? baseline.revision : peer;
          const theirs = rounded(rate(peer) / 1e6, 3);
          rows.push({ ...row, versus, ratio: rounded(rate(name) / rate(peer), 3), theirs, share });
        }
      }
    }
  }
  return rows;
}

function peerOf(name: string, cases: readonly Case[], baseline: OtherBuild | undefined): string {
  const peers = [
    ...(baseline ? [theirName(name, baseline)] : []),
    ...(name.endsWith(IPV6_SUFFIX) ? [name.slice(0, -IPV6_SUFFIX.length)] : []),
  ];
  return peers.find((peer) => cases.some((each) => each.name === peer)) ?? NFTABLES;
}

/** Packets a second that reached the sink. */
function measure(generator: Generator, testbed: Testbed, prepared: Traffic, lastRate?: number): number {
  return inside(testbed.generator, () => {
    generator.prepare(prepared);
    const wanted = lastRate === undefined ? SLICE_COUNT_FIRST : (lastRate * SLICE_MS) / 1_000;
    generator.send(Math.round(Math.min(Math.max(wanted, SLICE_COUNT_FIRST), SLICE_COUNT_MAX)));
    return generator.rate();
  });
}

/**
 * A burst that the ring holds, and the time until its last packet has come out; setting the run up counts.
 */
async function measureBurst(generator: Generator, testbed: Testbed, prepared: Traffic): Promise<number> {
  const startedAt = performance.now();
  inside(testbed.generator, () => {
    generator.prepare(prepared);
    generator.send(BURST_COUNT);
  });
  let received = 0;
  let lastAt = startedAt;
  for (
    let now = startedAt;
    received < BURST_COUNT && now - lastAt < BURST_SILENCE_MS;
    now = performance.now()
  ) {
    await new Promise((resolve) => setImmediate(resolve));
    const count = generator.received();
    if (count === received) continue;
    received = count;
    lastAt = performance.now();
  }
  return (received / (lastAt - startedAt)) * 1_000;
}

/** One packet of every flow: connection tracking accepts an association in the middle by a HEARTBEAT. */
function warm(generator: Generator, testbed: Testbed, flowCount: number, protocol: number): void {
  inside(testbed.generator, () => {
    generator.prepare(traffic(testbed, { flowCount, size: 0, protocol, family: IPV4 }));
    generator.send(flowCount * 2);
  });
}

function ours([hook, mode, sink, handOver = "none"]: Hook, family: Family, build?: OtherBuild): Case {
  const name = family === IPV6 ? hook + IPV6_SUFFIX : hook;
  return {
    name: build === undefined ? name : theirName(name, build),
    sink,
    family,
    open: (testbed, protocol) => openProcess(testbed, mode, build, [String(protocol), family.name, handOver]),
  };
}

function theirName(name: string, build: OtherBuild): string {
  return `${name} of ${build.revision}`;
}

/** The fast path in a process of its own, whose processor time is that of one that sleeps. */
async function openProcess(
  testbed: Testbed,
  mode: SubjectMode,
  build: OtherBuild | undefined,
  what: readonly string[],
): Promise<() => Promise<void>> {
  const forwarder = "packages/forwarder/src/index.ts";
  const subject = "test/bench/forward/subject.ts";
  const here = (path: string) => new URL(`../../${path}`, import.meta.url).href;
  const words = [build?.module(subject) ?? here(subject), mode, build?.module(forwarder) ?? here(forwarder)];
  const child = spawn(
    "nsenter",
    [
      `--net=/run/netns/${testbed.device}`,
      process.execPath,
      fileURLToPath(words[0] as string),
      ...words.slice(1),
      ...what,
    ],
    { stdio: ["ignore", "inherit", "inherit", "ipc"] },
  );
  const ended = once(child, "exit");
  const [word] = await Promise.race([once(child, "message"), ended]);
  if (word !== "ready") throw new Error(`the fast path of ${build?.revision ?? "this build"} does not start`);
  return async () => {
    child.disconnect();
    await ended;
  };
}

async function openUserspace(testbed: Testbed, protocol: number): Promise<() => Promise<void>> {
  const fastPath = await inside(testbed.device, () => openSubject(forwarder, "userspace"));
  inside(testbed.device, () => fill(fastPath, protocol));
  return async () => inside(testbed.device, () => fastPath.uninstall());
}

async function openNftables(testbed: Testbed, protocol: number): Promise<() => Promise<void>> {
  const name = protocolName(protocol);
  testbed.run(
    testbed.device,
    "nft -f -",
    `table ip nat {
       chain prerouting { type nat hook prerouting priority dstnat;
         ip daddr ${VIP} ${name} dport ${SERVICE_PORT} dnat to ${ENDPOINT}:${ENDPOINT_PORT}
       }
       chain postrouting { type nat hook postrouting priority srcnat;
         oifname "dut1" ip protocol ${name} snat to ${VIP}
       }
     }`,
  );
  // Every packet has the same numbers, as if it were sent again; none is refused for that.
  if (protocol === PROTOCOL.TCP)
    testbed.run(testbed.device, "sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1");
  return async () => {};
}

async function openRouting(testbed: Testbed): Promise<() => Promise<void>> {
  testbed.run(testbed.device, `ip route add ${VIP} via ${ENDPOINT}`);
  return async () => {};
}

function undisturbed(rates: readonly number[]): number {
  const sorted = [...rates].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * UNDISTURBED)] ?? 0;
}

function pinToOneCore(): void {
  const set = koffi.load("libc.so.6").func("int sched_setaffinity(int pid, size_t size, void *mask)");
  const cores = Number(execFileSync("nproc").toString());
  const mask = Buffer.alloc(128);
  const core = cores - 1;
  mask[core >> 3] = 1 << (core & 7);
  if (set(0, mask.length, mask) !== 0) throw new Error("cannot pin to one core");
}
