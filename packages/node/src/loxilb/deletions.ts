// kube-loxilb deletes a rule and posts it again when an annotation changes, and in between it waits half a
// minute for every member that is dead. A deletion therefore has a grace, which all members know: when the
// rule is posted again, at whichever member, it was a change, and associations live on.
import type { Logger, Service, ServiceId } from "@holdfast/model";
import type { ServiceRegistry } from "../services/registry.ts";

export class Deletions {
  readonly #registry: ServiceRegistry;
  readonly #logger: Logger;
  readonly #graceMs: () => number;

  constructor(options: {
    readonly registry: ServiceRegistry;
    readonly logger: Logger;
    readonly graceMs: () => number;
  }) {
    this.#registry = options.registry;
    this.#logger = options.logger;
    this.#graceMs = options.graceMs;
  }

  /** Deleted as far as LoxiLB's clients know. */
  isDeleted(service: Service): boolean {
    return service.removal !== undefined;
  }

  /** Deletes after the grace; any member carries it out. Again: nothing new. */
  delete(id: ServiceId): void {
    const graceMs = this.#graceMs();
    this.#registry.retire(id, graceMs);
    this.#logger.info({ service: id, graceMs }, "rule deleted; waiting for it to be posted again");
  }
}
