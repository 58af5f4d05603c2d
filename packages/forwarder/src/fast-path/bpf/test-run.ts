// Runs a program on one packet without a wire (bpf_prog_test_run): what the oracle test compares, and
// benchmarks time.
import { libbpf, options } from "../../kernel/libbpf.ts";
import { errnoName, putAddress } from "../../kernel/libc.ts";
import type { Punt } from "../port.ts";
import {
  INTERFACE,
  INTERFACE_FLAG,
  LIMITS,
  NEXTHOP,
  NEXTHOP_FLAG,
  QUICK_COUNTS,
  QUICK_LINE,
  QUICK4,
} from "./abi.ts";
import { type DataPlane, loadDataPlane } from "./data-plane.ts";
import { FlowTable } from "./flow-table.ts";
import { KernelClock } from "./kernel-clock.ts";
import { LocalTables } from "./local-tables.ts";
import { PlainOfferQueues } from "./plain-offers.ts";
import { PlainFlowTable } from "./plain-table.ts";
import { readPunts } from "./punt-reader.ts";
import { type QuickStore, quickSizes, quickStoreOf } from "./quick-store.ts";
import { Ring } from "./ring.ts";
import { PUNT_BUDGETS_DEFAULT, type PuntBudgets, writeState } from "./state.ts";

const OPTIONS_SIZE = 80;
const ETH_HEADER_SIZE = 14;
const OUT_SIZE_MAX = 8192;
/** Programs see the loopback, whose MAC is all zero. */
const LOOPBACK_INDEX = 1;
const NEXTHOP_INDEX = 1;
const RING_BYTES = 1 << 20;
/** struct __sk_buff up to and with gso_size. */
const CONTEXT_SIZE = 184;
const CONTEXT_GSO_SEGMENTS_OFFSET = 164;
const CONTEXT_GSO_SIZE_OFFSET = 176;

export type TestProgram = "xdp" | "tc";

export interface TestRunResult {
  readonly action: "pass" | "drop" | "redirect";
  /** The IP packet afterwards, link-layer padding included. A view that the next run overwrites. */
  readonly packet: Uint8Array;
  /** The punts that the run made. */
  readonly punts: readonly Punt[];
}

const ACTIONS: Readonly<Record<TestProgram, ReadonlyMap<number, TestRunResult["action"]>>> = {
  xdp: new Map([
    [1, "drop"],
    [2, "pass"],
    [4, "redirect"],
  ]),
  tc: new Map([
    [2, "drop"],
    [-1, "pass"],
    [7, "redirect"],
  ]),
};

/**
 * Programs and maps of their own, attached to nothing and pinned nowhere; every next hop is there, at any
 * size.
 */
export class TestRunner {
  readonly plane: DataPlane;
  readonly flows: FlowTable;
  readonly plain: PlainFlowTable;
  /** What the next daemon finds when this one is killed. */
  readonly adoptPlain: () => PlainFlowTable;
  readonly local: LocalTables;
  readonly #quick: QuickStore;
  readonly #options = options(OPTIONS_SIZE);
  readonly #in = Buffer.alloc(OUT_SIZE_MAX);
  readonly #out = Buffer.alloc(OUT_SIZE_MAX);
  readonly #context = Buffer.alloc(CONTEXT_SIZE);
  readonly #rings: readonly Ring[];

  constructor(settings: {
    readonly flowCountMax: number;
    readonly mtu?: number;
    readonly objectFile?: string;
    /** In place of `loadDataPlane`: programs that other tests had before (compliance/shared-planes.ts). */
    readonly load?: typeof loadDataPlane;
  }) {
    const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => log };
    this.plane = (settings.load ?? loadDataPlane)({
      flowCountMax: settings.flowCountMax,
      puntRingBytes: RING_BYTES,
      log,
      ...(settings.objectFile === undefined ? {} : { objectFile: settings.objectFile }),
    });
    const { maps } = this.plane;
    const unlimited = { perSecond: 1e9, burst: 1e9 };
    writeState(maps.hf_state, {
      layoutNumber: this.plane.layoutNumber,
      flowCountMax: settings.flowCountMax,
      deadAfterMs: 1e9,
      budgets: Object.fromEntries(
        Object.keys(PUNT_BUDGETS_DEFAULT).map((name) => [name, unlimited]),
      ) as unknown as PuntBudgets,
    });
    const slot = Buffer.alloc(4);
    slot.writeUInt32LE(LOOPBACK_INDEX % LIMITS.INTERFACE_SLOT_COUNT);
    const attached = Buffer.alloc(INTERFACE.SIZE);
    attached.writeUInt32LE(LOOPBACK_INDEX, INTERFACE.ifindex);
    attached.writeUInt16LE(INTERFACE_FLAG.XDP, INTERFACE.flags);
    libbpf().update(maps.hf_interfaces, slot, attached, 0);
    const index = Buffer.alloc(4);
    index.writeUInt32LE(NEXTHOP_INDEX);
    const nexthop = Buffer.alloc(NEXTHOP.SIZE);
    nexthop.writeUInt32LE(LOOPBACK_INDEX, NEXTHOP.ifindex);
    nexthop.writeUInt32LE(settings.mtu ?? 0xffff_ffff, NEXTHOP.mtu);
    nexthop.writeUInt32LE(NEXTHOP_FLAG.RESOLVED | NEXTHOP_FLAG.ROUTED | NEXTHOP_FLAG.XDP, NEXTHOP.flags);
    libbpf().update(maps.hf_nexthops, index, nexthop, 0);
    const nexthops = { indexOf: () => NEXTHOP_INDEX, hold: () => {}, release: () => {} };
    const clock = new KernelClock(this.plane.clockProgram);
    const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
    this.#quick = quickStoreOf(this.plane, nowMs);
    const shared = [nexthops, clock, nowMs, this.#quick] as const;
    this.flows = new FlowTable({ flows4: maps.hf_flows4, flows6: maps.hf_flows6 }, ...shared);
    const plain = { plain4: maps.hf_plain4, plain6: maps.hf_plain6 };
    const queues = { offers: maps.hf_offers, ways: maps.hf_ways };
    this.plain = new PlainFlowTable(plain, ...shared, new PlainOfferQueues(queues, nexthops, clock, nowMs));
    this.adoptPlain = () => {
      const adopted = new PlainFlowTable(plain, nexthops, clock, nowMs);
      adopted.adopt();
      return adopted;
    };
    const tables = { local: maps.hf_local, ports: maps.hf_ports, allowed: maps.hf_allowed };
    this.local = new LocalTables(tables, () => undefined);
    this.#rings = [new Ring(maps.hf_proven, RING_BYTES), new Ring(maps.hf_unproven, RING_BYTES)];
    putAddress(this.#options, 8, this.#in);
    putAddress(this.#options, 16, this.#out);
  }

  /**
   * Runs the program on an IP packet of at most about 3,500 bytes, in a frame to the interface's own MAC.
   * `segments`: the packets that segmentation offload would make of it, TC only; `segmentSize`: payload
   * bytes of each.
   */
  run(program: TestProgram, packet: Uint8Array, segments?: number, segmentSize: number = 0): TestRunResult {
    const size = ETH_HEADER_SIZE + packet.length;
    this.#in.fill(0, 0, 12);
    this.#in.writeUInt16BE((packet[0] as number) >>> 4 === 6 ? 0x86dd : 0x0800, 12);
    this.#in.set(packet, ETH_HEADER_SIZE);
    this.#options.writeUInt32LE(size, 24);
    this.#options.writeUInt32LE(OUT_SIZE_MAX, 28);
    this.#context.writeUInt32LE(segments ?? 0, CONTEXT_GSO_SEGMENTS_OFFSET);
    this.#context.writeUInt32LE(segmentSize, CONTEXT_GSO_SIZE_OFFSET);
    if (segments === undefined) this.#options.writeBigUInt64LE(0n, 32);
    else putAddress(this.#options, 32, this.#context);
    this.#options.writeUInt32LE(segments === undefined ? 0 : CONTEXT_SIZE, 48);
    const fd = program === "xdp" ? this.plane.xdpProgram : this.plane.tcProgram;
    const result = libbpf().testRun(fd as number, this.#options);
    if (result !== 0) throw new Error(`running ${program} failed with ${errnoName(result)}`);
    const code = this.#options.readInt32LE(56);
    const action = ACTIONS[program].get(code);
    if (action === undefined) throw new Error(`${program} returned ${code}`);
    const punts: Punt[] = [];
    for (const ring of this.#rings) readPunts(ring, 16, (punt) => punts.push(punt));
    const end = this.#options.readUInt32LE(28);
    return { action, packet: this.#out.subarray(ETH_HEADER_SIZE, end), punts };
  }

  /** As if quick flows had been folded `by` jiffies before they were. */
  ageQuick(by: number): void {
    const number = Buffer.alloc(4);
    const value = Buffer.alloc(QUICK_LINE.SIZE);
    const fd = this.plane.maps.hf_quick_lines;
    // Of a second line it is nothing.
    const folded = QUICK4.counts + QUICK_COUNTS.folded;
    for (let n = 1; n <= quickSizes(this.plane.flowCountMax).lines; n++) {
      number.writeUInt32LE(n);
      libbpf().lookup(fd, number, value);
      value.writeUInt32LE((value.readUInt32LE(folded) - by) >>> 0, folded);
      libbpf().update(fd, number, value, 0);
    }
  }

  close(): void {
    for (const ring of this.#rings) ring.close();
    this.#quick.close();
    this.plane.close();
  }
}
