// `npm run bench -- forward`: packets a second through one core, generator included, of our fast path by every hook,
// nftables SNAT and DNAT, and plain kernel routing. Every case has namespaces and tables of its own, and the cases take
// turns in short slices, so that all of them meet the same noise. What disturbs a slice makes it slower and never
// faster: the figure is the rate that one slice in ten exceeds, for theirs as for ours, and a ratio is one of figures.
//
//   --rounds N   slices of each case, default 10
//   --only TEXT  only cases whose name contains it (and nftables)
import { execFileSync } from "node:child_process";
import { setPriority } from "node:os";
import { type FastPath, openBpfFastPath, openUserspaceFastPath } from "@holdfast/forwarder";
import { addressBytes, addressFromBytes } from "@holdfast/model";
import { encodeData, encodeHeartbeat, encodeIp, encodePacket } from "@holdfast/sctp";
import koffi from "koffi";
import { Generator, type Traffic } from "./forward/generator.ts";
import {
  ENDPOINT,
  ENDPOINT_PORT,
  FLOW_COUNT_MAX,
  inside,
  SERVICE_PORT,
  SOURCE,
  SOURCE_PORT,
  TAG,
  Testbed,
  VIP,
} from "./forward/testbed.ts";
import { numberOf, print, type Row, rounded } from "./replication/report.ts";

const FLOW_COUNTS = [64, FLOW_COUNT_MAX] as const;
const SIZES = [100, 1_400] as const;
const ROUND_COUNT = 10;
/** A slice lasts as long for the slow as for the fast: a longer one would meet more disturbance. */
const SLICE_MS = 60;
const SLICE_COUNT_FIRST = 16_384;
const SLICE_COUNT_MAX = 1_048_576;
const BURST_COUNT = 4_096;
const BURST_SILENCE_MS = 500;
const UNDISTURBED = 0.9;
const BASELINE = "nftables";

interface Case {
  readonly name: string;
  readonly sink: "xdp" | "tc";
  open(testbed: Testbed): Promise<() => Promise<void>>;
  /** It learns flows from packets: send a HEARTBEAT of each first. */
  readonly tracks?: boolean;
  /** It forwards in this process's event loop: what a slice sends has to fit into its ring. */
  readonly userspace?: boolean;
}

const CASES: readonly Case[] = [
  ours("xdp-native", "xdp", "xdp"),
  ours("xdp-generic", "xdp-generic", "tc"),
  ours("tc", "tc", "tc"),
  { name: BASELINE, sink: "tc", open: openNftables, tracks: true },
  { name: "routing", sink: "tc", open: openRouting },
  { name: "userspace", sink: "tc", open: openUserspace, userspace: true },
];

export async function run(options: { readonly json: boolean; readonly args: string[] }): Promise<void> {
  const rounds = numberOf(options.args, "rounds", ROUND_COUNT);
  const only = options.args[options.args.indexOf("--only") + 1];
  const cases = CASES.filter(
    ({ name }) => !options.args.includes("--only") || name === BASELINE || name.includes(only ?? ""),
  );
  // One core does it all: sending, receiving, forwarding, counting.
  pinToOneCore();
  setPriority(-20);
  const generator = new Generator();
  const open: { each: Case; testbed: Testbed; close: () => Promise<void> }[] = [];
  try {
    for (const each of cases) {
      const testbed = new Testbed(`hf-bench-${process.pid}-${open.length}`);
      const entry = { each, testbed, close: async () => {} };
      open.push(entry);
      entry.close = await each.open(testbed);
      inside(testbed.sink, () => generator.attachSink(testbed.link("sink0").index, each.sink));
    }
    const rates = new Map<string, number[]>();
    for (let round = 0; round < rounds; round++) {
      for (const flowCount of FLOW_COUNTS) {
        for (const { each, testbed } of open) if (each.tracks) warm(generator, testbed, flowCount);
        for (const size of SIZES) {
          for (const { each, testbed } of open) {
            const prepared = traffic(testbed, flowCount, size);
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
    print("forward", rowsOf(cases, rates), options.json);
  } finally {
    for (const { testbed, close } of open) {
      await close();
      testbed.close();
    }
  }
}

function rowsOf(cases: readonly Case[], rates: ReadonlyMap<string, readonly number[]>): Row[] {
  const rows: Row[] = [];
  for (const { name } of cases) {
    for (const flowCount of FLOW_COUNTS) {
      for (const size of SIZES) {
        const own = rates.get(`${name}/${flowCount}/${size}B`) ?? [];
        const theirs = rates.get(`${BASELINE}/${flowCount}/${size}B`) ?? [];
        const value = rounded(undisturbed(own) / 1e6, 3);
        const row = { case: `${name}/${flowCount}/${size}B`, value, unit: "Mpps" };
        const ratio = rounded(undisturbed(own) / undisturbed(theirs), 2);
        rows.push(name === BASELINE ? row : { ...row, versus: BASELINE, ratio });
      }
    }
  }
  return rows;
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

/** A burst that the ring holds, and the time until its last packet has come out; setting the run up counts. */
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

/** A HEARTBEAT of every flow: connection tracking accepts an association in the middle by it. */
function warm(generator: Generator, testbed: Testbed, flowCount: number): void {
  inside(testbed.generator, () => {
    generator.prepare(traffic(testbed, flowCount, 0));
    generator.send(flowCount * 2);
  });
}

function traffic(testbed: Testbed, flowCount: number, size: number): Traffic {
  const chunks =
    size === 0
      ? [encodeHeartbeat(new Uint8Array(8))]
      : // IP, SCTP and DATA headers take 48 bytes.
        [encodeData({ tsn: 1, data: new Uint8Array(size - 48).fill(0x61) })];
  const packet = encodeIp({
    source: addressBytes(addressFromBytes(clientBytes(0))),
    destination: addressBytes(VIP),
    hopLimit: 64,
    payload: encodePacket({
      sourcePort: SOURCE_PORT,
      destinationPort: SERVICE_PORT,
      verificationTag: TAG,
      chunks,
    }),
  });
  const frame = Buffer.alloc(14 + packet.length);
  frame.set(macBytes(testbed.link("dut0").mac));
  frame.set(macBytes(testbed.link("gen0").mac), 6);
  frame.writeUInt16BE(0x0800, 12);
  frame.set(packet, 14);
  return {
    interfaceIndex: testbed.link("gen0").index,
    flowCount,
    source: SOURCE,
    sourcePort: SOURCE_PORT,
    frame,
  };
}

function ours(name: string, mode: "xdp" | "xdp-generic" | "tc", sink: "xdp" | "tc"): Case {
  return {
    name,
    sink,
    open: (testbed) =>
      openFastPath(testbed, () =>
        openBpfFastPath({ mode, interfaces: ["dut0", "dut1"], flowCountMax: 2 * FLOW_COUNT_MAX }),
      ),
  };
}

async function openUserspace(testbed: Testbed): Promise<() => Promise<void>> {
  return await openFastPath(testbed, () =>
    openUserspaceFastPath({ interfaces: ["dut0", "dut1"], flowCountMax: 2 * FLOW_COUNT_MAX }),
  );
}

async function openFastPath(testbed: Testbed, open: () => Promise<FastPath>): Promise<() => Promise<void>> {
  // Asynchronous in form only: everything that depends on the namespace happens at once.
  const fastPath = await inside(testbed.device, open);
  inside(testbed.device, () => {
    fastPath.setLocal([{ address: VIP, owned: true, ports: [SERVICE_PORT] }]);
    fastPath.setEndpoints([{ address: ENDPOINT, port: ENDPOINT_PORT }]);
    for (let n = 0; n < FLOW_COUNT_MAX; n++) install(fastPath, n);
  });
  return async () => inside(testbed.device, () => fastPath.uninstall());
}

/** Both directions, as an association has them; the benchmark sends up. */
function install(fastPath: FastPath, n: number): void {
  const client = addressFromBytes(clientBytes(n));
  const natPort = 10_000 + n;
  const up = fastPath.install({
    key: { source: client, destination: VIP, sourcePort: SOURCE_PORT + n, destinationPort: SERVICE_PORT },
    newSource: VIP,
    newDestination: ENDPOINT,
    newSourcePort: natPort,
    newDestinationPort: ENDPOINT_PORT,
    tag: TAG,
    direction: "up",
    pending: false,
    heartbeatOnly: false,
    learn: false,
    session: n + 1,
  });
  const down = fastPath.install({
    key: { source: ENDPOINT, destination: VIP, sourcePort: ENDPOINT_PORT, destinationPort: natPort },
    newSource: VIP,
    newDestination: client,
    newSourcePort: SERVICE_PORT,
    newDestinationPort: SOURCE_PORT + n,
    tag: TAG,
    direction: "down",
    pending: false,
    heartbeatOnly: false,
    learn: false,
    session: n + 1,
  });
  if (!up || !down) throw new Error("the flow table is full");
}

async function openNftables(testbed: Testbed): Promise<() => Promise<void>> {
  testbed.run(
    testbed.device,
    "nft -f -",
    `table ip nat {
       chain prerouting { type nat hook prerouting priority dstnat;
         ip daddr ${VIP} sctp dport ${SERVICE_PORT} dnat to ${ENDPOINT}:${ENDPOINT_PORT}
       }
       chain postrouting { type nat hook postrouting priority srcnat;
         oifname "dut1" ip protocol sctp snat to ${VIP}
       }
     }`,
  );
  return async () => {};
}

async function openRouting(testbed: Testbed): Promise<() => Promise<void>> {
  testbed.run(testbed.device, `ip route add ${VIP} via ${ENDPOINT}`);
  return async () => {};
}

function clientBytes(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(SOURCE + n);
  return bytes;
}

function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (byte) => Number.parseInt(byte, 16));
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
