// The engine link over a MessagePort. Buffers move instead of being copied, and the receiving side hands messages on
// in slices of time: a port delivers a thousand messages in one turn of the event loop if it is let.
import type { MessagePort, Transferable } from "node:worker_threads";
import type { EngineLink } from "../ports.ts";

/** Milliseconds of messages in one turn of the main thread, where packets wait. */
export const VIEW_SLICE_MS = 2;
/** The engine's thread has sockets to serve too. */
export const ENGINE_SLICE_MS = 8;
/** Buffers of at least this many bytes are moved; for smaller ones a copy is cheaper. */
const TRANSFER_BYTES_MIN = 1_024;

export class PortLink<Out extends object, In> implements EngineLink<Out, In> {
  readonly #port: MessagePort;
  readonly #sliceMs: number;
  #waiting: In[] = [];
  #head = 0;
  #running = false;
  #listener: ((message: In) => void) | undefined;

  constructor(port: MessagePort, sliceMs: number) {
    this.#port = port;
    this.#sliceMs = sliceMs;
  }

  post(message: Out): void {
    this.#port.postMessage(message, transferablesOf(message));
  }

  listen(listener: (message: In) => void): void {
    this.#listener = listener;
    this.#port.on("message", (message: In) => {
      this.#waiting.push(message);
      if (!this.#running) this.#run();
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

  #run(): void {
    this.#running = true;
    const endMs = performance.now() + this.#sliceMs;
    while (this.#head < this.#waiting.length && this.#listener !== undefined) {
      const message = this.#waiting[this.#head++] as In;
      this.#listener(message);
      if (performance.now() >= endMs) break;
    }
    if (this.#head < this.#waiting.length && this.#listener !== undefined) {
      if (this.#head > 1_024) {
        this.#waiting = this.#waiting.slice(this.#head);
        this.#head = 0;
      }
      // After sockets and timers have had their turn; `running` stays set, so that order is kept.
      setImmediate(() => this.#run());
      return;
    }
    this.#waiting = [];
    this.#head = 0;
    this.#running = false;
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
