// Several kinds at once: l2 where hosts look for VIPs themselves, bgp where routers do.
import type { Address } from "@holdfast/model";
import type { Announced, Announcement, Announcer, AnnouncerCounters, RouterStatus } from "./announcer.ts";

export class CompositeAnnouncer implements Announcer {
  readonly kind = "composite";
  readonly parts: readonly Announcer[];

  constructor(parts: readonly Announcer[]) {
    this.parts = parts;
  }

  async announce(announcements: readonly Announcement[]): Promise<void> {
    await Promise.all(this.parts.map((part) => part.announce(announcements)));
  }

  renew(vip: Address): void {
    for (const part of this.parts) part.renew(vip);
  }

  /** A VIP is in trouble when no part leads its traffic here. */
  announced(): readonly Announced[] {
    const merged = new Map<Address, Announced>();
    for (const part of this.parts)
      for (const next of part.announced()) {
        const before = merged.get(next.vip);
        merged.set(next.vip, before === undefined ? next : merge(before, next));
      }
    return [...merged.values()].sort((a, b) => a.sinceMs - b.sinceMs);
  }

  routers(): readonly RouterStatus[] {
    return this.parts.flatMap((part) => part.routers());
  }

  onStatus(listener: () => void): () => void {
    const ends = this.parts.map((part) => part.onStatus(listener));
    return () => {
      for (const end of ends) end();
    };
  }

  counters(): AnnouncerCounters {
    const all = this.parts.map((part) => part.counters());
    const sum = (field: keyof AnnouncerCounters) => all.reduce((total, each) => total + each[field], 0);
    return {
      sent: sum("sent"),
      sendFailures: sum("sendFailures"),
      postponed: sum("postponed"),
      speakerRestarts: sum("speakerRestarts"),
    };
  }

  async stop(options?: { readonly graceful?: boolean }): Promise<void> {
    await Promise.all(this.parts.map((part) => part.stop(options)));
  }
}

function merge(a: Announced, b: Announced): Announced {
  return {
    vip: a.vip,
    rank: a.rank === 0 || b.rank === 0 ? 0 : a.rank,
    sinceMs: Math.min(a.sinceMs, b.sinceMs),
    places: [...a.places, ...b.places],
    messageCount: a.messageCount + b.messageCount,
    trouble: a.trouble === undefined || b.trouble === undefined ? undefined : `${a.trouble}; ${b.trouble}`,
  };
}
