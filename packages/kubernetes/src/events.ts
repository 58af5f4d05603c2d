// Events of Services and pools, as `kubectl describe` shows them. The same one again counts up the first; a flood
// of one object is held back, and so is everything while the API server does not take it: events are words, not
// state.
import { createHash } from "node:crypto";
import type { KubernetesClient } from "./client/client.ts";
import { EVENTS, type KubernetesEvent, type KubernetesObject, type Metadata } from "./objects.ts";

/** Of one object within ten minutes; beyond, they are dropped. */
const EVENT_COUNT_MAX = 30;
const WINDOW_MS = 600_000;
/** Remembered for counting up; beyond, the oldest is forgotten. */
const REMEMBERED_MAX = 4096;
const MESSAGE_LENGTH_MAX = 1000;

export interface EventRecorder {
  normal(object: KubernetesObject, reason: string, message: string): void;
  warning(object: KubernetesObject, reason: string, message: string): void;
}

export interface EventOptions {
  readonly client: KubernetesClient;
  readonly component: string;
  readonly instance: string;
  readonly onFailure: (error: unknown) => void;
  readonly wallMs?: () => number;
}

interface Remembered {
  readonly name: string;
  readonly namespace: string;
  /** Until it is written. */
  event: KubernetesEvent | undefined;
  count: number;
  lastTimestamp: string;
}

/**
 * Few are written at once: a controller that starts beside a thousand Services has thousands to say, and its
 * other requests are not to wait behind them.
 */
const WIDTH = 4;
/** Waiting to be written; beyond, they are dropped. */
const WAITING_MAX = 8192;

export class Events implements EventRecorder {
  readonly #options: EventOptions;
  readonly #wallMs: () => number;
  readonly #remembered = new Map<string, Remembered>();
  readonly #recent = new Map<string, { startedAtMs: number; count: number }>();
  /** Written in this order; one that is said again meanwhile counts up where it waits. */
  readonly #waiting = new Map<string, Remembered>();
  readonly #running = new Set<string>();
  readonly #onFlushed: (() => void)[] = [];
  dropped = 0;

  constructor(options: EventOptions) {
    this.#options = options;
    this.#wallMs = options.wallMs ?? Date.now;
  }

  normal(object: KubernetesObject, reason: string, message: string): void {
    this.#record("Normal", object, reason, message);
  }

  warning(object: KubernetesObject, reason: string, message: string): void {
    this.#record("Warning", object, reason, message);
  }

  /** Everything that was said is written, or has failed. */
  flushed(): Promise<void> {
    if (this.#waiting.size + this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onFlushed.push(resolve));
  }

  #record(type: "Normal" | "Warning", object: KubernetesObject, reason: string, text: string): void {
    const { metadata } = object;
    if (!this.#isWithinRate(metadata.uid ?? metadata.name) || this.#waiting.size >= WAITING_MAX) {
      this.dropped++;
      return;
    }
    const message = text.slice(0, MESSAGE_LENGTH_MAX);
    const now = `${new Date(this.#wallMs()).toISOString().slice(0, 19)}Z`;
    const key = keyOf([metadata.uid, type, reason, message]);
    const known = this.#remembered.get(key);
    if (known !== undefined) {
      known.count++;
      known.lastTimestamp = now;
    }
    const said = known ?? this.#remember(key, this.#eventOf(type, object, reason, message, now), now);
    this.#waiting.set(key, said);
    this.#pump();
  }

  #remember(key: string, event: KubernetesEvent, lastTimestamp: string): Remembered {
    const { name, namespace = "default" } = event.metadata;
    const said: Remembered = { name, namespace, event, count: 1, lastTimestamp };
    this.#remembered.set(key, said);
    const oldest = this.#remembered.keys().next().value;
    if (this.#remembered.size > REMEMBERED_MAX && oldest !== undefined) this.#remembered.delete(oldest);
    return said;
  }

  #pump(): void {
    for (const [key, said] of this.#waiting) {
      if (this.#running.size >= WIDTH) return;
      // The write before comes first: they are in order.
      if (this.#running.has(key)) continue;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#write(key, said);
    }
  }

  async #write(key: string, said: Remembered): Promise<void> {
    const { client, onFailure } = this.#options;
    const { name, namespace, event, count, lastTimestamp } = said;
    said.event = undefined;
    try {
      if (event === undefined) await client.patch(EVENTS, { namespace, name }, { count, lastTimestamp });
      else await client.create(EVENTS, { ...event, count, lastTimestamp });
    } catch (error) {
      onFailure(error);
      // What is not there cannot be counted up.
      this.#remembered.delete(key);
      this.#waiting.delete(key);
    }
    this.#running.delete(key);
    this.#pump();
    if (this.#waiting.size + this.#running.size > 0) return;
    for (const resolve of this.#onFlushed.splice(0)) resolve();
  }

  #eventOf(
    type: "Normal" | "Warning",
    object: KubernetesObject,
    reason: string,
    message: string,
    now: string,
  ): KubernetesEvent {
    const { metadata, apiVersion = "v1", kind = "Service" } = object;
    return {
      metadata: { name: eventName(metadata, this.#wallMs()), namespace: metadata.namespace ?? "default" },
      involvedObject: {
        apiVersion,
        kind,
        name: metadata.name,
        ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
        ...(metadata.uid !== undefined && { uid: metadata.uid }),
      },
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: this.#options.component },
      reportingComponent: this.#options.component,
      reportingInstance: this.#options.instance,
    };
  }

  #isWithinRate(object: string): boolean {
    const nowMs = performance.now();
    for (const [name, { startedAtMs }] of this.#recent) {
      if (nowMs - startedAtMs < WINDOW_MS) break;
      this.#recent.delete(name);
    }
    const recent = this.#recent.get(object) ?? { startedAtMs: nowMs, count: 0 };
    recent.count++;
    this.#recent.set(object, recent);
    return recent.count <= EVENT_COUNT_MAX;
  }
}

/** Short, whatever was said: thousands are remembered. */
function keyOf(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
}

let sequence = 0;

function eventName({ name }: Metadata, wallMs: number): string {
  sequence = (sequence + 1) % 0x1_0000;
  return `${name.slice(0, 200)}.${wallMs.toString(16)}${sequence.toString(16).padStart(4, "0")}`;
}
