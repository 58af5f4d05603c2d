// Events of Services and pools, as `kubectl describe` shows them. The same one again counts up the first; a flood of one object
// is held back, and so is everything while the API server does not take it: events are words, not state.
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
  count: number;
  /** The write before: they are in order. */
  done: Promise<unknown>;
}

export class Events implements EventRecorder {
  readonly #options: EventOptions;
  readonly #wallMs: () => number;
  readonly #remembered = new Map<string, Remembered>();
  readonly #recent = new Map<string, { startedAtMs: number; count: number }>();
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
  async flushed(): Promise<void> {
    await Promise.all([...this.#remembered.values()].map(({ done }) => done));
  }

  #record(type: "Normal" | "Warning", object: KubernetesObject, reason: string, text: string): void {
    const { metadata } = object;
    if (!this.#isWithinRate(metadata.uid ?? metadata.name)) {
      this.dropped++;
      return;
    }
    const message = text.slice(0, MESSAGE_LENGTH_MAX);
    const now = `${new Date(this.#wallMs()).toISOString().slice(0, 19)}Z`;
    const key = JSON.stringify([metadata.uid, type, reason, message]);
    const known = this.#remembered.get(key);
    if (known !== undefined) {
      known.count++;
      const { name, namespace, count } = known;
      const change = { count, lastTimestamp: now };
      known.done = known.done
        .then(() => this.#options.client.patch(EVENTS, { namespace, name }, change))
        .catch(this.#options.onFailure);
      return;
    }
    const event = this.#eventOf(type, object, reason, message, now);
    const done = this.#options.client.create(EVENTS, event).catch(this.#options.onFailure);
    this.#remembered.set(key, {
      name: event.metadata.name,
      namespace: event.metadata.namespace ?? "default",
      count: 1,
      done,
    });
    const oldest = this.#remembered.keys().next().value;
    if (this.#remembered.size > REMEMBERED_MAX && oldest !== undefined) this.#remembered.delete(oldest);
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

let sequence = 0;

function eventName({ name }: Metadata, wallMs: number): string {
  sequence = (sequence + 1) % 0x1_0000;
  return `${name.slice(0, 200)}.${wallMs.toString(16)}${sequence.toString(16).padStart(4, "0")}`;
}
