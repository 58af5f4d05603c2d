// One kind of packet again and again, as fast as a core makes it, from a host of the lab: the benchmarks'
// generator in a thread of its own, which lives in the host's network namespace.
import { Worker } from "node:worker_threads";
import type { Host } from "@holdfast/testkit";

/** A whole IPv4 packet of TCP or UDP, which comes from `flowCount` addresses and ports, from its own on. */
export interface EnemyOrder {
  readonly packet: Uint8Array;
  readonly flowCount: number;
  readonly durationMs: number;
}

export interface EnemyData {
  readonly namespace: string;
  readonly network: string;
  readonly sourceMac: string;
  readonly destinationMac: string;
}

export interface Sent {
  readonly sent: number;
  readonly durationMs: number;
}

export class Enemy {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;

  /** `destinationMac`: whom the packets reach on `network`. */
  constructor(host: Host, network: string, destinationMac: string) {
    const workerData: EnemyData = {
      ...{ namespace: host.namespace, network, destinationMac },
      sourceMac: host.mac(network),
    };
    this.#worker = new Worker(new URL("./enemy-thread.ts", import.meta.url), { workerData });
    this.#failed = new Promise((_, reject) => this.#worker.once("error", reject));
    this.#failed.catch(() => {});
  }

  send(order: EnemyOrder): Promise<Sent> {
    this.#worker.postMessage(order);
    const sent = new Promise<Sent>((resolve) => this.#worker.once("message", resolve));
    return Promise.race([sent, this.#failed]);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
