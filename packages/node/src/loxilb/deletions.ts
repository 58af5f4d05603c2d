// kube-loxilb deletes a rule and posts it again when an annotation changes. A deletion therefore waits a moment: when
// the rule is posted again, at this or another member, it was a change, and associations live on.
import type { Clock, Logger, ServiceId, Timer } from "@holdfast/model";
import type { ClusterLink } from "../cluster/link.ts";
import type { ServiceRegistry } from "../services/registry.ts";

const TOPIC = "loxilb-keep";

export class Deletions {
  readonly #registry: ServiceRegistry;
  readonly #link: Pick<ClusterLink, "connected" | "request" | "onRequest">;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #graceMs: () => number;
  readonly #waiting = new Map<ServiceId, Timer>();

  constructor(options: {
    readonly registry: ServiceRegistry;
    readonly link: Pick<ClusterLink, "connected" | "request" | "onRequest">;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly graceMs: () => number;
  }) {
    this.#registry = options.registry;
    this.#link = options.link;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#graceMs = options.graceMs;
    options.link.onRequest(TOPIC, (_from, body) => {
      this.#cancel(new TextDecoder().decode(body));
      return new Uint8Array(0);
    });
  }

  /** Deleted as far as LoxiLB's clients know. */
  isDeleted(id: ServiceId): boolean {
    return this.#waiting.has(id);
  }

  /** Deletes after the grace. Again: nothing new. */
  delete(id: ServiceId): void {
    if (this.#waiting.has(id)) return;
    const graceMs = this.#graceMs();
    this.#logger.info({ service: id, graceMs }, "rule deleted; waiting for it to be posted again");
    this.#waiting.set(
      id,
      this.#clock.after(graceMs, () => {
        this.#waiting.delete(id);
        try {
          this.#registry.remove(id);
          this.#logger.info({ service: id }, "rule was not posted again: service removed");
        } catch (error) {
          // Another member was faster, or the service belongs to the file by now.
          this.#logger.debug({ service: id, err: error }, "rule is gone already");
        }
      }),
    );
  }

  /** The rule was posted: whoever waits to delete it, here or at another member, forgets that. */
  keep(id: ServiceId): void {
    this.#cancel(id);
    const body = new TextEncoder().encode(id);
    for (const member of this.#link.connected()) void this.#link.request(member, TOPIC, body);
  }

  close(): void {
    // A deletion that was promised is carried out before the end.
    for (const [id, timer] of this.#waiting) {
      timer.cancel();
      try {
        this.#registry.remove(id);
      } catch {
        // Gone already.
      }
    }
    this.#waiting.clear();
  }

  #cancel(id: ServiceId): void {
    const timer = this.#waiting.get(id);
    if (timer === undefined) return;
    timer.cancel();
    this.#waiting.delete(id);
    this.#logger.info({ service: id }, "rule posted again: it was a change");
  }
}
