// Carries out what was taken away when its grace has passed, or as soon as nobody needs it. Every member does: the grace is
// replicated, so whoever lives does it, and the same done twice is done once.
import type { Clock, Logger, Removal, Service, ServiceId, Timer } from "@holdfast/model";
import type { EventBus } from "../events/bus.ts";
import type { LivingSessions } from "./registry.ts";
import { untilMs } from "./removal.ts";
import { endpointKey } from "./specification.ts";
import type { ConfigurationStore } from "./store.ts";

const LOOK_PERIOD_MS = 1_000;
/** An endpoint without associations keeps its place so long: a list that flickers, handshakes that are under way. */
const IDLE_GRACE_MS = 10_000;
/** What a member that came later than the removal sees of it at least, whatever its wall clock says. */
const SEEN_LEAST_MS = 30_000;

export interface RemovalKeeperOptions {
  readonly store: ConfigurationStore;
  readonly sessions: LivingSessions;
  readonly clock: Clock;
  /** The whole cluster is in sight: what has no session here has none anywhere. */
  readonly seesAll: () => boolean;
  readonly removed: (what: RemovedThing) => void;
}

export interface RemovedThing {
  readonly service: Service;
  /** Absent: the service itself. */
  readonly endpoint?: string;
  /** Living associations that end with it, as this member knows them. */
  readonly sessions: number;
}

/** For the log and the API's events. */
export function tellRemoved(
  { logger, events }: { readonly logger: Logger; readonly events: EventBus },
  { service, endpoint, sessions }: RemovedThing,
): void {
  const what = endpoint === undefined ? `Service ${service.id}` : `Endpoint ${endpoint} of ${service.id}`;
  logger.info({ service: service.id, endpoint, sessions }, "the grace is over: removed");
  events.emit({
    type: "service",
    message: `${what} is removed, its grace is over; ${sessions} associations end.`,
    service: service.id,
  });
}

export class RemovalKeeper {
  readonly #options: RemovalKeeperOptions;
  /** What has its grace, with the time on this member's own clock since when it knows. */
  #seen = new Map<string, number>();
  readonly #timer: Timer;

  constructor(options: RemovalKeeperOptions) {
    this.#options = options;
    this.#timer = options.clock.every(LOOK_PERIOD_MS, () => this.look());
  }

  close(): void {
    this.#timer.cancel();
  }

  look(): void {
    const { store, sessions, removed } = this.#options;
    const seen = new Map<string, number>();
    const put: Service[] = [];
    const remove: ServiceId[] = [];
    const things: RemovedThing[] = [];
    for (const service of store.services()) {
      const { id, removal, leaving = [] } = service;
      if (removal !== undefined) {
        const living = sessions.ofService(id);
        // Whoever deletes to change is asked for new associations all the time.
        if (this.#isOver(seen, `${id}|${removal.mode}`, removal, removal.mode === "drain" && living === 0)) {
          remove.push(id);
          things.push({ service, sessions: living });
          continue;
        }
      }
      const kept = leaving.filter((place) => {
        const endpoint = endpointKey(place.address, place.port);
        const living = sessions.ofEndpoint(id, endpoint);
        if (!this.#isOver(seen, `${id}|${endpoint}`, place, living === 0)) return true;
        things.push({ service, endpoint, sessions: living });
        return false;
      });
      if (kept.length < leaving.length) {
        const { leaving: _, ...rest } = service;
        put.push(kept.length === 0 ? rest : { ...rest, leaving: kept });
      }
    }
    this.#seen = seen;
    if (put.length + remove.length === 0) return;
    store.commit({ put, remove });
    for (const thing of things) removed(thing);
  }

  #isOver(seen: Map<string, number>, name: string, removal: Removal, isIdle: boolean): boolean {
    const { clock, seesAll } = this.#options;
    const key = `${name}|${removal.sinceMs}`;
    const nowMs = clock.nowMs();
    const sinceMs = this.#seen.get(key) ?? nowMs;
    seen.set(key, sinceMs);
    const seenMs = nowMs - sinceMs;
    if (isIdle && seenMs >= Math.min(removal.graceMs, IDLE_GRACE_MS) && seesAll()) return true;
    if (seenMs >= removal.graceMs) return true;
    // Members' wall clocks may differ: what this member saw itself counts, and the clock only for who came later.
    return seenMs >= SEEN_LEAST_MS && clock.wallMs() >= untilMs(removal);
  }
}
