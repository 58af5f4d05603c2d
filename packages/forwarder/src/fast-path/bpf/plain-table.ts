// The maps of TCP's and UDP's flows: install, remove, read, sweep in batches.

import { libbpf } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName } from "../../kernel/libc.ts";
import type { PlainEntry, PlainFlow, PlainFlowState, PlainFlows, PlainVisit } from "../plain.ts";
import type { FlowKey } from "../port.ts";
import { PLAIN_FLAG } from "./abi.ts";
import { type FamilyTable, familyTable, visitBatch } from "./family-tables.ts";
import { encodeKey } from "./flow-codec.ts";
import type { KernelClock } from "./kernel-clock.ts";
import type { NexthopTable } from "./nexthops.ts";
import {
  decodePlain,
  decodePlainState,
  encodePlain,
  PLAIN_LAYOUT4,
  PLAIN_LAYOUT6,
  type PlainLayout,
  plainLayoutOf,
} from "./plain-codec.ts";

const ANY = 0;
const EXISTING = 2;

type Nexthops = Pick<NexthopTable, "indexOf" | "hold" | "release">;
type Table = FamilyTable<PlainLayout>;

export class PlainFlowTable implements PlainFlows {
  /** Installs that the map refused because it was full. */
  fullCount = 0;
  readonly #tables: readonly Table[];
  readonly #nexthops: Nexthops;
  readonly #clock: KernelClock;
  readonly #nowMs: () => number;

  constructor(
    fds: { readonly plain4: number; readonly plain6: number },
    nexthops: Nexthops,
    clock: KernelClock,
    nowMs: () => number,
  ) {
    this.#nexthops = nexthops;
    this.#clock = clock;
    this.#nowMs = nowMs;
    this.#tables = [familyTable(PLAIN_LAYOUT4, fds.plain4), familyTable(PLAIN_LAYOUT6, fds.plain6)];
  }

  install(flow: PlainFlow): boolean {
    const table = this.#tableOf(flow.key);
    const { layout, fd, key, value } = table;
    encodeKey(layout, flow.key, key);
    const existing = libbpf().lookup(fd, key, value) === 0;
    const before = existing ? nexthopIn(layout, value, 0) : undefined;
    if (!existing || value.readUInt32LE(layout.value.session) !== flow.session >>> 0) {
      value.fill(0);
      value.writeUInt32LE(this.#clock.jiffiesAt(this.#nowMs()), layout.value.lastSeen);
    }
    const nexthop = this.#nexthopOf(flow);
    encodePlain(layout, flow, nexthop, value);
    const result = libbpf().update(fd, key, value, ANY);
    if (result === 0) {
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
    const { layout, fd, key: keyBytes, value } = this.#tableOf(key);
    encodeKey(layout, key, keyBytes);
    if (libbpf().lookup(fd, keyBytes, value) !== 0) return;
    if (session !== undefined && value.readUInt32LE(layout.value.session) !== session >>> 0) return;
    if (libbpf().remove(fd, keyBytes) === 0) this.#nexthops.release(nexthopIn(layout, value, 0));
  }

  stateOf(key: FlowKey): PlainFlowState | undefined {
    const { layout, fd, key: keyBytes, value } = this.#tableOf(key);
    encodeKey(layout, key, keyBytes);
    if (libbpf().lookup(fd, keyBytes, value) !== 0) return undefined;
    return decodePlainState(layout, value, 0, this.#clock, this.#nowMs());
  }

  read(key: FlowKey): PlainEntry | undefined {
    const { layout, fd, key: keyBytes, value } = this.#tableOf(key);
    encodeKey(layout, key, keyBytes);
    if (libbpf().lookup(fd, keyBytes, value) !== 0) return undefined;
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

  /** Flows that come or go meanwhile may be visited twice or not at all. */
  sweep(cursor: unknown, visit: (flow: PlainFlow, state: PlainFlowState) => PlainVisit): unknown {
    const nowMs = this.#nowMs();
    return visitBatch(this.#tables, cursor, (table, keyAt, valueAt) => {
      const { layout, keys, values, fd } = table;
      const flow = decodePlain(layout, keys, keyAt, values, valueAt);
      const verdict = visit(flow, decodePlainState(layout, values, valueAt, this.#clock, nowMs));
      const key = keys.subarray(keyAt, keyAt + layout.keySize);
      if (verdict === "remove") {
        const nexthop = nexthopIn(layout, values, valueAt);
        if (libbpf().remove(fd, key) === 0) this.#nexthops.release(nexthop);
      } else if (verdict === "forget") this.#forget(table, key);
    });
  }

  /** The flows of an earlier daemon: their next hops are in use. */
  adopt(): void {
    let cursor: unknown;
    do {
      cursor = visitBatch(this.#tables, cursor, ({ layout, values }, _keyAt, valueAt) =>
        this.#nexthops.hold(nexthopIn(layout, values, valueAt)),
      );
    } while (cursor !== undefined);
  }

  /** As FlowTable.repoint. */
  repoint(cursor: unknown): unknown {
    return visitBatch(this.#tables, cursor, (table, keyAt, valueAt) => {
      const { layout, keys, values, fd } = table;
      const nexthop = this.#nexthopOf(decodePlain(layout, keys, keyAt, values, valueAt));
      const before = nexthopIn(layout, values, valueAt);
      if (before === nexthop) return;
      // Read again just before writing, so that as little as possible is lost.
      const key = keys.subarray(keyAt, keyAt + layout.keySize);
      if (libbpf().lookup(fd, key, table.value) !== 0) return;
      table.value.writeUInt16LE(nexthop, layout.value.nexthop);
      if (libbpf().update(fd, key, table.value, ANY) !== 0) return;
      this.#nexthops.hold(nexthop);
      this.#nexthops.release(before);
    });
  }

  #forget({ layout, fd, value }: Table, key: Buffer): void {
    if (libbpf().lookup(fd, key, value) !== 0) return;
    const at = layout.value.flags;
    value.writeUInt16LE(value.readUInt16LE(at) & ~PLAIN_FLAG.EDGES, at);
    libbpf().update(fd, key, value, ANY);
  }

  #nexthopOf({ newSource, newDestination, direction }: PlainFlow): number {
    return this.#nexthops.indexOf(newSource, newDestination, direction);
  }

  #tableOf(key: FlowKey): Table {
    return this.#tables[plainLayoutOf(key) === PLAIN_LAYOUT4 ? 0 : 1] as Table;
  }
}

function nexthopIn({ value }: PlainLayout, values: Buffer, at: number): number {
  return values.readUInt16LE(at + value.nexthop);
}
