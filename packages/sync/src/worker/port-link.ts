// The engine link over a MessagePort. Buffers move instead of being copied, and the receiving side hands
// messages on in slices of time: a port delivers a thousand messages in one turn of the event loop if it is
// let.
import type { MessagePort, Transferable } from "node:worker_threads";
import type { EngineLink } from "../ports/link.ts";
import { pack, unpack } from "./packed.ts";

/** Milliseconds of messages in one turn of the main thread, where packets wait. */
export const VIEW_SLICE_MS = 2;
/** The engine's thread has sockets to serve too. */
export const ENGINE_SLICE_MS = 8;
/** Buffers of at least this many bytes are moved; for smaller ones a copy is cheaper. */
const TRANSFER_BYTES_MIN = 1_024;

export class PortLink<Out extends object, In> implements EngineLink<Out, In> {
  readonly #port: MessagePort;
  readonly #sliceMs: number;
  readonly #nowMs: () => number;
  #waiting: In[] = [];
  #head = 0;
  /** When this turn's slice is over; undefined: it has not begun. */
  #endMs: number | undefined;
  #spent = false;
  #listener: ((message: In) => void) | undefined;

  constructor(port: MessagePort, sliceMs: number, nowMs = () => performance.now()) {
    this.#port = port;
    this.#sliceMs = sliceMs;
    this.#nowMs = nowMs;
  }

  post(message: Out): void {
    const packed = pack(message);
    this.#port.postMessage(packed, transferablesOf(packed));
  }

  listen(listener: (message: In) => void): void {
    this.#listener = listener;
    this.#port.on("message", (message: object) => {
      this.#waiting.push(unpack(message) as In);
      if (!this.#spent) this.#run();
    });
  }

  /** Messages that arrived and wait for their slice. */
  get waitingCount(): number {
    return this.#waiting.length - this.#head;
  }

  close(): void {
    this.#listener = undefined;
    this.#waiting = [];
    this.#head = 0;
    this.#port.close();
  }

  /** Every message is an event of its own: the slice is that of the turn, not of the event. */
  #run(): void {
    if (this.#endMs === undefined) {
      this.#endMs = this.#nowMs() + this.#sliceMs;
      // Sockets and timers have their turn before the next slice.
      setImmediate(() => this.#nextTurn());
    }
    while (!this.#spent && this.#head < this.#waiting.length && this.#listener !== undefined) {
      const message = this.#waiting[this.#head++] as In;
      this.#listener(message);
      this.#spent = this.#nowMs() >= this.#endMs;
    }
    if (this.#head === this.#waiting.length) {
      this.#waiting = [];
      this.#head = 0;
    }
  }

  #nextTurn(): void {
    this.#endMs = undefined;
    this.#spent = false;
    if (this.#head > 1_024) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    if (this.#head < this.#waiting.length && this.#listener !== undefined) this.#run();
  }
}

/** Buffers of a message that are worth moving: top-level, one level deep, and in lists. */
export function transferablesOf(message: object): Transferable[] {
  const found = new Set<ArrayBuffer>();
  collect(message, 0, found);
  return [...found];
}

function collect(value: unknown, depth: number, found: Set<ArrayBuffer>): void {
  if (value instanceof Uint8Array) {
    const { buffer } = value;
    // A view on a part of something larger (Node's pool, a received frame) must not take the whole with it.
    if (
      value.byteLength >= TRANSFER_BYTES_MIN &&
      buffer instanceof ArrayBuffer &&
      buffer.byteLength === value.byteLength
    )
      found.add(buffer);
    return;
  }
  if (depth >= 2 || typeof value !== "object" || value === null || value instanceof Map) return;
  for (const item of Array.isArray(value) ? value : Object.values(value)) collect(item, depth + 1, found);
}
