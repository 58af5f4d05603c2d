// The file's services when a member starts. What cannot be applied then is left undone and said, since the
// services that the cluster has are more than a file; what waits for knowledge of the others' sessions is
// tried once more.
import { HoldfastError, type Logger } from "@holdfast/model";
import type { ClusterLink } from "../cluster/link.ts";
import type { Configuration } from "../config/schema.ts";
import type { EventBus } from "../events/bus.ts";
import type { FileOutcome, ServiceRegistry } from "./registry.ts";

export interface FileAtStartParts {
  readonly configuration: () => Configuration;
  readonly registry: Pick<ServiceRegistry, "applyFile">;
  readonly link: Pick<ClusterLink, "caughtUp">;
  readonly logger: Logger;
  readonly events: EventBus;
}

export class FileAtStart {
  readonly #parts: FileAtStartParts;
  #isOpen = false;

  constructor(parts: FileAtStartParts) {
    this.#parts = parts;
  }

  apply(): void {
    const { configuration, registry, link, logger, events } = this.#parts;
    const { services, removedServices } = configuration();
    try {
      const outcome = registry.applyFile(services, { removed: removedServices, starting: true });
      this.#isOpen = outcome.kept.length > 0 && !link.caughtUp();
      tellOutcome({ logger, events }, outcome);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      const { code, message, remedy } = error;
      logger.error({ code, remedy }, `the file's services are not applied: ${message}`);
    }
  }

  /** Now this member may know what the others hold. */
  again(): void {
    if (!this.#isOpen || !this.#parts.link.caughtUp()) return;
    this.#isOpen = false;
    this.apply();
  }
}

/** What a file did, where an operator would expect something else. */
export function tellOutcome(
  { logger, events }: { readonly logger: Logger; readonly events: EventBus },
  { put, removed, ignored, kept }: FileOutcome,
): void {
  if (put.length + removed.length > 0) logger.info({ put, removed }, "the file's services are applied");
  for (const service of [...put, ...removed])
    events.emit({ type: "service", message: `The file changed service ${service}.`, service });
  for (const service of ignored)
    logger.warn(
      { service },
      "the file and the cluster differ about this service, and the file was never applied here: the cluster's stays. Change the file and reload, or use the API",
    );
  for (const { service, because } of kept)
    logger.warn(
      { service, because },
      "this service is no longer in the file and stays; list it under removedServices, or use 'holdfast delete service'",
    );
}
