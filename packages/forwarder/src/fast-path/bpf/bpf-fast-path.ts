// The fast path in the kernel: programs, maps, punts and next hops together, behind the port.
import { join } from "node:path";
import { type Address, type Logger, silentLogger } from "@holdfast/model";
import { Netlink } from "../../netlink/netlink.ts";
import { ANYWHERE, RouteFinder, type Towards } from "../../netlink/route-finder.ts";
import type { LoopInterfaces } from "../../netlink/selection.ts";
import type {
  Fallback,
  FastPath,
  FastPathEndpoint,
  FastPathInterface,
  FastPathMode,
  Flow,
  FlowCounters,
  FlowKey,
  LocalAddress,
  Punt,
  SignOfLifeModule,
  ViaTc,
} from "../port.ts";
import { removePins } from "./bpffs.ts";
import { CounterMap } from "./counters.ts";
import type { HandOver } from "./crossings.ts";
import { type DataPlane, type DataPlaneOptions, loadDataPlane } from "./data-plane.ts";
import { FlowTable } from "./flow-table.ts";
import { KernelClock } from "./kernel-clock.ts";
import { LocalTables, type WayOut } from "./local-tables.ts";
import { NexthopTable } from "./nexthops.ts";
import { PlainOfferQueues } from "./plain-offers.ts";
import { PlainFlowTable } from "./plain-table.ts";
import { PuntReader } from "./punt-reader.ts";
import { type QuickStore, quickStoreOf } from "./quick-store.ts";
import { RawSender } from "./raw-sender.ts";
import { ServedInterfaces } from "./served-interfaces.ts";
import type { SignOfLifeData } from "./sign-of-life.ts";
import {
  beat,
  DEAD_AFTER_MS_DEFAULT,
  PUNT_BUDGETS_DEFAULT,
  type PuntBudgets,
  readState,
  writeState,
} from "./state.ts";

export const FLOW_COUNT_MAX_DEFAULT = 1_048_576;
export const PUNT_RING_BYTES_DEFAULT = 4 * 1024 * 1024;
/** How often somebody looks whether programs are where they were put, and what devices can do. */
const CHECK_PERIOD_MS = 1_000;
/** How often stale neighbours in use are confirmed. The kernel keeps one reachable for about 30 s. */
const CONFIRM_PERIOD_MS = 5_000;

export interface BpfFastPathOptions {
  /** auto: native XDP with TC behind it on hardware, TC elsewhere. */
  readonly mode: "auto" | "xdp" | "xdp-generic" | "tc";
  /** Names and patterns (`eth*`), in this network namespace; empty: every usable interface. */
  readonly interfaces: readonly string[];
  /** Served beside them: by it the host itself meets VIPs, as client and as endpoint. */
  readonly loop?: LoopInterfaces | undefined;
  /** Whether TC hands what leaves by a veth into another network namespace to its other end. Default: none. */
  readonly handOver?: HandOver;
  /** On which of them endpoints, and clients, are met: decides in whose VRF a way is looked for. Default: any. */
  readonly towards?: Towards;
  /** On a bpffs, which is mounted if /sys/fs/bpf is none. undefined: nothing outlives the process. */
  readonly pinDirectory?: string;
  /** Entries of the flow table of each family. */
  readonly flowCountMax?: number;
  /** Bytes of each of the two punt rings: a power of two, at least a page. */
  readonly ringBytes?: number;
  /** How old the sign of life may be before the data plane believes the daemon dead, ms. */
  readonly deadAfterMs?: number;
  readonly puntBudgets?: Partial<PuntBudgets>;
  readonly logger?: Logger;
  /** For tests and benchmarks: other programs than build.sh makes, and another way to have them loaded. */
  readonly objectFile?: string;
  readonly load?: (options: DataPlaneOptions) => DataPlane;
  /** Pinned flows of a layout that cannot be carried over are given up; without it they are an error. */
  readonly discardFlows?: boolean;
}

export interface BpfFastPath extends FastPath {
  /** Flows and links of an earlier daemon were found and kept. */
  readonly adopted: boolean;
  readonly signOfLifeModule: SignOfLifeModule;
  readonly plane: DataPlane;
  /** Sends a frame, Ethernet header first, out of one interface. */
  sendFrame(interfaceIndex: number, frame: Uint8Array): boolean;
}

/**
 * Loads, adopts or swaps, attaches. Throws coded errors: BPF_LIBRARY_MISSING, BPF_OBJECT_MISSING, BPF_FS_UNAVAILABLE,
 * BPF_NOT_PERMITTED, BPF_LOAD_FAILED, BPF_ATTACH_FAILED, BPF_FLOWS_NOT_CARRIED, INTERFACE_MISSING, INTERFACE_NOT_ETHERNET,
 * INTERFACE_INDEX_CLASH, NETLINK_REFUSED, RAW_SOCKET_REFUSED. Nothing stays attached when it does.
 */
export async function openBpfFastPath(options: BpfFastPathOptions): Promise<BpfFastPath> {
  const log = options.logger ?? silentLogger;
  const netlink = new Netlink();
  let plane: DataPlane | undefined;
  let interfaces: ServedInterfaces | undefined;
  try {
    plane = (options.load ?? loadDataPlane)({
      flowCountMax: options.flowCountMax ?? FLOW_COUNT_MAX_DEFAULT,
      puntRingBytes: options.ringBytes ?? PUNT_RING_BYTES_DEFAULT,
      xdp: options.mode !== "tc",
      log,
      ...(options.pinDirectory === undefined ? {} : { pinDirectory: options.pinDirectory }),
      ...(options.objectFile === undefined ? {} : { objectFile: options.objectFile }),
      ...(options.discardFlows === undefined ? {} : { discardFlows: options.discardFlows }),
    });
    writeState(plane.maps.hf_state, {
      layoutNumber: plane.layoutNumber,
      flowCountMax: plane.flowCountMax,
      deadAfterMs: options.deadAfterMs ?? DEAD_AFTER_MS_DEFAULT,
      budgets: { ...PUNT_BUDGETS_DEFAULT, ...options.puntBudgets },
    });
    interfaces = new ServedInterfaces({ ...options, plane, netlink, log });
    interfaces.open();
    plane.settle();
    return new KernelFastPath(plane, interfaces, netlink, options);
  } catch (error) {
    interfaces?.close(plane?.adopted === true);
    plane?.close();
    netlink.close();
    throw error;
  }
}

type RepointCursor = { readonly isPlain: boolean; readonly cursor: unknown };

const FIRST: RepointCursor = { isPlain: false, cursor: undefined };

class KernelFastPath implements BpfFastPath {
  readonly adopted: boolean;
  readonly plane: DataPlane;
  readonly plain: PlainFlowTable;
  readonly signOfLifeModule: SignOfLifeModule & { readonly data: SignOfLifeData };
  readonly #interfaces: ServedInterfaces;
  readonly #netlink: Netlink;
  readonly #nexthops: NexthopTable;
  readonly #quick: QuickStore;
  readonly #flows: FlowTable;
  readonly #local: LocalTables;
  readonly #counters: CounterMap;
  readonly #punts: PuntReader;
  readonly #sender: RawSender;
  readonly #routes: RouteFinder;
  #endpoints: ReadonlySet<Address> = new Set();
  readonly #state: Buffer;
  readonly #confirmTimer: NodeJS.Timeout;
  readonly #checkTimer: NodeJS.Timeout;
  #repointing = false;
  #repointAgain = false;
  #listener: (punt: Punt) => void = () => {};
  #closed = false;

  constructor(plane: DataPlane, interfaces: ServedInterfaces, netlink: Netlink, options: BpfFastPathOptions) {
    this.plane = plane;
    this.adopted = plane.adopted;
    this.#interfaces = interfaces;
    this.#netlink = netlink;
    const { maps } = plane;
    this.signOfLifeModule = {
      moduleUrl: new URL("./sign-of-life.ts", import.meta.url).href,
      data: {
        path: options.pinDirectory && join(options.pinDirectory, "maps", "hf_state"),
        fd: maps.hf_state,
      },
    };
    const nowMs = () => this.nowMs();
    const clock = new KernelClock(plane.clockProgram);
    this.#routes = new RouteFinder(
      netlink,
      options.logger ?? silentLogger,
      options.towards ?? ANYWHERE,
      options.loop?.far,
    );
    this.#sender = new RawSender((source, destination) =>
      this.#routes.deviceFor(source, destination, this.#endpoints),
    );
    // Before anything is looked up, so that no change falls between; interfaces first: next hops ask what they can.
    netlink.follow((event) => {
      if (!this.#closed) interfaces.handle(event);
      this.#nexthops.handle(event);
    });
    this.#nexthops = new NexthopTable(
      maps.hf_nexthops,
      netlink,
      clock,
      nowMs,
      plane.adopted,
      interfaces,
      this.#routes,
    );
    this.#nexthops.onRoutesChanged = () => this.#repoint();
    const shared = [this.#nexthops, clock, nowMs] as const;
    this.#quick = quickStoreOf(plane, nowMs);
    const { hf_flows4: flows4, hf_flows6: flows6, hf_plain4: plain4, hf_plain6: plain6 } = maps;
    this.#flows = new FlowTable({ flows4, flows6 }, ...shared, this.#quick);
    const queues = { offers: maps.hf_offers, ways: maps.hf_ways };
    const offers = new PlainOfferQueues(queues, ...shared);
    this.plain = new PlainFlowTable({ plain4, plain6 }, ...shared, this.#quick, offers);
    const tables = { local: maps.hf_local, ports: maps.hf_ports, allowed: maps.hf_allowed };
    this.#local = new LocalTables(tables, (index) => this.#wayOut(index), options.logger);
    interfaces.onWaysChanged = (index) => {
      this.#nexthops.waysChanged(index);
      this.#local.refresh();
    };
    this.#counters = new CounterMap(maps.hf_counters);
    this.#punts = new PuntReader(
      { proven: maps.hf_proven, unproven: maps.hf_unproven },
      plane.puntRingBytes,
      (punt) => this.#listener(punt),
    );
    this.#state = readState(maps.hf_state);
    this.#confirmTimer = setInterval(() => this.#nexthops.confirm(), CONFIRM_PERIOD_MS);
    this.#confirmTimer.unref();
    this.#checkTimer = setInterval(() => interfaces.check(), CHECK_PERIOD_MS);
    this.#checkTimer.unref();
    // Routes may have changed while no daemon looked.
    if (plane.adopted) {
      this.#flows.adopt();
      this.plain.adopt();
      this.#repointNow();
    }
  }

  #wayOut(index: number): WayOut | undefined {
    const link = this.#nexthops.link(index);
    return link?.mac.length === 6 ? { mac: link.mac, xdp: this.#interfaces.mayTransmit(link) } : undefined;
  }

  get mode(): FastPathMode {
    return this.#interfaces.mode;
  }

  get fallback(): Fallback | undefined {
    return this.#interfaces.fallback;
  }

  interfaces(): readonly FastPathInterface[] {
    return this.#interfaces.list();
  }

  viaTc(): readonly ViaTc[] {
    return this.#interfaces.viaTc();
  }

  mtuTowards(source: Address, destination: Address, direction: "up" | "down"): number | undefined {
    return this.#nexthops.mtuTowards(source, destination, direction);
  }

  deviceUp(endpoint: Address): number {
    return this.#routes.deviceUp(endpoint);
  }

  nowMs(): number {
    return Number(process.hrtime.bigint()) / 1e6;
  }

  setLocal(addresses: readonly LocalAddress[]): void {
    const gone = this.#local.setLocal(addresses);
    if (gone.size > 0) {
      this.#forgetFlows(gone, undefined);
      this.#forgetPlain(gone, undefined);
    }
  }

  setEndpoints(endpoints: readonly FastPathEndpoint[]): void {
    this.#endpoints = new Set(endpoints.map(({ address }) => address));
    this.#local.setEndpoints(endpoints);
  }

  install(flow: Flow): boolean {
    return this.#flows.install(flow);
  }

  remove(key: FlowKey): void {
    this.#flows.remove(key);
  }

  counters(key: FlowKey): FlowCounters | undefined {
    return this.#flows.counters(key);
  }

  sweep(cursor: unknown, visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove"): unknown {
    return this.#flows.sweep(cursor, visit);
  }

  onPunt(listener: (punt: Punt) => void): void {
    this.#listener = listener;
  }

  start(): void {
    this.#punts.start();
  }

  send(packet: Uint8Array): boolean {
    return !this.#closed && this.#sender.send(packet);
  }

  sendFrame(interfaceIndex: number, frame: Uint8Array): boolean {
    return this.#sender.sendFrame(interfaceIndex, frame);
  }

  totals(): ReadonlyMap<string, number> {
    const totals = this.#counters.totals();
    totals.set("flow-table-full", this.#flows.fullCount + this.plain.fullCount);
    totals.set("nexthop-table-full", this.#nexthops.fullCount);
    let failed = 0;
    for (const count of this.#sender.failures.values()) failed += count;
    totals.set("drop.send-failed", failed);
    return totals;
  }

  signOfLife(): void {
    beat(this.plane.maps.hf_state, this.#state);
  }

  async detach(): Promise<void> {
    this.#close(true);
  }

  async uninstall(): Promise<void> {
    this.#close(false);
    if (this.plane.pinDirectory !== undefined) removePins(this.plane.pinDirectory);
  }

  #close(installed: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#confirmTimer);
    clearInterval(this.#checkTimer);
    this.#punts.close();
    this.#interfaces.close(installed);
    this.#netlink.close();
    this.#sender.close();
    this.#flows.close(installed);
    this.plain.close(installed);
    this.#quick.close();
    this.plane.close();
  }

  /**
   * The programs look a packet's flow up before they ask whether its destination is local: flows of an address that is
   * not local any more have to go. A batch a turn, the first at once.
   */
  #forgetFlows(addresses: ReadonlySet<Address>, cursor: unknown): void {
    const next = this.#flows.sweep(cursor, ({ key }) => (addresses.has(key.destination) ? "remove" : "keep"));
    if (next === undefined) return;
    setImmediate(() => {
      if (!this.#closed) this.#forgetFlows(addresses, next);
    });
  }

  #forgetPlain(addresses: ReadonlySet<Address>, cursor: unknown): void {
    const next = this.plain.sweep(cursor, ({ key }) => (addresses.has(key.destination) ? "remove" : "keep"));
    if (next === undefined) return;
    setImmediate(() => {
      if (!this.#closed) this.#forgetPlain(addresses, next);
    });
  }

  #repoint(): void {
    this.plain.offers?.repoint();
    if (this.#repointing) {
      this.#repointAgain = true;
      return;
    }
    this.#repointing = true;
    this.#repointSome(FIRST);
  }

  /** A batch a turn: route changes come while traffic does. */
  #repointSome(from: RepointCursor): void {
    setImmediate(() => {
      if (this.#closed) return;
      const next = this.#repointBatch(from);
      if (next !== undefined) this.#repointSome(next);
      else {
        this.#repointing = false;
        if (this.#repointAgain) {
          this.#repointAgain = false;
          this.#repoint();
        }
      }
    });
  }

  #repointNow(): void {
    for (let next: RepointCursor | undefined = FIRST; next !== undefined; ) next = this.#repointBatch(next);
  }

  /** SCTP's flows, then the others'. */
  #repointBatch({ isPlain, cursor }: RepointCursor): RepointCursor | undefined {
    const next = (isPlain ? this.plain : this.#flows).repoint(cursor);
    if (next !== undefined) return { isPlain, cursor: next };
    return isPlain ? undefined : { isPlain: true, cursor: undefined };
  }
}
