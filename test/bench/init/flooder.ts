// INITs from a host of the lab as fast as a core makes them, or as fast as is asked: the benchmarks' packet
// generator in a thread of its own, which lives in the host's network namespace.
import { Worker } from "node:worker_threads";
import type { Host } from "@holdfast/testkit";

/** The receiver window in a flood's INITs, by which they are known again behind the translation. */
export const FLOOD_WINDOW = 0x000f_100d;

/** Whose INITs they are. */
export interface Origin {
  /** The first address; the others follow. */
  readonly source: string;
  /** A power of two. */
  readonly sourceCount: number;
}

/** Nobody's: every packet comes from another prefix before one comes again. */
export const SPOOFED: Origin = { source: "100.64.0.0", sourceCount: 4_194_304 };

export interface FloodTarget {
  readonly network: string;
  /** Whom the host's cable leads to, for `vip`. */
  readonly mac: string;
  readonly vip: string;
  readonly port: number;
}

export interface FloodData {
  readonly namespace: string;
  readonly mac: string;
  readonly target: FloodTarget;
  readonly origin: Origin;
}

export interface FloodOrder {
  /** INITs a second; 0: as many as can be. */
  readonly perSecond: number;
  readonly durationMs: number;
}

export interface Flooded {
  readonly sent: number;
  readonly durationMs: number;
}

export class Flooder {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;

  constructor(host: Host, target: FloodTarget, origin: Origin) {
    const workerData: FloodData = {
      namespace: host.namespace,
      mac: host.mac(target.network),
      target,
      origin,
    };
    this.#worker = new Worker(new URL("./flooder-thread.ts", import.meta.url), { workerData });
    this.#failed = new Promise((_, reject) => this.#worker.once("error", reject));
    this.#failed.catch(() => {});
  }

  flood(order: FloodOrder): Promise<Flooded> {
    this.#worker.postMessage(order);
    const flooded = new Promise<Flooded>((resolve) => this.#worker.once("message", resolve));
    return Promise.race([flooded, this.#failed]);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
