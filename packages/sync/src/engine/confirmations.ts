// What the view has joined, on its way to the engine. A word for each batch would wake the engine's thread
// twice for each tick: at most one in some milliseconds leaves by itself, and the others go with whatever
// else is said, before it, so that the engine reads both in their order.
import type { Clock, Timer } from "@holdfast/model";
import type { JoinedBatch, ToEngine } from "../ports/link.ts";

/** The engine waits this long for credit and for what was joined. */
const CONFIRM_MS = 10;
/** Fewer than the engine lets be under way (batchCountMax): it must not wait for the timer. */
const CONFIRM_COUNT_MAX = 4;

export interface ConfirmationPorts {
  readonly link: { post(message: ToEngine): void };
  readonly clock: Clock;
}

export class Confirmations {
  readonly #ports: ConfirmationPorts;
  #batches: JoinedBatch[] = [];
  #timer: Timer | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(ports: ConfirmationPorts) {
    this.#ports = ports;
  }

  add(batch: JoinedBatch): void {
    const { clock } = this.#ports;
    this.#batches.push(batch);
    // A writer that is contradicted goes on believing until it hears of it.
    const isDue = this.#batches.length >= CONFIRM_COUNT_MAX || batch.contradicted.length > 0;
    const leftMs = isDue ? 0 : this.#lastMs + CONFIRM_MS - clock.nowMs();
    if (leftMs <= 0) this.flush();
    else this.#timer ??= clock.after(leftMs, () => this.#late());
  }

  /** Says now what was joined. */
  flush(): void {
    if (this.#batches.length === 0) return;
    const batches = this.#batches;
    this.#batches = [];
    this.#lastMs = this.#ports.clock.nowMs();
    this.#ports.link.post({ kind: "joined", batches });
  }

  /** Nobody waits for it any longer. */
  clear(): void {
    this.#batches = [];
  }

  /** A timer that finds less to say than it was made for is not made anew for each batch. */
  #late(): void {
    const { clock } = this.#ports;
    const leftMs = this.#lastMs + CONFIRM_MS - clock.nowMs();
    this.#timer = undefined;
    if (this.#batches.length === 0) return;
    if (leftMs <= 0) this.flush();
    else this.#timer = clock.after(leftMs, () => this.#late());
  }
}
