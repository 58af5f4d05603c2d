// The Gateway API's part of a leader: its copies, and the queue of its passes.
import { isConflict } from "../client/error.ts";
import type { Reflector, ReflectorTimes } from "../client/reflector.ts";
import { WorkQueue } from "../client/work-queue.ts";
import type { KubernetesObject } from "../objects.ts";
import { GatewayCopies } from "./copies.ts";
import { type GatewayParts, GatewayReconciler } from "./reconciler.ts";

const KEY = "gateways";

export interface GatewaySideOptions extends Omit<GatewayParts, "gateways" | "onPending"> {
  readonly backoff: { readonly firstMs: number; readonly mostMs: number };
  readonly pendingMs: number;
  readonly times: Partial<ReflectorTimes> | undefined;
  readonly isReady: () => boolean;
  readonly onPassed: () => void;
  readonly log: (message: string) => void;
}

export class GatewaySide {
  readonly #options: GatewaySideOptions;
  readonly #copies: GatewayCopies;
  readonly #reconciler: GatewayReconciler;
  readonly #queue: WorkQueue;

  constructor(options: GatewaySideOptions) {
    this.#options = options;
    const { client, log, times, backoff, pendingMs, onPassed } = options;
    const failed = (what: string, error: unknown, retryMs: number) => {
      const text = error instanceof Error ? error.message : String(error);
      log(`${what}: ${text}; again in ${Math.round(retryMs)} ms`);
    };
    this.#copies = new GatewayCopies({
      client,
      onChange: () => this.look(),
      onFailure: failed,
      ...(times !== undefined && { times }),
    });
    this.#queue = new WorkQueue({
      work: async () => {
        await this.#reconciler.pass();
        onPassed();
      },
      width: 1,
      backoff,
      onFailure: (_key, error, retryMs) => {
        // Somebody was faster: their change is on its way to us.
        if (!isConflict(error)) failed("gateways", error, retryMs);
      },
    });
    this.#reconciler = new GatewayReconciler({
      ...options,
      gateways: this.#copies,
      onPending: () => this.#queue.addLater(KEY, pendingMs),
    });
  }

  get count(): number {
    return this.#reconciler.count;
  }

  get reflectors(): readonly Reflector<KubernetesObject>[] {
    return this.#copies.all;
  }

  start(): void {
    this.#copies.start();
  }

  /** Everything is here, or not installed. */
  settled(): Promise<void> {
    return this.#copies.settled();
  }

  reserve(): void {
    this.#reconciler.reserve();
  }

  /** A Service changed. */
  onService(key: string): void {
    if (this.#reconciler.uses(key)) this.look();
  }

  isWanted(key: string): boolean {
    return this.#reconciler.isWanted(key);
  }

  look(): void {
    if (this.#options.isReady()) this.#queue.add(KEY);
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  async stop(): Promise<void> {
    await this.#copies.stop();
    await this.#queue.stop();
  }
}
