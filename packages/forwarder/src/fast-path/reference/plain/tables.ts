// Flows of TCP and UDP, as the reference translator looks them up.

import type { PlainEntry, PlainFlow, PlainFlowState, PlainFlows, PlainVisit } from "../../plain.ts";
import type { FlowKey } from "../../port.ts";
import { BytesMap } from "../bytes-map.ts";
import { flowKeyBytes } from "../flow-entry.ts";
import { type PlainFlowEntry, plainFlowEntry, plainState } from "./entry.ts";

/** Flows visited by one call of `sweep`. */
const SWEEP_COUNT_MAX = 1024;

export class PlainTable implements PlainFlows {
  flows = new BytesMap<PlainFlowEntry>();
  /** Installs that found no room. */
  fullCount = 0;
  readonly #flowCountMax: number;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number, flowCountMax: number) {
    this.#nowMs = nowMs;
    this.#flowCountMax = flowCountMax;
  }

  install(flow: PlainFlow): boolean {
    const key = flowKeyBytes(flow.key);
    const replaced = this.flows.get(key);
    if (replaced === undefined && this.flows.size >= this.#flowCountMax) {
      this.fullCount += 1;
      return false;
    }
    this.flows.set(key, plainFlowEntry(flow, this.#nowMs(), replaced));
    return true;
  }

  remove(key: FlowKey, session?: number): void {
    const bytes = flowKeyBytes(key);
    if (session === undefined || this.flows.get(bytes)?.flow.session === session) this.flows.delete(bytes);
  }

  read(key: FlowKey): PlainEntry | undefined {
    const entry = this.flows.get(flowKeyBytes(key));
    return entry && { flow: flowOf(entry), state: plainState(entry) };
  }

  stateOf(key: FlowKey): PlainFlowState | undefined {
    const entry = this.flows.get(flowKeyBytes(key));
    return entry && plainState(entry);
  }

  refresh(key: FlowKey, bytes: number): void {
    const entry = this.flows.get(flowKeyBytes(key));
    if (entry === undefined) return;
    entry.packets += 1;
    entry.bytes += bytes;
    entry.lastSeenMs = this.#nowMs();
  }

  sweep(cursor: unknown, visit: (flow: PlainFlow, state: PlainFlowState) => PlainVisit): unknown {
    let index = typeof cursor === "number" ? cursor : 0;
    const limit = this.flows.limit;
    for (let visited = 0; index < limit && visited < SWEEP_COUNT_MAX; index++) {
      const entry = this.flows.at(index);
      if (entry === undefined) continue;
      visited += 1;
      const verdict = visit(flowOf(entry), plainState(entry));
      if (verdict === "remove") this.flows.delete(flowKeyBytes(entry.flow.key));
      else if (verdict === "forget") entry.edges = undefined;
    }
    return index < limit ? index : undefined;
  }

  clear(): void {
    this.flows = new BytesMap();
  }
}

/** As it would be installed now: what was learned meanwhile is in the state. */
function flowOf({ flow, handshake, opening, awaiting, learn, windowScale }: PlainFlowEntry): PlainFlow {
  const { opening: _, awaiting: __, tcp, ...always } = flow;
  const now = { ...always, handshake, learn, ...(opening && { opening }), ...(awaiting && { awaiting }) };
  if (tcp === undefined) return now;
  return { ...now, tcp: { windowScale, shift: tcp.shift } };
}
