// A copy of a collection, kept by list and watch. It survives everything that an API server does: old resource versions in all
// their forms, watches that end, fall silent or bring nonsense, errors, throttling, lists older than what was seen.
import { type KubernetesObject, keyOf, type Resource } from "../objects.ts";
import { Backoff, delay } from "./backoff.ts";
import type { KubernetesClient } from "./client.ts";
import { isExpired, KubernetesError } from "./error.ts";

export interface ReflectorTimes {
  readonly firstBackoffMs: number;
  readonly mostBackoffMs: number;
  /** A watch on which nothing came for this long, bookmarks included, is ended and begun again where it was. */
  readonly silenceMs: number;
  /** The server is asked to end each watch after this and up to twice as long. */
  readonly watchS: number;
  /** A watch that lived less is a failure: the next one waits. */
  readonly shortWatchMs: number;
}

export const REFLECTOR_TIMES: ReflectorTimes = {
  firstBackoffMs: 200,
  mostBackoffMs: 30_000,
  silenceMs: 90_000,
  watchS: 300,
  shortWatchMs: 1000,
};

const PAGE_SIZE = 500;
/** A list that is older than what was seen comes from a server that is behind; so many times, then it is the truth. */
const STALE_LIST_MAX = 5;

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly client: KubernetesClient;
  readonly resource: Resource;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  /** What changed; `object` undefined: it is gone. One that was deleted and made again is told as both. */
  readonly onChange: (key: string, object: T | undefined, before: T | undefined) => void;
  /** For the log; the reflector goes on by itself. */
  readonly onFailure?: (error: unknown, retryMs: number) => void;
  readonly times?: Partial<ReflectorTimes>;
  readonly random?: () => number;
}

export class Reflector<T extends KubernetesObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #times: ReflectorTimes;
  readonly #random: () => number;
  readonly #backoff: Backoff;
  readonly #objects = new Map<string, T>();
  readonly #stop = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #running: Promise<void> = Promise.resolve();
  #isSynced = false;
  #resourceVersion = "";
  #staleLists = 0;
  /** performance.now() of the latest word from the server. */
  #heardAtMs = 0;
  readonly counters = { lists: 0, watches: 0, expirations: 0, silences: 0, failures: 0, staleLists: 0 };

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#times = { ...REFLECTOR_TIMES, ...options.times };
    this.#random = options.random ?? Math.random;
    this.#backoff = new Backoff(
      { firstMs: this.#times.firstBackoffMs, mostMs: this.#times.mostBackoffMs },
      this.#random,
    );
  }

  /** The copy, by `keyOf`. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  get plural(): string {
    return this.#options.resource.plural;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** ms since the server last said anything. */
  get silentMs(): number {
    return performance.now() - this.#heardAtMs;
  }

  /** Resolves when the first list is here. */
  synced(): Promise<void> {
    return this.#firstList.promise;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let isListed = false;
    while (!signal.aborted) {
      const startedAtMs = performance.now();
      try {
        if (!isListed) {
          await this.#list();
          isListed = true;
          this.#backoff.succeeded();
        }
        await this.#watch();
        // A clean end. One right after the start, again and again, would be a storm.
        if (performance.now() - startedAtMs >= this.#times.shortWatchMs) this.#backoff.succeeded();
        else await this.#failed(new KubernetesError("a watch ended at its start", { status: 0 }));
      } catch (error) {
        if (signal.aborted) return;
        if (isExpired(error)) this.counters.expirations++;
        // Too old, forbidden, not found: only a new list tells what is there.
        if (needsList(error)) isListed = false;
        await this.#failed(error);
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    this.counters.failures++;
    const retryAfterMs = error instanceof KubernetesError ? error.retryAfterMs : undefined;
    const waitMs = this.#backoff.next(retryAfterMs);
    this.#options.onFailure?.(error, waitMs);
    await delay(waitMs, this.#stop.signal);
  }

  /** All pages of one moment. Where a page's token has expired the whole is asked for again, in one piece. */
  async #list(): Promise<void> {
    const { client, resource, namespace, labelSelector } = this.#options;
    const { signal } = this.#stop;
    const page = (limit: number | undefined, continueToken: string | undefined) =>
      client.list<T>(resource, { namespace, labelSelector, limit, continueToken, signal });
    const items: T[] = [];
    let answer = await page(PAGE_SIZE, undefined);
    items.push(...answer.items);
    try {
      while (answer.continueToken !== undefined) {
        answer = await page(PAGE_SIZE, answer.continueToken);
        items.push(...answer.items);
      }
    } catch (error) {
      if (!isExpired(error)) throw error;
      this.counters.expirations++;
      answer = await page(undefined, undefined);
      items.splice(0, items.length, ...answer.items);
    }
    this.counters.lists++;
    this.#refuseStale(answer.resourceVersion);
    this.#heardAtMs = performance.now();
    this.#resourceVersion = answer.resourceVersion;
    this.#replace(items);
    this.#isSynced = true;
    this.#firstList.resolve();
  }

  #refuseStale(resourceVersion: string): void {
    if (isOlder(resourceVersion, this.#resourceVersion) && this.#staleLists < STALE_LIST_MAX) {
      this.#staleLists++;
      this.counters.staleLists++;
      throw new KubernetesError(
        `a list of ${this.#options.resource.plural} at ${resourceVersion}, though ${this.#resourceVersion} was seen`,
        { status: 410, reason: "Expired" },
      );
    }
    this.#staleLists = 0;
  }

  #replace(items: readonly T[]): void {
    const found = new Map(items.map((item) => [keyOf(item), item]));
    for (const key of [...this.#objects.keys()]) if (!found.has(key)) this.#set(key, undefined);
    for (const [key, item] of found) this.#set(key, item);
  }

  #set(key: string, object: T | undefined): void {
    // Who wrote which field is half of an object's size, and nothing to us.
    if (object !== undefined) delete (object.metadata as { managedFields?: unknown }).managedFields;
    const before = this.#objects.get(key);
    if (object === undefined) {
      if (before === undefined) return;
      this.#objects.delete(key);
      this.#options.onChange(key, undefined, before);
      return;
    }
    if (before !== undefined && before.metadata.resourceVersion === object.metadata.resourceVersion) return;
    const isSame = before === undefined || before.metadata.uid === object.metadata.uid;
    if (!isSame) this.#set(key, undefined);
    this.#objects.set(key, object);
    this.#options.onChange(key, object, isSame ? before : undefined);
  }

  /** One watch, until its end. */
  async #watch(): Promise<void> {
    const { client, resource, namespace, labelSelector } = this.#options;
    const silence = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const heard = () => {
      this.#heardAtMs = performance.now();
      clearTimeout(timer);
      timer = setTimeout(() => {
        this.counters.silences++;
        silence.abort();
      }, this.#times.silenceMs);
    };
    heard();
    this.counters.watches++;
    try {
      const events = client.watch<T>(resource, {
        namespace,
        labelSelector,
        resourceVersion: this.#resourceVersion,
        timeoutSeconds: Math.round(this.#times.watchS * (1 + this.#random())),
        signal: AbortSignal.any([this.#stop.signal, silence.signal]),
        onBytes: heard,
      });
      for await (const { type, object } of events) {
        this.#backoff.succeeded();
        this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
        if (type !== "BOOKMARK") this.#set(keyOf(object), type === "DELETED" ? undefined : object);
      }
    } catch (error) {
      if (!silence.signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}

function needsList(error: unknown): boolean {
  if (isExpired(error)) return true;
  const status = error instanceof KubernetesError ? error.status : 0;
  return status >= 400 && status < 500 && status !== 429;
}

/** Resource versions are comparable as integers (KEP-5504); of what is no integer nothing is known. */
function isOlder(version: string, than: string): boolean {
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return BigInt(version) < BigInt(than);
}
