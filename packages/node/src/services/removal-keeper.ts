// Carries out what was taken away when its grace has passed, or as soon as nobody needs it. Every member
// does: the grace is replicated, so whoever lives does it, and the same done twice is done once.
import type { Clock, Logger, Removal, Service, ServiceId, Timer } from "@holdfast/model";
import type { EventBus } from "../events/bus.ts";
import type { LivingSessions } from "./registry.ts";
import { untilMs } from "./removal.ts";
import { endpointKey } from "./specification.ts";
import type { ConfigurationStore } from "./store.ts";

/** And whenever the configuration changes, or a grace ends sooner. */
const LOOK_PERIOD_MS = 1_000;
/**
 * An endpoint without associations keeps its place so long: a list that flickers, handshakes that are under
 * way.
 */
const IDLE_GRACE_MS = 10_000;
/** What a member that came later than the removal sees of it at least, whatever its wall clock says. */
const SEEN_LEAST_MS = 30_000;
/** Graces for which a change waits beside its own while a member is out of sight. */
const HELD_GRACE_COUNT_MAX = 4;

export interface RemovalKeeperOptions {
  readonly store: ConfigurationStore;
  readonly sessions: LivingSessions;
  readonly clock: Clock;
  /** The whole cluster is in sight: what has no session here has none anywhere. */
  readonly seesAll: () => boolean;
  readonly tell: (what: RemovalNews) => void;
}

export interface RemovalNews {
  /** `begins`: its grace; `undone`: it was put back; `over`: it is removed. */
  readonly kind: "begins" | "undone" | "over";
  readonly service: Service;
  /** Absent: the service itself. */
  readonly endpoint?: string;
  /** Its living associations, as this member knows them. */
  readonly sessions: number;
  readonly graceMs: number;
}

/** For the log and the API's events. */
export function tellRemoval(
  { logger, events }: { readonly logger: Logger; readonly events: EventBus },
  { kind, service, endpoint, sessions, graceMs }: RemovalNews,
): void {
  const what = endpoint === undefined ? `Service ${service.id}` : `Endpoint ${endpoint} of ${service.id}`;
  const message = {
    begins: `${what} is taken away: its ${sessions} associations go on for at most ${Math.ceil(graceMs / 1000)} s.`,
    undone: `${what} is back.`,
    over: `${what} is removed, and with it ${sessions} associations.`,
  }[kind];
  logger.info({ service: service.id, endpoint, sessions, removal: kind }, message);
  events.emit({ type: "service", message, service: service.id });
}

/** Something that has its grace. */
interface Leaving {
  readonly service: Service;
  readonly endpoint?: string;
  readonly removal: Removal;
  readonly sessions: number;
  /** Nobody needs it any more, as far as this member knows. */
  readonly isIdle: boolean;
}

interface Seen {
  readonly leaving: Leaving;
  /** Since when this member knows. */
  readonly sinceMs: number;
  /** Of the time since then, what does not count. */
  readonly heldMs: number;
  readonly atMs: number;
}

export class RemovalKeeper {
  readonly #options: RemovalKeeperOptions;
  /** What has its grace, with times on this member's own clock. */
  #seen = new Map<string, Seen>();
  readonly #timer: Timer;
  readonly #unsubscribe: () => void;
  /** A look before the next regular one. */
  #soon: Timer | undefined;

  constructor(options: RemovalKeeperOptions) {
    this.#options = options;
    this.#timer = options.clock.every(LOOK_PERIOD_MS, () => this.look());
    this.#unsubscribe = options.store.subscribe(() => this.#lookIn(0));
  }

  close(): void {
    this.#timer.cancel();
    this.#soon?.cancel();
    this.#unsubscribe();
  }

  #lookIn(ms: number): void {
    this.#soon?.cancel();
    this.#soon = this.#options.clock.after(ms, () => this.look());
  }

  look(): void {
    const { store, clock } = this.#options;
    const nowMs = clock.nowMs();
    const seen = new Map<string, Seen>();
    const over: Leaving[] = [];
    for (const service of store.services())
      for (const leaving of this.#leavingOf(service)) {
        const key = `${service.id}|${leaving.endpoint ?? ""}|${leaving.removal.sinceMs}`;
        const before = this.#seen.get(key);
        if (before === undefined) this.#tell("begins", leaving);
        const sinceMs = before?.sinceMs ?? nowMs;
        const heldMs = this.#heldMs(leaving, before, nowMs);
        seen.set(key, { leaving, sinceMs, heldMs, atMs: nowMs });
        if (this.#isOver(leaving, nowMs - sinceMs - heldMs, heldMs)) over.push(leaving);
      }
    for (const [key, { leaving }] of this.#seen)
      if (!seen.has(key) && this.#isBack(leaving)) this.#tell("undone", leaving);
    this.#seen = seen;
    if (over.length > 0) this.#end(over);
    const dueMs = [...seen.values()].map(
      ({ leaving, sinceMs, heldMs }) => leaving.removal.graceMs - (nowMs - sinceMs - heldMs),
    );
    const next = Math.min(...dueMs.filter((ms) => ms > 0));
    if (next < LOOK_PERIOD_MS) this.#lookIn(next);
  }

  *#leavingOf(service: Service): Generator<Leaving> {
    const { sessions } = this.#options;
    const { id, removal, leaving = [] } = service;
    if (removal !== undefined) {
      const living = sessions.ofService(id);
      // Whoever deletes to change is asked for new associations all the time.
      const isIdle = removal.mode === "drain" && living === 0;
      yield { service, removal, sessions: living, isIdle };
    }
    for (const place of leaving) {
      const endpoint = endpointKey(place.address, place.port);
      const living = sessions.ofEndpoint(id, endpoint);
      yield { service, endpoint, removal: place, sessions: living, isIdle: living === 0 };
    }
  }

  /**
   * Who deletes a rule to change it tells every member first, and waits without limit for one that hangs.
   * While a member is out of sight the grace of such a deletion stands still, for so long.
   */
  #heldMs({ service, endpoint, removal }: Leaving, before: Seen | undefined, nowMs: number): number {
    if (before === undefined) return 0;
    const isChange = endpoint === undefined && service.removal?.mode === "change";
    if (!isChange || this.#options.seesAll()) return before.heldMs;
    return Math.min(before.heldMs + nowMs - before.atMs, HELD_GRACE_COUNT_MAX * removal.graceMs);
  }

  #isOver({ removal, isIdle }: Leaving, seenMs: number, heldMs: number): boolean {
    const { clock, seesAll } = this.#options;
    if (isIdle && seenMs >= Math.min(removal.graceMs, IDLE_GRACE_MS) && seesAll()) return true;
    if (seenMs >= removal.graceMs) return true;
    // Members' wall clocks may differ: what this member saw itself counts, and the clock only for who came
    // later.
    return seenMs >= SEEN_LEAST_MS && clock.wallMs() >= untilMs(removal) + heldMs;
  }

  /** In one change; a service takes its endpoints with it. */
  #end(over: readonly Leaving[]): void {
    const gone = new Set(
      over.filter(({ endpoint }) => endpoint === undefined).map(({ service }) => service.id),
    );
    const put = new Map<ServiceId, Service>();
    for (const { service, endpoint } of over) {
      if (endpoint === undefined || gone.has(service.id)) continue;
      const { leaving = [], ...rest } = put.get(service.id) ?? service;
      const kept = leaving.filter(({ address, port }) => endpointKey(address, port) !== endpoint);
      put.set(service.id, kept.length === 0 ? rest : { ...rest, leaving: kept });
    }
    this.#options.store.commit({ put: [...put.values()], remove: [...gone] });
    for (const leaving of over) this.#tell("over", leaving);
  }

  #isBack({ service, endpoint }: Leaving): boolean {
    const now = this.#options.store.service(service.id);
    if (now === undefined || endpoint === undefined) return now !== undefined && now.removal === undefined;
    return now.endpoints.some(({ address, port }) => endpointKey(address, port) === endpoint);
  }

  #tell(kind: RemovalNews["kind"], { service, endpoint, removal, sessions }: Leaving): void {
    const { graceMs } = removal;
    this.#options.tell({ kind, service, ...(endpoint !== undefined && { endpoint }), sessions, graceMs });
  }
}
