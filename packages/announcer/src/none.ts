// `none`: routes are somebody else's. Remembers what would be announced, so that the API can show it.
import type { Address, Clock } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type Announced,
  type Announcer,
  type AnnouncerCounters,
} from "./announcer.ts";

export class NoneAnnouncer implements Announcer {
  readonly kind = "none";
  private readonly clock: Clock;
  private readonly since = new Map<Address, number>();
  private stopped = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  announce(vip: Address): void {
    if (this.stopped || this.since.has(vip) || this.since.size >= ANNOUNCED_VIP_COUNT_MAX) return;
    this.since.set(vip, this.clock.nowMs());
  }

  withdraw(vip: Address): void {
    this.since.delete(vip);
  }

  announced(): readonly Announced[] {
    return [...this.since].map(([vip, sinceMs]) => ({
      vip,
      sinceMs,
      interfaces: [],
      messageCount: 0,
      trouble: undefined,
    }));
  }

  counters(): AnnouncerCounters {
    return { sent: 0, sendFailures: 0, postponed: 0 };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.since.clear();
  }
}
