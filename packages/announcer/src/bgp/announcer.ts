// `bgp`: every member announces every VIP that it could serve, each by its rank, so that routers hold the way around a
// death before it happens. What a VIP is worth at a router is decided in policy.ts; a speaker makes it so.
import type { Address, Clock, Logger, ServiceAnnounce, Timer } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type Announced,
  type AnnouncedRank,
  type Announcement,
  type Announcer,
  type AnnouncerCounters,
  type RouterStatus,
} from "../announcer.ts";
import type { BgpConfiguration, RouterConfiguration, SpeakerRoute } from "./configuration.ts";
import { decide } from "./policy.ts";
import type { Speaker, SpeakerSession } from "./speaker.ts";
import { routerWarnings } from "./warnings.ts";

export interface BgpOptions {
  readonly speaker: Speaker;
  readonly configuration: BgpConfiguration;
  /** For one look at all VIPs: the network of each, and the attributes that its service asks for. */
  readonly details: () => (vip: Address) => {
    readonly network?: string | undefined;
    readonly announce?: ServiceAnnounce | undefined;
  };
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Kept {
  readonly rank: AnnouncedRank;
  readonly sinceMs: number;
  readonly changeCount: number;
}

interface Watched {
  readonly isUp: boolean;
  readonly bfd: SpeakerSession["bfd"];
  readonly sinceMs: number;
  readonly sinceWallMs: number;
  readonly flapCount: number;
  /** It was lost, and is told the worst until it has lasted. */
  readonly isHeldDown: boolean;
}

/** A session that is up for so long without its BFD is said to be watched by nobody. */
const UNWATCHED_MS = 5_000;
/** A router that is there answers within this. */
const UNANSWERED_MS = 10_000;
const UNANSWERED =
  "no session for a while: it may not expect this member, or the passwords differ, which neither side is told";

export class BgpAnnouncer implements Announcer {
  readonly kind = "bgp";
  readonly #options: BgpOptions;
  readonly #listeners = new Set<() => void>();
  #configuration: BgpConfiguration;
  #kept = new Map<Address, Kept>();
  #watched = new Map<string, Watched>();
  /** By router: what has to be looked at again when it has lasted. */
  readonly #timers = new Map<string, Timer>();
  #sent = 0;
  #sendFailures = 0;
  #stopped = false;

  constructor(options: BgpOptions) {
    this.#options = options;
    this.#configuration = options.configuration;
    options.speaker.onState(() => this.#stateChanged());
    this.#stateChanged();
  }

  async announce(announcements: readonly Announcement[]): Promise<void> {
    if (this.#stopped) return;
    const before = this.#kept;
    const next = new Map<Address, Kept>();
    for (const { vip, rank } of announcements) {
      if (next.size >= ANNOUNCED_VIP_COUNT_MAX) {
        this.#options.logger.error({ vip, max: ANNOUNCED_VIP_COUNT_MAX }, "too many VIPs to announce");
        break;
      }
      const known = before.get(vip);
      next.set(vip, {
        rank,
        sinceMs: known?.sinceMs ?? this.#options.clock.nowMs(),
        changeCount: (known?.changeCount ?? 0) + (known?.rank === rank ? 0 : 1),
      });
    }
    this.#kept = next;
    await this.#apply();
  }

  /** The speaker repeats nothing: routers keep what they were told. What may have changed is the order. */
  renew(vip: Address): void {
    if (this.#kept.has(vip) && !this.#stopped) void this.#apply();
  }

  /** Routers, attributes, or what a VIP's service asks for have changed. */
  async reconfigure(configuration: BgpConfiguration): Promise<void> {
    this.#configuration = configuration;
    await this.#apply();
    this.#stateChanged();
  }

  announced(): readonly Announced[] {
    const { trouble } = this.#options.speaker.state();
    const told = this.#told();
    const established = this.#configuration.routers.filter(
      (router) => this.#session(router).session === "Established",
    );
    const routes = this.#routes();
    return [...this.#kept].map(([vip, { rank, sinceMs, changeCount }], index) => {
      const route = routes[index] as SpeakerRoute;
      const places = established.filter((router) => decide(told, router, route).attributes !== undefined);
      return {
        vip,
        rank,
        sinceMs,
        places: places.map(({ name }) => name),
        messageCount: changeCount,
        trouble:
          trouble ??
          (established.length === 0
            ? "no router has a session with this member"
            : places.length === 0 && rank === 0
              ? "no router with a session gets it"
              : undefined),
      };
    });
  }

  routers(): readonly RouterStatus[] {
    const told = this.#told();
    const all = this.#routes();
    return told.routers.map((router) => {
      const session = this.#session(router);
      const watched = this.#watched.get(router.name);
      const routes = all.map((route) => ({
        vip: route.vip,
        rank: route.rank,
        ...decide(told, router, route),
      }));
      return {
        name: router.name,
        address: router.address ?? router.interface ?? "",
        as: router.as,
        localAs: router.localAs,
        ...session,
        info: this.#infoOf(session, watched),
        sinceWallMs: watched?.sinceWallMs ?? this.#options.clock.wallMs(),
        flapCount: watched?.flapCount ?? 0,
        routes,
        warnings: routerWarnings({
          router,
          routers: told.routers,
          attributes: routes.flatMap(({ attributes }) => attributes ?? []),
          speaker: this.#options.speaker.state(),
        }),
      };
    });
  }

  #infoOf({ session, info }: SpeakerSession, watched: Watched | undefined): string {
    const lastsMs = this.#options.clock.nowMs() - (watched?.sinceMs ?? Number.POSITIVE_INFINITY);
    const isUnanswered = ["Connect", "Active", "Passive"].includes(session) && lastsMs >= UNANSWERED_MS;
    return [info, ...(isUnanswered ? [UNANSWERED] : [])].filter((text) => text !== "").join("; ");
  }

  onStatus(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  counters(): AnnouncerCounters {
    const { restartCount } = this.#options.speaker.state();
    return {
      sent: this.#sent,
      sendFailures: this.#sendFailures,
      postponed: 0,
      speakerRestarts: restartCount,
    };
  }

  async stop(options: { readonly graceful?: boolean } = {}): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#kept = new Map();
    for (const timer of this.#timers.values()) timer.cancel();
    await this.#options.speaker.stop({ graceful: options.graceful ?? true });
    this.#listeners.clear();
  }

  async #apply(): Promise<void> {
    await this.#options.speaker.apply(this.#routes(), this.#told());
    if (this.#options.speaker.state().trouble === undefined) this.#sent++;
    else this.#sendFailures++;
  }

  #told(): BgpConfiguration {
    const heldDown = [...this.#watched].filter(([, { isHeldDown }]) => isHeldDown).map(([name]) => name);
    return { ...this.#configuration, heldDown };
  }

  /** In the order of `#kept`. */
  #routes(): readonly SpeakerRoute[] {
    const detailsOf = this.#options.details();
    return [...this.#kept].map(([vip, { rank }]) => {
      const { network, announce } = detailsOf(vip);
      return { vip, rank, network, ...(announce !== undefined && { announce }) };
    });
  }

  #session({ name, bfd }: RouterConfiguration): SpeakerSession {
    const { sessions, trouble = "" } = this.#options.speaker.state();
    const session = sessions.get(name);
    if (session !== undefined && session.session !== "Down") return session;
    return {
      session: "Down",
      bfd: bfd === undefined ? undefined : "Down",
      info: trouble === "" ? (session?.info ?? "") : trouble,
    };
  }

  #stateChanged(): void {
    const next = new Map<string, Watched>();
    let isHeldAnew = false;
    for (const router of this.#configuration.routers) {
      const before = this.#watched.get(router.name);
      const now = this.#watch(router, before);
      next.set(router.name, now);
      isHeldAnew ||= now.isHeldDown && before?.isHeldDown !== true;
    }
    this.#watched = next;
    // While nothing goes out: when the session is back, it begins with the worst.
    if (isHeldAnew && !this.#stopped) void this.#apply();
    for (const listener of this.#listeners) listener();
  }

  #watch(router: RouterConfiguration, before: Watched | undefined): Watched {
    const { clock, logger } = this.#options;
    const { name } = router;
    const { session, bfd, info } = this.#session(router);
    const isUp = session === "Established";
    if (before !== undefined && before.isUp === isUp && before.bfd === bfd) return before;
    const isLost = before?.isUp === true && !isUp;
    if (isLost) logger.warn({ router: name, session, bfd, info }, "session with a router lost");
    else if (isUp) logger.info({ router: name, session, bfd }, "session with a router");
    this.#timers.get(name)?.cancel();
    this.#timers.delete(name);
    const isWatched = bfd === undefined || bfd === "Up";
    const isHeldDown = (before?.isHeldDown ?? false) || (isLost && this.#configuration.holdDownMs > 0);
    if (isUp && !isWatched) this.#later(name, UNWATCHED_MS, () => this.#tellUnwatched(name));
    else if (isUp && isHeldDown) this.#later(name, this.#configuration.holdDownMs, () => this.#release(name));
    return {
      isUp,
      bfd,
      sinceMs: clock.nowMs(),
      sinceWallMs: clock.wallMs(),
      flapCount: (before?.flapCount ?? 0) + (isLost ? 1 : 0),
      isHeldDown,
    };
  }

  #later(name: string, delayMs: number, action: () => void): void {
    this.#timers.set(name, this.#options.clock.after(delayMs, action));
  }

  #tellUnwatched(name: string): void {
    this.#options.logger.warn(
      { router: name, bfd: this.#watched.get(name)?.bfd },
      "a session with a router is up and its BFD is not: nobody watches it, a death is seen after the hold time",
    );
  }

  #release(name: string): void {
    const watched = this.#watched.get(name);
    if (watched === undefined || this.#stopped) return;
    this.#watched.set(name, { ...watched, isHeldDown: false });
    this.#options.logger.info({ router: name }, "the session has lasted: its router is told the ranks again");
    void this.#apply();
  }
}
