// `none`: routes are somebody else's. Remembers what would be announced, so that the API can show it.
import type { Address, Clock } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type Announced,
  type AnnouncedRank,
  type Announcement,
  type Announcer,
  type AnnouncerCounters,
  type RouterStatus,
} from "./announcer.ts";

export class NoneAnnouncer implements Announcer {
  readonly kind = "none";
  private readonly clock: Clock;
  private kept = new Map<Address, { readonly rank: AnnouncedRank; readonly sinceMs: number }>();
  private stopped = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  announce(announcements: readonly Announcement[]): Promise<void> {
    const before = this.kept;
    if (this.stopped) return Promise.resolve();
    this.kept = new Map();
    for (const { vip, rank } of announcements.filter(({ rank }) => rank === 0)) {
      if (this.kept.size >= ANNOUNCED_VIP_COUNT_MAX) break;
      this.kept.set(vip, before.get(vip) ?? { rank, sinceMs: this.clock.nowMs() });
    }
    return Promise.resolve();
  }

  renew(): void {}

  announced(): readonly Announced[] {
    return [...this.kept].map(([vip, { rank, sinceMs }]) => ({
      vip,
      rank,
      sinceMs,
      places: [],
      messageCount: 0,
      trouble: undefined,
    }));
  }

  routers(): readonly RouterStatus[] {
    return [];
  }

  onStatus(): () => void {
    return () => {};
  }

  counters(): AnnouncerCounters {
    return { sent: 0, sendFailures: 0, postponed: 0 };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.kept = new Map();
  }
}
