// What the translator looks up: flows, local addresses, endpoints.
import { addressBytes, prefixContains } from "@holdfast/model";
import { PROTOCOL, write16 } from "@holdfast/sctp";
import type {
  FastPathEndpoint,
  Flow,
  FlowCounters,
  FlowKey,
  LocalAddress,
  ProtocolPort,
  ServedPort,
} from "../port.ts";
import { BytesMap } from "./bytes-map.ts";
import { type FlowEntry, flowEntry, flowKeyBytes } from "./flow-entry.ts";
import { PlainTable } from "./plain/tables.ts";

/** Flows visited by one call of `sweep`. */
export const SWEEP_COUNT_MAX = 1024;
export const FLOW_COUNT_MAX_DEFAULT = 262_144;

export class FlowTables {
  flows = new BytesMap<FlowEntry>();
  local = new BytesMap<LocalEntry>();
  /** Ports of endpoints: a session's may speak from an address that is its own and that nobody configured. */
  endpointPorts: ReadonlySet<number> = new Set();
  readonly plain: PlainTable;
  /** Address, port and protocol. */
  #endpoints = new BytesMap<true>();
  readonly #endpointKey = new Uint8Array(19);
  readonly #flowCountMax: number;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, flowCountMax: number = FLOW_COUNT_MAX_DEFAULT) {
    this.#nowMs = nowMs;
    this.#flowCountMax = flowCountMax;
    this.plain = new PlainTable(nowMs, flowCountMax);
  }

  setLocal(addresses: readonly LocalAddress[]): void {
    const table = new BytesMap<LocalEntry>();
    for (const local of addresses) {
      const bytes = addressBytes(local.address);
      const ports = new Map(ofSctp(local.ports).map((served) => [served.port, served]));
      table.set(bytes, { local, ports, bytes });
    }
    this.local = table;
  }

  setEndpoints(endpoints: readonly FastPathEndpoint[]): void {
    this.endpointPorts = new Set(ofSctp(endpoints).map(({ port }) => port));
    this.#endpoints = new BytesMap();
    for (const { address, port, protocol } of endpoints) {
      const bytes = addressBytes(address);
      this.#endpoints.set(this.#endpointKeyOf(bytes, 0, bytes.length, port, protocol), true);
    }
  }

  /** Whether an endpoint of the protocol has this port at this address of `size` bytes. */
  isEndpoint(bytes: Uint8Array, offset: number, size: number, port: number, protocol: number): boolean {
    return this.#endpoints.get(this.#endpointKeyOf(bytes, offset, size, port, protocol)) !== undefined;
  }

  #endpointKeyOf(
    bytes: Uint8Array,
    offset: number,
    size: number,
    port: number,
    protocol: number,
  ): Uint8Array {
    const key = this.#endpointKey;
    for (let i = 0; i < size; i++) key[i] = bytes[offset + i] as number;
    write16(key, size, port);
    key[size + 2] = protocol;
    return key.subarray(0, size + 3);
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
    this.plain.clear();
    this.#endpoints = new BytesMap();
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

/** Those that decide about packets without a flow of SCTP. */
function ofSctp<Port extends ProtocolPort>(ports: readonly Port[]): readonly Port[] {
  return ports.filter(({ protocol }) => protocol === PROTOCOL.SCTP);
}

export interface LocalEntry {
  readonly local: LocalAddress;
  /** Of SCTP. */
  readonly ports: ReadonlyMap<number, ServedPort>;
  readonly bytes: Uint8Array;
}

/** Whether the service at a port lets this source begin; nobody's port says nothing. */
export function isAllowed(served: ServedPort | undefined, source: Uint8Array): boolean {
  return served?.allowedSources?.some((prefix) => prefixContains(prefix, source)) ?? true;
}

function countersOf(entry: FlowEntry): FlowCounters {
  return { packets: entry.packets, bytes: entry.bytes, lastSeenMs: entry.lastSeenMs };
}
