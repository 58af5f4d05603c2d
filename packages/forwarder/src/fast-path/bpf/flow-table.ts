// The flow maps: install, remove, read, sweep in batches.

import type { Address } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName } from "../../kernel/libc.ts";
import type { Flow, FlowCounters, FlowKey } from "../port.ts";
import { type FamilyTable, familyTable, noteInstalled, visitBatch } from "./family-tables.ts";
import {
  countersOf,
  decodeFlow,
  encodeFlow,
  encodeKey,
  type FlowLayout,
  LAYOUT4,
  LAYOUT6,
  layoutOf,
} from "./flow-codec.ts";
import type { KernelClock } from "./kernel-clock.ts";
import { type NexthopTable, UNRESOLVED } from "./nexthops.ts";
import { addCounts, type QuickCounts, QuickFlows } from "./quick-flows.ts";
import { QUICK_SCTP4, QUICK_SCTP6 } from "./quick-layouts.ts";
import type { QuickStore } from "./quick-store.ts";

const ANY = 0;

type Nexthops = Pick<NexthopTable, "indexOf" | "hold" | "release">;

/** Numbers of next hops, as a flow's value holds them. */
interface Hops {
  readonly forward: number;
  readonly reply: number;
}

type Table = FamilyTable<FlowLayout>;

export class FlowTable {
  /** Installs that the map refused because it was full. */
  fullCount = 0;
  readonly #tables: readonly Table[];
  readonly #nexthops: Nexthops;
  readonly #clock: KernelClock;
  readonly #nowMs: () => number;
  #quick: readonly QuickFlows[];

  /** `quick`: what packets ask first. */
  constructor(
    fds: { flows4: number; flows6: number },
    nexthops: Nexthops,
    clock: KernelClock,
    nowMs: () => number,
    quick?: QuickStore,
  ) {
    this.#quick = quick ? [QUICK_SCTP4, QUICK_SCTP6].map((layout) => new QuickFlows(quick, layout)) : [];
    this.#nexthops = nexthops;
    this.#clock = clock;
    this.#nowMs = nowMs;
    this.#tables = [familyTable(LAYOUT4, fds.flows4), familyTable(LAYOUT6, fds.flows6)];
  }

  install(flow: Flow): boolean {
    const table = this.#tableOf(flow.key);
    const { layout, fd, key, value } = table;
    encodeKey(layout, flow.key, key);
    const existing = libbpf().lookup(fd, key, value) === 0;
    const before = existing ? hopsIn(layout, value, 0) : undefined;
    // Counters go on when a flow replaces one of the same session.
    const isSame = existing && value.readUInt32LE(layout.value.session) === flow.session >>> 0;
    if (!isSame) {
      value.fill(0);
      value.writeUInt32LE(this.#clock.jiffiesAt(this.#nowMs()), layout.value.lastSeen);
    }
    const hops = this.#hopsOf(flow);
    encodeFlow(layout, flow, hops, value);
    // What is not quick any more is so before it is anything else.
    const quick = this.#quickOf(table);
    if (existing && quick?.isQuick(value, 0) === false) {
      const left = quick.take(key, 0);
      if (isSame && left !== undefined) addCounts(layout.value, value, 0, left);
    }
    const result = libbpf().update(fd, key, value, ANY);
    if (result === 0) {
      noteInstalled(table);
      this.#renew(table, key, value, isSame);
      this.#hold(hops);
      this.#release(before);
      return true;
    }
    if (-result === ERRNO["E2BIG"] || -result === ERRNO["ENOMEM"]) {
      this.fullCount += 1;
      return false;
    }
    throw new Error(`installing a flow failed with ${errnoName(result)}`);
  }

  remove(key: FlowKey): void {
    const table = this.#tableOf(key);
    encodeKey(table.layout, key, table.key);
    this.#quickOf(table)?.take(table.key, 0);
    if (libbpf().lookup(table.fd, table.key, table.value) !== 0) return;
    if (libbpf().remove(table.fd, table.key) === 0) this.#release(hopsIn(table.layout, table.value, 0));
  }

  /** The flows of an earlier daemon: their next hops are in use. */
  adopt(): void {
    let cursor: unknown;
    do {
      cursor = this.#visit(cursor, ({ layout, values }, _keyAt, valueAt) =>
        this.#hold(hopsIn(layout, values, valueAt)),
      );
    } while (cursor !== undefined);
  }

  counters(key: FlowKey): FlowCounters | undefined {
    const table = this.#tableOf(key);
    encodeKey(table.layout, key, table.key);
    if (libbpf().lookup(table.fd, table.key, table.value) !== 0) return undefined;
    const left = this.#quickOf(table)?.counts(table.key, 0);
    if (left !== undefined) addCounts(table.layout.value, table.value, 0, left);
    return countersOf(table.layout, table.value, 0, this.#clock, this.#nowMs());
  }

  /** See `FastPath.sweep`. Flows that come or go meanwhile may be visited twice or not at all. */
  sweep(cursor: unknown, visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove"): unknown {
    return this.#visit(cursor, (table, keyAt, valueAt, nowMs) => {
      const { layout, keys, values, fd } = table;
      const flow = decodeFlow(layout, keys, keyAt, values, valueAt);
      const quick = this.#quickOf(table);
      const left = quick?.counts(keys, keyAt);
      if (left !== undefined) addCounts(layout.value, values, valueAt, left);
      const key = keys.subarray(keyAt, keyAt + layout.keySize);
      if (visit(flow, countersOf(layout, values, valueAt, this.#clock, nowMs)) === "remove") {
        quick?.take(keys, keyAt);
        const hops = hopsIn(layout, values, valueAt);
        if (libbpf().remove(fd, key) === 0) this.#release(hops);
      } else if (left === undefined && quick?.isQuick(values, valueAt)) {
        // An earlier daemon's, or one that a copy was asked of. The visit may have changed it: read again.
        if (libbpf().lookup(fd, key, table.value) === 0) this.#renew(table, key, table.value, true);
      }
    });
  }

  /** Before the quick flows' memory goes. `installed`: the map outlives this daemon, and knows what was counted. */
  close(installed: boolean): void {
    let cursor: unknown;
    while (installed && this.#quick.some(({ size }) => size > 0)) {
      cursor = this.#visit(cursor, (table, keyAt) => {
        const key = table.keys.subarray(keyAt, keyAt + table.layout.keySize);
        const left = this.#quickOf(table)?.take(key, 0);
        if (left !== undefined) this.#addTo(table, key, left);
      });
      if (cursor === undefined) break;
    }
    this.#quick = [];
  }

  /** Writes the next hops of at most a batch of flows again; for when routes have changed. Cursor as with `sweep`. */
  repoint(cursor: unknown): unknown {
    return this.#visit(cursor, (table, keyAt, valueAt) => {
      const { layout, keys, values, fd } = table;
      const flow = decodeFlow(layout, keys, keyAt, values, valueAt);
      const { forward, reply } = this.#hopsOf(flow);
      const before = hopsIn(layout, values, valueAt);
      if (before.forward === forward && before.reply === reply) return;
      // Read again just before writing, so that as few counts as possible are lost.
      const key = keys.subarray(keyAt, keyAt + layout.keySize);
      if (libbpf().lookup(fd, key, table.value) !== 0) return;
      table.value.writeUInt16LE(forward, layout.value.nexthop);
      table.value.writeUInt16LE(reply, layout.value.replyNexthop);
      if (libbpf().update(fd, key, table.value, ANY) !== 0) return;
      this.#renew(table, key, table.value, true);
      this.#hold({ forward, reply });
      this.#release(before);
    });
  }

  #quickOf(table: Table): QuickFlows | undefined {
    return this.#quick[table.layout === LAYOUT4 ? 0 : 1];
  }

  /** After a change in the map: the flow is quick with what stands there now, or not at all. */
  #renew(table: Table, key: Buffer, value: Buffer, isSame: boolean): void {
    const quick = this.#quickOf(table);
    if (quick === undefined) return;
    const jiffies = this.#clock.jiffiesAt(this.#nowMs());
    if (quick.isQuick(value, 0) && quick.put(key, 0, value, 0, isSame, jiffies)) return;
    const left = quick.take(key, 0);
    if (isSame && left !== undefined) this.#addTo(table, key, left);
  }

  /** Read just before it is written, so that as few counts as possible are lost. */
  #addTo({ layout, fd, value }: Table, key: Buffer, left: QuickCounts): void {
    if (left.packets === 0 || libbpf().lookup(fd, key, value) !== 0) return;
    addCounts(layout.value, value, 0, left);
    libbpf().update(fd, key, value, ANY);
  }

  #nexthopOf({ newSource, direction }: Flow, destination: Address): number {
    return this.#nexthops.indexOf(newSource, destination, direction);
  }

  /** Nothing is forwarded to an address that never proved itself: the slow path sends it its HEARTBEATs. */
  #hopsOf(flow: Flow): Hops {
    return {
      forward: flow.heartbeatOnly ? UNRESOLVED : this.#nexthopOf(flow, flow.newDestination),
      reply: flow.replyDestination === undefined ? UNRESOLVED : this.#nexthopOf(flow, flow.replyDestination),
    };
  }

  #hold({ forward, reply }: Hops): void {
    this.#nexthops.hold(forward);
    this.#nexthops.hold(reply);
  }

  #release(hops: Hops | undefined): void {
    if (hops === undefined) return;
    this.#nexthops.release(hops.forward);
    this.#nexthops.release(hops.reply);
  }

  #visit(
    cursor: unknown,
    each: (table: Table, keyAt: number, valueAt: number, nowMs: number) => void,
  ): unknown {
    const nowMs = this.#nowMs();
    return visitBatch(this.#tables, cursor, (table, keyAt, valueAt) => each(table, keyAt, valueAt, nowMs));
  }

  #tableOf(key: FlowKey): Table {
    return this.#tables[layoutOf(key) === LAYOUT4 ? 0 : 1] as Table;
  }
}

function hopsIn({ value }: FlowLayout, values: Buffer, at: number): Hops {
  return {
    forward: values.readUInt16LE(at + value.nexthop),
    reply: values.readUInt16LE(at + value.replyNexthop),
  };
}
