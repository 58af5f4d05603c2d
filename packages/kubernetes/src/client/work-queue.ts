// Keys that want looking at. A key is worked on by one at a time; asked for again meanwhile, it comes once more. One that
// fails comes back after a while of its own and holds nobody up.
import { Backoff, type BackoffOptions } from "./backoff.ts";
import { KubernetesError } from "./error.ts";

export interface WorkQueueOptions {
  readonly work: (key: string) => Promise<void>;
  readonly width: number;
  readonly backoff: BackoffOptions;
  readonly onFailure: (key: string, error: unknown, retryMs: number) => void;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #running = new Set<string>();
  readonly #again = new Set<string>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly dueMs: number }>();
  #isStopped = false;
  #onIdle: (() => void)[] = [];

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys that wait or are worked on; those that failed and come back later are not among them. */
  get size(): number {
    return this.#waiting.size + this.#running.size;
  }

  get failing(): number {
    return this.#backoffs.size;
  }

  add(key: string): void {
    if (this.#isStopped) return;
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
    this.#waiting.add(key);
    this.#pump();
  }

  /** Of several times the first. */
  addLater(key: string, ms: number): void {
    if (this.#isStopped || this.#waiting.has(key)) return;
    const dueMs = performance.now() + ms;
    const before = this.#timers.get(key);
    if (before !== undefined && before.dueMs <= dueMs) return;
    clearTimeout(before?.timer);
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, ms);
    this.#timers.set(key, { timer, dueMs });
  }

  /** Resolves when nothing waits and nothing runs. */
  idle(): Promise<void> {
    return this.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Nothing new begins; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.clear();
    this.#again.clear();
    await this.idle();
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.width) return;
      this.#waiting.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    let retryMs: number | undefined;
    try {
      await this.#options.work(key);
      this.#backoffs.delete(key);
    } catch (error) {
      const backoff = this.#backoffs.get(key) ?? new Backoff(this.#options.backoff);
      this.#backoffs.set(key, backoff);
      retryMs = backoff.next(error instanceof KubernetesError ? error.retryAfterMs : undefined);
      if (!this.#isStopped) this.#options.onFailure(key, error, retryMs);
    }
    this.#running.delete(key);
    if (this.#again.delete(key)) this.add(key);
    else if (retryMs !== undefined) this.addLater(key, retryMs);
    this.#pump();
    if (this.size > 0) return;
    const told = this.#onIdle;
    this.#onIdle = [];
    for (const resolve of told) resolve();
  }
}
