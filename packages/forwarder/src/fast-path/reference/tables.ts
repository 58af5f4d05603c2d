// What the translator looks up: flows, local addresses, endpoints.
import { type Address, addressBytes } from "@holdfast/model";
import { write16 } from "@holdfast/sctp";
import type { Flow, FlowCounters, FlowKey, LocalAddress } from "../port.ts";
import { BytesMap } from "./bytes-map.ts";
import { type FlowEntry, flowEntry, flowKeyBytes } from "./flow-entry.ts";

/** Flows visited by one call of `sweep`. */
export const SWEEP_COUNT_MAX = 1024;
export const FLOW_COUNT_MAX_DEFAULT = 262_144;

export class FlowTables {
  flows = new BytesMap<FlowEntry>();
  local = new BytesMap<LocalEntry>();
  endpoints = new BytesMap<true>();
  readonly #flowCountMax: number;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, flowCountMax: number = FLOW_COUNT_MAX_DEFAULT) {
    this.#nowMs = nowMs;
    this.#flowCountMax = flowCountMax;
  }

  setLocal(addresses: readonly LocalAddress[]): void {
    const table = new BytesMap<LocalEntry>();
    for (const local of addresses) {
      const bytes = addressBytes(local.address);
      table.set(bytes, { local, ports: new Set(local.ports), bytes });
    }
    this.local = table;
  }

  setEndpoints(endpoints: readonly { readonly address: Address; readonly port: number }[]): void {
    const table = new BytesMap<true>();
    for (const endpoint of endpoints) {
      const address = addressBytes(endpoint.address);
      const key = new Uint8Array(address.length + 2);
      key.set(address);
      write16(key, address.length, endpoint.port);
      table.set(key, true);
    }
    this.endpoints = table;
  }

  /** false: the table is full and the key is new. */
  install(flow: Flow): boolean {
    const key = flowKeyBytes(flow.key);
    const replaced = this.flows.get(key);
    if (replaced === undefined && this.flows.size >= this.#flowCountMax) return false;
    this.flows.set(key, flowEntry(flow, this.#nowMs(), replaced));
    return true;
  }

  remove(key: FlowKey): void {
    this.flows.delete(flowKeyBytes(key));
  }

  counters(key: FlowKey): FlowCounters | undefined {
    const entry = this.flows.get(flowKeyBytes(key));
    return entry && countersOf(entry);
  }

  clear(): void {
    this.flows = new BytesMap();
    this.local = new BytesMap();
    this.endpoints = new BytesMap();
  }

  /** See `FastPath.sweep`; the cursor is an entry number. */
  sweep(cursor: unknown, visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove"): unknown {
    let index = typeof cursor === "number" ? cursor : 0;
    const limit = this.flows.limit;
    for (let visited = 0; index < limit && visited < SWEEP_COUNT_MAX; index++) {
      const entry = this.flows.at(index);
      if (entry === undefined) continue;
      visited += 1;
      if (visit(entry.flow, countersOf(entry)) === "remove") this.flows.delete(flowKeyBytes(entry.flow.key));
    }
    return index < limit ? index : undefined;
  }
}

export interface LocalEntry {
  readonly local: LocalAddress;
  readonly ports: ReadonlySet<number>;
  readonly bytes: Uint8Array;
}

function countersOf(entry: FlowEntry): FlowCounters {
  return { packets: entry.packets, bytes: entry.bytes, lastSeenMs: entry.lastSeenMs };
}
