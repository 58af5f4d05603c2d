// One leader among replicas, by a Lease, as client-go elects: who holds it renews it, who does not watches for a renewal that
// does not come. Others' clocks are never compared with ours: what counts is how long, by our own monotonic clock, the lease
// has not changed. A leader that cannot renew stops before anybody else may begin.
import { LEASES, type Lease } from "../objects.ts";
import { delay } from "./backoff.ts";
import type { KubernetesClient } from "./client.ts";
import { isConflict, isNotFound } from "./error.ts";

export interface ElectionTimes {
  /** Others may take a lease that did not change for this long. */
  readonly leaseMs: number;
  /** A leader that did not renew for this long is none. Less than `leaseMs`. */
  readonly renewMs: number;
  readonly retryMs: number;
}

export const ELECTION_TIMES: ElectionTimes = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2000 };

export interface ElectionOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly name: string;
  /** This replica; nobody else has the same. */
  readonly identity: string;
  readonly onElected: () => void;
  /** Resolves when nothing is done in the leader's name any more. */
  readonly onLost: () => Promise<void>;
  readonly onFailure?: (error: unknown) => void;
  readonly times?: ElectionTimes;
  readonly wallMs?: () => number;
}

export class Election {
  readonly #options: ElectionOptions;
  readonly #times: ElectionTimes;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #isLeader = false;
  #observed = "";
  #observedAtMs = 0;
  #renewedAtMs = 0;
  #holder = "";

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#times = options.times ?? ELECTION_TIMES;
  }

  get isLeader(): boolean {
    return this.#isLeader && performance.now() - this.#renewedAtMs < this.#times.renewMs;
  }

  /** Whoever holds the lease, as far as is known. */
  get holder(): string {
    return this.#holder;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Gives the lease back, so that the next one need not wait. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    if (!this.#isLeader) return;
    await this.#lost();
    await this.#release().catch(() => {});
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedAtMs = performance.now();
      const isHeld = await this.#withinRenewal(this.#tryOnce());
      if (signal.aborted) return;
      if (isHeld) {
        // The lease counts from when the request left, not from when its answer came.
        this.#renewedAtMs = startedAtMs;
        if (!this.#isLeader) {
          this.#isLeader = true;
          this.#options.onElected();
        }
      } else if (this.#isLeader && (this.#holder !== this.#options.identity || !this.isLeader))
        await this.#lost();
      await delay(this.#times.retryMs * (isHeld ? 1 : 0.8 + 0.4 * Math.random()), signal);
    }
  }

  /** An API server that hangs does not make a leader live longer than its time. */
  async #withinRenewal(attempt: Promise<boolean>): Promise<boolean> {
    const over = new AbortController();
    const leftMs = this.#isLeader
      ? Math.max(0, this.#renewedAtMs + this.#times.renewMs - performance.now())
      : this.#times.renewMs;
    try {
      return await Promise.race([attempt, delay(leftMs, over.signal).then(() => false)]);
    } finally {
      over.abort();
    }
  }

  async #lost(): Promise<void> {
    this.#isLeader = false;
    await this.#options.onLost();
  }

  async #tryOnce(): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    try {
      const lease = await client.get<Lease>(LEASES, { namespace, name });
      this.#observe(lease);
      const holder = lease.spec?.holderIdentity ?? "";
      const isFree = holder === "" || holder === identity;
      if (!isFree && performance.now() - this.#observedAtMs < this.#times.leaseMs) return false;
      this.#observe(await client.replace(LEASES, { ...lease, spec: this.#spec(lease) }));
      return true;
    } catch (error) {
      if (isNotFound(error)) return this.#create();
      if (!isConflict(error)) this.#options.onFailure?.(error);
      return false;
    }
  }

  async #create(): Promise<boolean> {
    const { client, namespace, name } = this.#options;
    try {
      this.#observe(
        await client.create(LEASES, { metadata: { namespace, name }, spec: this.#spec(undefined) }),
      );
      return true;
    } catch (error) {
      if (!isConflict(error)) this.#options.onFailure?.(error);
      return false;
    }
  }

  #observe(lease: Lease): void {
    const seen = JSON.stringify([lease.metadata.uid, lease.spec]);
    if (seen !== this.#observed) this.#observedAtMs = performance.now();
    this.#observed = seen;
    this.#holder = lease.spec?.holderIdentity ?? "";
  }

  #spec(before: Lease | undefined): NonNullable<Lease["spec"]> {
    const { identity, wallMs = Date.now } = this.#options;
    const now = microTime(wallMs());
    const isMine = before?.spec?.holderIdentity === identity;
    const transitions = before?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#times.leaseMs / 1000)),
      acquireTime: isMine ? (before?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: isMine || before === undefined ? transitions : transitions + 1,
    };
  }

  async #release(): Promise<void> {
    const { client, namespace, name, identity } = this.#options;
    const lease = await client.get<Lease>(LEASES, { namespace, name });
    if (lease.spec?.holderIdentity !== identity) return;
    await client.replace(LEASES, {
      ...lease,
      spec: { ...lease.spec, holderIdentity: "", leaseDurationSeconds: 1 },
    });
  }
}

/** Kubernetes' MicroTime: six digits, or the object is refused. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
