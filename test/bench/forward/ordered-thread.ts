// A packet generator in a thread of its own, in the network namespace of a host of the lab: one order
// after the other, each with what became of it.
import { Worker } from "node:worker_threads";

export interface Sent {
  readonly sent: number;
  readonly durationMs: number;
}

export class Generator<Order> {
  readonly #worker: Worker;
  readonly #failed: Promise<never>;

  /** `thread`: a program that answers each message, an order, with a `Sent`. */
  constructor(thread: URL, workerData: object) {
    this.#worker = new Worker(thread, { workerData });
    this.#failed = new Promise((_, reject) => this.#worker.once("error", reject));
    this.#failed.catch(() => {});
  }

  /** Rejects when the thread has failed. */
  send(order: Order): Promise<Sent> {
    this.#worker.postMessage(order);
    const sent = new Promise<Sent>((resolve) => this.#worker.once("message", resolve));
    return Promise.race([sent, this.#failed]);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
