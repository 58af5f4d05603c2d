// Flows that only their member knows, until they are old enough that the others are told. Housekeeping's round
// goes by all flows, and takes the longer the more there are; what is lost with a member is not to grow with that.
import { isPlainEnded, REPLICATE_AFTER_DEFAULT_MS, REPLICATE_DEFAULT, type Service } from "@holdfast/model";
import { Fifo } from "../../fifo.ts";
import type { LocalFlow } from "./flow.ts";

/** Who is to be older is found by the round. */
const AFTER_MOST_MS = 10_000;
/** What is not told then is looked at again at twice its age, so often. */
const STEP_MOST = 4;
/** Looked at in one turn: more than begin meanwhile. */
const LOOK_COUNT_MAX = 1_024;

interface Waiting {
  readonly afterMs: number;
  readonly step: number;
  /** In the order in which they were born, nearly. */
  readonly flows: Fifo<LocalFlow>;
}

export class YoungFlows {
  readonly #waiting = new Map<string, Waiting>();

  add(flow: LocalFlow, service: Pick<Service, "replicate" | "replicateAfterMs"> | undefined): void {
    const { replicate = REPLICATE_DEFAULT, replicateAfterMs = REPLICATE_AFTER_DEFAULT_MS } = service ?? {};
    if (replicate === "long-lived" && replicateAfterMs <= AFTER_MOST_MS)
      this.#wait(flow, replicateAfterMs, 1);
  }

  /** `look` tells the others of a flow that is due; false: it never will be. */
  tick(nowMs: number, look: (flow: LocalFlow) => boolean): void {
    let left = LOOK_COUNT_MAX;
    for (const [name, { afterMs, step, flows }] of this.#waiting) {
      for (let flow = flows.first; flow !== undefined && left > 0; flow = flows.first) {
        if (nowMs - flow.bornMs < afterMs * step) break;
        flows.shift();
        if (flow.isPublished || isPlainEnded(flow.record)) continue;
        left -= 1;
        if (look(flow) && !flow.isPublished && step < STEP_MOST) this.#wait(flow, afterMs, 2 * step);
      }
      if (flows.size === 0) this.#waiting.delete(name);
    }
  }

  #wait(flow: LocalFlow, afterMs: number, step: number): void {
    const name = `${afterMs}*${step}`;
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) this.#waiting.set(name, { afterMs, step, flows: fifoOf(flow) });
    else waiting.flows.add(flow);
  }
}

function fifoOf(flow: LocalFlow): Fifo<LocalFlow> {
  const fifo = new Fifo<LocalFlow>();
  fifo.add(flow);
  return fifo;
}
