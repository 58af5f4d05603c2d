// `none`: routes are somebody else's. Remembers what would be announced, so that the API can show it.
import type { Address, Clock } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type Announced,
  type Announcement,
  type Announcer,
  type AnnouncerCounters,
  type RouterStatus,
} from "./announcer.ts";

export class NoneAnnouncer implements Announcer {
  readonly kind = "none";
  private readonly clock: Clock;
  /** Owned VIPs, and since when. */
  private since = new Map<Address, number>();
  private stopped = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  announce(announcements: readonly Announcement[]): Promise<void> {
    const before = this.since;
    if (this.stopped) return Promise.resolve();
    this.since = new Map();
    for (const { vip } of announcements.filter(({ rank }) => rank === 0)) {
      if (this.since.size >= ANNOUNCED_VIP_COUNT_MAX) break;
      this.since.set(vip, before.get(vip) ?? this.clock.nowMs());
    }
    return Promise.resolve();
  }

  renew(): void {}

  announced(): readonly Announced[] {
    return [...this.since].map(([vip, sinceMs]) => ({
      vip,
      rank: 0,
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
    return { sent: 0, sendFailures: 0, postponed: 0, speakerRestarts: 0 };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.since.clear();
  }
}
