// `bgp`: every member announces every VIP that it could serve, each by its rank, so that routers hold the way around a
// death before it happens. What a VIP is worth at a router is decided in policy.ts; a speaker makes it so.
import type { Address, Clock, Logger } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type Announced,
  type AnnouncedRank,
  type Announcement,
  type Announcer,
  type AnnouncerCounters,
  type RouterStatus,
} from "../announcer.ts";
import type { BgpConfiguration, RankPolicy, RouterConfiguration, SpeakerRoute } from "./configuration.ts";
import { decide } from "./policy.ts";
import type { Speaker, SpeakerSession } from "./speaker.ts";

export interface BgpOptions {
  readonly speaker: Speaker;
  readonly configuration: BgpConfiguration;
  /** Network of a VIP, and the attributes that its service asks for. */
  readonly detailsOf: (vip: Address) => {
    readonly network?: string | undefined;
    readonly announce?: readonly RankPolicy[] | undefined;
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
  readonly key: string;
  readonly sinceWallMs: number;
  readonly flapCount: number;
}

export class BgpAnnouncer implements Announcer {
  readonly kind = "bgp";
  readonly #options: BgpOptions;
  readonly #listeners = new Set<() => void>();
  #configuration: BgpConfiguration;
  #kept = new Map<Address, Kept>();
  #watched = new Map<string, Watched>();
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
    await this.#options.speaker.reconfigure(configuration);
    await this.#apply();
    this.#stateChanged();
  }

  announced(): readonly Announced[] {
    const { trouble } = this.#options.speaker.state();
    const established = this.#configuration.routers.filter(
      (router) => this.#session(router).session === "Established",
    );
    return [...this.#kept].map(([vip, { rank, sinceMs, changeCount }]) => {
      const route = this.#route(vip, rank);
      const places = established.filter(
        (router) => decide(this.#configuration, router, route).attributes !== undefined,
      );
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
    return this.#configuration.routers.map((router) => {
      const session = this.#session(router);
      const watched = this.#watched.get(router.name);
      return {
        name: router.name,
        address: router.address ?? router.interface ?? "",
        as: router.as,
        localAs: router.localAs,
        ...session,
        sinceWallMs: watched?.sinceWallMs ?? this.#options.clock.wallMs(),
        flapCount: watched?.flapCount ?? 0,
        routes: [...this.#kept].map(([vip, { rank }]) => ({
          vip,
          rank,
          ...decide(this.#configuration, router, this.#route(vip, rank)),
        })),
      };
    });
  }

  onStatus(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  counters(): AnnouncerCounters {
    return { sent: this.#sent, sendFailures: this.#sendFailures, postponed: 0 };
  }

  async stop(options: { readonly graceful?: boolean } = {}): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#kept = new Map();
    await this.#options.speaker.stop({ graceful: options.graceful ?? true });
    this.#listeners.clear();
  }

  async #apply(): Promise<void> {
    await this.#options.speaker.apply([...this.#kept].map(([vip, { rank }]) => this.#route(vip, rank)));
    if (this.#options.speaker.state().trouble === undefined) this.#sent++;
    else this.#sendFailures++;
  }

  #route(vip: Address, rank: AnnouncedRank): SpeakerRoute {
    const { network, announce } = this.#options.detailsOf(vip);
    return { vip, rank, network, ...(announce !== undefined && { announce }) };
  }

  #session({ name, bfd }: RouterConfiguration): SpeakerSession {
    return (
      this.#options.speaker.state().sessions.get(name) ?? {
        session: "Down",
        bfd: bfd === undefined ? undefined : "Down",
        info: this.#options.speaker.state().trouble ?? "",
      }
    );
  }

  #stateChanged(): void {
    const { clock, logger } = this.#options;
    const next = new Map<string, Watched>();
    for (const router of this.#configuration.routers) {
      const { session, bfd, info } = this.#session(router);
      const key = `${session}/${bfd ?? "-"}`;
      const before = this.#watched.get(router.name);
      if (before?.key === key) {
        next.set(router.name, before);
        continue;
      }
      const wasUp = before?.key.startsWith("Established/") === true;
      const lost = wasUp && session !== "Established";
      next.set(router.name, {
        key,
        sinceWallMs: clock.wallMs(),
        flapCount: (before?.flapCount ?? 0) + (lost ? 1 : 0),
      });
      if (lost) logger.warn({ router: router.name, session, bfd, info }, "session with a router lost");
      else if (session === "Established" && (!wasUp || bfd !== undefined))
        logger.info({ router: router.name, session, bfd }, "session with a router");
    }
    this.#watched = next;
    for (const listener of this.#listeners) listener();
  }
}
