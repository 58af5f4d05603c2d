// The maps of TCP's and UDP's flows: install, remove, read, sweep in batches.

import { PROTOCOL } from "@holdfast/sctp";
import { libbpf } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName } from "../../kernel/libc.ts";
import type {
  PlainEntry,
  PlainFlow,
  PlainFlowState,
  PlainFlows,
  PlainLife,
  PlainOffer,
  PlainVisit,
} from "../plain.ts";
import type { FlowKey } from "../port.ts";
import { PLAIN_FLAG } from "./abi.ts";
import { type FamilyTable, familyTable, noteInstalled, visitBatch } from "./family-tables.ts";
import { encodeKey } from "./flow-codec.ts";
import type { KernelClock } from "./kernel-clock.ts";
import type { NexthopTable } from "./nexthops.ts";
import {
  decodePlain,
  decodePlainState,
  encodePlain,
  heldIn,
  nexthopIn,
  PLAIN_LAYOUT4,
  PLAIN_LAYOUT6,
  type PlainLayout,
  plainLayoutOf,
} from "./plain-codec.ts";
import type { PlainOfferQueues } from "./plain-offers.ts";
import { OfferReview } from "./plain-review.ts";
import { addCounts, type QuickCounts, QuickFlows } from "./quick-flows.ts";
import { QUICK_TCP4, QUICK_TCP6, QUICK_UDP4, QUICK_UDP6 } from "./quick-layouts.ts";
import type { QuickStore } from "./quick-store.ts";

const ANY = 0;
const EXISTING = 2;

type Nexthops = Pick<NexthopTable, "indexOf" | "hold" | "release">;
type Table = FamilyTable<PlainLayout>;

export class PlainFlowTable implements PlainFlows {
  /** Installs that the map refused because it was full. */
  fullCount = 0;
  readonly offers?: PlainOfferQueues;
  readonly #tables: readonly [Table, Table];
  readonly #review: OfferReview;
  readonly #nexthops: Nexthops;
  readonly #clock: KernelClock;
  readonly #nowMs: () => number;
  /** By family and protocol. */
  #quick: readonly { readonly [PROTOCOL.TCP]: QuickFlows; readonly [PROTOCOL.UDP]: QuickFlows }[] = [];

  /** `quick`: what packets ask first. */
  constructor(
    fds: { readonly plain4: number; readonly plain6: number },
    nexthops: Nexthops,
    clock: KernelClock,
    nowMs: () => number,
    quick?: QuickStore,
    offers?: PlainOfferQueues,
  ) {
    if (offers !== undefined) this.offers = offers;
    if (quick !== undefined)
      this.#quick = [
        { tcp: QUICK_TCP4, udp: QUICK_UDP4 },
        { tcp: QUICK_TCP6, udp: QUICK_UDP6 },
      ].map(({ tcp, udp }) => ({
        [PROTOCOL.TCP]: new QuickFlows(quick, tcp),
        [PROTOCOL.UDP]: new QuickFlows(quick, udp),
      }));
    this.#nexthops = nexthops;
    this.#clock = clock;
    this.#nowMs = nowMs;
    this.#tables = [familyTable(PLAIN_LAYOUT4, fds.plain4), familyTable(PLAIN_LAYOUT6, fds.plain6)];
    this.#review = new OfferReview(this, this.#tables, nexthops, clock);
  }

  install(flow: PlainFlow): boolean {
    const table = this.#tableOf(flow.key);
    const { layout, fd, key, value } = table;
    encodeKey(layout, flow.key, key);
    const existing = libbpf().lookup(fd, key, value) === 0;
    const before = existing ? heldIn(layout, value, 0) : undefined;
    const isSame = existing && value.readUInt32LE(layout.value.session) === flow.session >>> 0;
    const quick = this.#quickOf(table, key, 0);
    if (isSame) addEdges(layout, value, 0, quick?.counts(key, 0));
    else {
      value.fill(0);
      value.writeUInt32LE(this.#clock.jiffiesAt(this.#nowMs()), layout.value.lastSeen);
    }
    const nexthop = this.#nexthopOf(flow);
    encodePlain(layout, flow, nexthop, value);
    // What is not quick any more is so before it is anything else.
    if (existing && quick?.isQuick(value, 0) === false) {
      const left = quick.take(key, 0);
      if (isSame && left !== undefined) addCounts(layout.value, value, 0, left);
    }
    this.#mark(layout, value, quick?.isQuick(value, 0) === true);
    const result = libbpf().update(fd, key, value, ANY);
    if (result === 0) {
      noteInstalled(table);
      this.#renew(table, key, value, isSame);
      this.#nexthops.hold(nexthop);
      if (before !== undefined) this.#nexthops.release(before);
      return true;
    }
    if (-result === ERRNO["E2BIG"] || -result === ERRNO["ENOMEM"]) {
      this.fullCount += 1;
      return false;
    }
    throw new Error(`installing a flow failed with ${errnoName(result)}`);
  }

  remove(key: FlowKey, session?: number): void {
    const table = this.#tableOf(key);
    const { layout, fd, key: keyBytes, value } = table;
    encodeKey(layout, key, keyBytes);
    if (libbpf().lookup(fd, keyBytes, value) !== 0) return;
    if (session !== undefined && value.readUInt32LE(layout.value.session) !== session >>> 0) return;
    this.#quickOf(table, keyBytes, 0)?.take(keyBytes, 0);
    if (libbpf().remove(fd, keyBytes) === 0) this.#nexthops.release(heldIn(layout, value, 0));
  }

  stateOf(key: FlowKey): PlainFlowState | undefined {
    const table = this.#lookup(key);
    return table && decodePlainState(table.layout, table.value, 0, this.#clock, this.#nowMs());
  }

  read(key: FlowKey): PlainEntry | undefined {
    const table = this.#lookup(key);
    if (table === undefined) return undefined;
    const { layout, key: keyBytes, value } = table;
    return {
      flow: decodePlain(layout, keyBytes, 0, value, 0),
      state: decodePlainState(layout, value, 0, this.#clock, this.#nowMs()),
    };
  }

  refresh(key: FlowKey, bytes: number): void {
    const { layout, fd, key: keyBytes, value } = this.#tableOf(key);
    encodeKey(layout, key, keyBytes);
    if (libbpf().lookup(fd, keyBytes, value) !== 0) return;
    const { packets, bytes: bytesAt, lastSeen } = layout.value;
    value.writeBigUInt64LE(value.readBigUInt64LE(packets) + 1n, packets);
    value.writeBigUInt64LE(value.readBigUInt64LE(bytesAt) + BigInt(bytes), bytesAt);
    value.writeUInt32LE(this.#clock.jiffiesAt(this.#nowMs()), lastSeen);
    libbpf().update(fd, keyBytes, value, EXISTING);
  }

  review<Offer extends PlainOffer>(
    offers: readonly Offer[],
    visit: (offer: Offer, life: PlainLife | undefined) => "keep" | "remove",
  ): void {
    this.#review.run(offers, visit, this.#nowMs());
  }

  /** Flows that come or go meanwhile may be visited twice or not at all. */
  sweep(
    cursor: unknown,
    visit: (flow: PlainFlow, state: PlainFlowState) => PlainVisit,
    isSpared?: (session: number) => boolean,
  ): unknown {
    const nowMs = this.#nowMs();
    if (this.offers?.wereMade) this.#share();
    return visitBatch(this.#tables, cursor, (table, keyAt, valueAt) => {
      const { layout, keys, values, fd } = table;
      const isQuiet = (values.readUInt16LE(valueAt + layout.value.flags) & PLAIN_FLAG.QUIET) !== 0;
      if (isQuiet && isSpared?.(values.readUInt32LE(valueAt + layout.value.session)) === true) return;
      const quick = this.#quickOf(table, keys, keyAt);
      const left = quick?.counts(keys, keyAt);
      addLeft(layout, values, valueAt, left);
      const flow = decodePlain(layout, keys, keyAt, values, valueAt);
      const verdict = visit(flow, decodePlainState(layout, values, valueAt, this.#clock, nowMs));
      const key = keys.subarray(keyAt, keyAt + layout.keySize);
      if (verdict === "remove") {
        quick?.take(keys, keyAt);
        const nexthop = heldIn(layout, values, valueAt);
        if (libbpf().remove(fd, key) === 0) this.#nexthops.release(nexthop);
      } else if (verdict === "forget") this.#forget(table, key);
      else if (
        quick !== undefined &&
        (left === undefined || left.isStopped) &&
        quick.isQuick(values, valueAt)
      ) {
        // An earlier daemon's, or one that changed. The visit may have changed it: read again.
        if (libbpf().lookup(fd, key, table.value) === 0) this.#quicken(table, key);
      } else if (left?.isStopped) this.#unquicken(table, key);
    });
  }

  /** From now on programs put flows into the maps as well. */
  #share(): void {
    for (const table of this.#tables) table.isShared = true;
  }

  /** The flows of an earlier daemon: their next hops are in use. */
  adopt(): void {
    // Of offers that it left.
    this.#share();
    let cursor: unknown;
    do {
      cursor = visitBatch(this.#tables, cursor, (table, keyAt, valueAt) => {
        const { layout, keys, values } = table;
        this.#nexthops.hold(nexthopIn(layout, values, valueAt));
        const flags = values.readUInt16LE(valueAt + layout.value.flags);
        const key = keys.subarray(keyAt, keyAt + layout.keySize);
        if (flags & PLAIN_FLAG.MADE) this.#clear(table, key, PLAIN_FLAG.MADE);
        if (flags & PLAIN_FLAG.QUICK) this.#forgetLost(table, key);
      });
    } while (cursor !== undefined);
  }

  /**
   * The daemon was killed, and what its quick flow knew is gone: numbers and the time of the last packet may
   * be old. The flow counts as heard of now, and its next packet is believed.
   */
  #forgetLost({ layout, fd, value }: Table, key: Buffer): void {
    if (libbpf().lookup(fd, key, value) !== 0) return;
    const at = layout.value.flags;
    value.writeUInt16LE(value.readUInt16LE(at) & ~(PLAIN_FLAG.EDGES | PLAIN_FLAG.QUICK), at);
    value.writeUInt32LE(this.#clock.jiffiesAt(this.#nowMs()), layout.value.lastSeen);
    libbpf().update(fd, key, value, EXISTING);
  }

  /** As FlowTable.repoint. */
  repoint(cursor: unknown): unknown {
    return visitBatch(this.#tables, cursor, (table, keyAt, valueAt) => {
      const { layout, keys, values, fd } = table;
      const nexthop = this.#nexthopOf(decodePlain(layout, keys, keyAt, values, valueAt));
      if (nexthopIn(layout, values, valueAt) === nexthop) return;
      const before = heldIn(layout, values, valueAt);
      // Read again just before writing, so that as little as possible is lost.
      const key = keys.subarray(keyAt, keyAt + layout.keySize);
      if (libbpf().lookup(fd, key, table.value) !== 0) return;
      const quick = this.#quickOf(table, key, 0);
      addEdges(layout, table.value, 0, quick?.counts(key, 0));
      table.value.writeUInt16LE(nexthop, layout.value.nexthop);
      const { flags } = layout.value;
      table.value.writeUInt16LE(table.value.readUInt16LE(flags) & ~PLAIN_FLAG.MADE, flags);
      this.#mark(layout, table.value, quick?.isQuick(table.value, 0) === true);
      if (libbpf().update(fd, key, table.value, ANY) !== 0) return;
      this.#renew(table, key, table.value, true);
      this.#nexthops.hold(nexthop);
      this.#nexthops.release(before);
    });
  }

  /** As FlowTable.close. */
  close(installed: boolean): void {
    this.offers?.close();
    let cursor: unknown;
    while (
      installed &&
      this.#quick.some(({ [PROTOCOL.TCP]: tcp, [PROTOCOL.UDP]: udp }) => tcp.size + udp.size > 0)
    ) {
      cursor = visitBatch(this.#tables, cursor, (table, keyAt) =>
        this.#unquicken(table, table.keys.subarray(keyAt, keyAt + table.layout.keySize)),
      );
      if (cursor === undefined) break;
    }
    this.#quick = [];
  }

  #forget(table: Table, key: Buffer): void {
    this.#unquicken(table, key);
    this.#clear(table, key, PLAIN_FLAG.EDGES);
  }

  #clear({ layout, fd, value }: Table, key: Buffer, flag: number): void {
    if (libbpf().lookup(fd, key, value) !== 0) return;
    const at = layout.value.flags;
    value.writeUInt16LE(value.readUInt16LE(at) & ~flag, at);
    libbpf().update(fd, key, value, ANY);
  }

  #quickOf({ layout }: Table, key: Buffer, keyAt: number): QuickFlows | undefined {
    const protocol = key.readUInt8(keyAt + layout.key.protocol);
    if (protocol !== PROTOCOL.TCP && protocol !== PROTOCOL.UDP) return undefined;
    return this.#quick[layout === PLAIN_LAYOUT4 ? 0 : 1]?.[protocol];
  }

  /** The table with key and value of the flow, as it is counted everywhere; undefined: there is none. */
  #lookup(flowKey: FlowKey): Table | undefined {
    const table = this.#tableOf(flowKey);
    const { layout, fd, key, value } = table;
    encodeKey(layout, flowKey, key);
    if (libbpf().lookup(fd, key, value) !== 0) return undefined;
    addLeft(layout, value, 0, this.#quickOf(table, key, 0)?.counts(key, 0));
    return table;
  }

  /** After a change in the map: the flow is quick with what stands there now, or not at all. */
  #renew(table: Table, key: Buffer, value: Buffer, isSame: boolean): void {
    const quick = this.#quickOf(table, key, 0);
    if (quick === undefined) return;
    const jiffies = this.#clock.jiffiesAt(this.#nowMs());
    if (quick.isQuick(value, 0) && quick.put(key, 0, value, 0, isSame, jiffies)) return;
    if (isSame) this.#unquicken(table, key);
    else quick.take(key, 0);
  }

  /** Of a value that was just read. */
  #quicken(table: Table, key: Buffer): void {
    const { layout, fd, value } = table;
    this.#mark(layout, value, true);
    if (libbpf().update(fd, key, value, EXISTING) === 0) this.#renew(table, key, value, true);
  }

  #mark({ value: { flags } }: PlainLayout, value: Buffer, isQuick: boolean): void {
    const others = value.readUInt16LE(flags) & ~PLAIN_FLAG.QUICK;
    value.writeUInt16LE(others | (isQuick ? PLAIN_FLAG.QUICK : 0), flags);
  }

  /** Its packets go the usual way from now on. Read just before it is written, so that little is lost. */
  #unquicken(table: Table, key: Buffer): void {
    const { layout, fd, value } = table;
    const left = this.#quickOf(table, key, 0)?.take(key, 0);
    if (left === undefined || libbpf().lookup(fd, key, value) !== 0) return;
    addLeft(layout, value, 0, left);
    this.#mark(layout, value, false);
    libbpf().update(fd, key, value, EXISTING);
  }

  #nexthopOf({ newSource, newDestination, direction }: PlainFlow): number {
    return this.#nexthops.indexOf(newSource, newDestination, direction);
  }

  #tableOf(key: FlowKey): Table {
    return this.#tables[plainLayoutOf(key) === PLAIN_LAYOUT4 ? 0 : 1] as Table;
  }
}

/** What a quick flow counted and learned, and the table does not know yet. */
function addLeft(layout: PlainLayout, values: Buffer, at: number, left: QuickCounts | undefined): void {
  if (left === undefined) return;
  addCounts(layout.value, values, at, left);
  addEdges(layout, values, at, left);
}

function addEdges({ value }: PlainLayout, values: Buffer, at: number, left: QuickCounts | undefined): void {
  if (left?.edges === undefined) return;
  values.writeUInt32LE(left.edges.sequence, at + value.sequence);
  values.writeUInt32LE(left.edges.acknowledged, at + value.acknowledged);
  values.writeUInt8(left.edges.strange, at + value.strange);
  values.writeUInt16LE(values.readUInt16LE(at + value.flags) | PLAIN_FLAG.EDGES, at + value.flags);
}
