// What the translator looks up: flows, local addresses, endpoints.
import { addressBytes } from "@holdfast/model";
import { PROTOCOL } from "@holdfast/sctp";
import type { FastPathEndpoint, Flow, FlowCounters, FlowKey, LocalAddress, ProtocolPort } from "../port.ts";
import { BytesMap } from "./bytes-map.ts";
import { type FlowEntry, flowEntry, flowKeyBytes } from "./flow-entry.ts";

/** Flows visited by one call of `sweep`. */
export const SWEEP_COUNT_MAX = 1024;
export const FLOW_COUNT_MAX_DEFAULT = 262_144;

export class FlowTables {
  flows = new BytesMap<FlowEntry>();
  local = new BytesMap<LocalEntry>();
  /** Ports of endpoints: a session's may speak from an address that is its own and that nobody configured. */
  endpointPorts: ReadonlySet<number> = new Set();
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
      table.set(bytes, { local, ports: sctpPorts(local.ports), bytes });
    }
    this.local = table;
  }

  setEndpoints(endpoints: readonly FastPathEndpoint[]): void {
    this.endpointPorts = sctpPorts(endpoints);
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
    this.endpointPorts = new Set();
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

/** The translator decides about SCTP alone. */
function sctpPorts(ports: readonly ProtocolPort[]): ReadonlySet<number> {
  return new Set(ports.filter(({ protocol }) => protocol === PROTOCOL.SCTP).map(({ port }) => port));
}

export interface LocalEntry {
  readonly local: LocalAddress;
  /** Of SCTP. */
  readonly ports: ReadonlySet<number>;
  readonly bytes: Uint8Array;
}

function countersOf(entry: FlowEntry): FlowCounters {
  return { packets: entry.packets, bytes: entry.bytes, lastSeenMs: entry.lastSeenMs };
}
