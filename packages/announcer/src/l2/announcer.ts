// `l2`: gratuitous ARP and unsolicited neighbour advertisements on every attached segment. No address is
// given to the kernel, which would answer for it for ever; solicitations are answered by the data plane,
// which knows the sign of life.
import type { Address, Clock, Logger, Timer } from "@holdfast/model";
import {
  ANNOUNCED_VIP_COUNT_MAX,
  type Announced,
  type Announcement,
  type Announcer,
  type AnnouncerCounters,
  type RouterStatus,
} from "../announcer.ts";
import type { AnnouncerInterface, InterfacePort } from "../interfaces.ts";
import { announcementFrames } from "./frames.ts";
import type { FrameSender } from "./packet-socket.ts";
import { delayBeforeMs, LATE_MAX_MS, POSTPONEMENT_MS } from "./schedule.ts";

export interface L2Options {
  readonly interfaces: InterfacePort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly sender: FrameSender;
}

interface Burst {
  readonly vip: Address;
  readonly sinceMs: number;
  /** Rounds since the last beginning of a burst. */
  round: number;
  messageCount: number;
  timer: Timer | undefined;
}

export class L2Announcer implements Announcer {
  readonly kind = "l2";
  private readonly options: L2Options;
  private readonly announcements = new Map<Address, Burst>();
  private readonly unsubscribe: () => void;
  /** Interfaces with carrier as last seen, by index: their MAC as text. */
  private known = new Map<number, string>();
  private sent = 0;
  private sendFailures = 0;
  private postponed = 0;
  private stopped = false;

  constructor(options: L2Options) {
    this.options = options;
    this.known = withCarrier(options.interfaces.list());
    this.unsubscribe = options.interfaces.onChange(() => this.interfacesChanged());
  }

  announce(announcements: readonly Announcement[]): Promise<void> {
    const owned = new Set(announcements.filter(({ rank }) => rank === 0).map(({ vip }) => vip));
    for (const vip of [...this.announcements.keys()]) if (!owned.has(vip)) this.withdraw(vip);
    for (const vip of owned) if (!this.announcements.has(vip)) this.begin(vip);
    return Promise.resolve();
  }

  renew(vip: Address): void {
    if (this.announcements.has(vip)) this.begin(vip);
  }

  routers(): readonly RouterStatus[] {
    return [];
  }

  onStatus(): () => void {
    return () => {};
  }

  private begin(vip: Address): void {
    if (this.stopped) return;
    let announcement = this.announcements.get(vip);
    if (announcement === undefined) {
      if (this.announcements.size >= ANNOUNCED_VIP_COUNT_MAX) {
        this.options.logger.error({ vip, max: ANNOUNCED_VIP_COUNT_MAX }, "too many VIPs to announce");
        return;
      }
      const sinceMs = this.options.clock.nowMs();
      announcement = { vip, sinceMs, round: 0, messageCount: 0, timer: undefined };
      this.announcements.set(vip, announcement);
    }
    this.burst(announcement);
  }

  private withdraw(vip: Address): void {
    this.announcements.get(vip)?.timer?.cancel();
    this.announcements.delete(vip);
  }

  announced(): readonly Announced[] {
    const interfaces = this.options.interfaces.list().filter(({ carrier }) => carrier);
    const names = interfaces.map(({ name }) => name);
    return [...this.announcements.values()].map(({ vip, sinceMs, messageCount }) => ({
      vip,
      rank: 0,
      sinceMs,
      places: names,
      messageCount,
      trouble: names.length === 0 ? "no interface has carrier" : undefined,
    }));
  }

  counters(): AnnouncerCounters {
    const { sent, sendFailures, postponed } = this;
    return { sent, sendFailures, postponed, speakerRestarts: 0 };
  }

  async stop(): Promise<void> {
    if (this.stopped) return;
    this.stopped = true;
    this.unsubscribe();
    for (const vip of [...this.announcements.keys()]) this.withdraw(vip);
    this.options.sender.close();
  }

  private burst(announcement: Burst): void {
    announcement.timer?.cancel();
    announcement.round = 0;
    this.sendRound(announcement);
  }

  private sendRound(announcement: Burst): void {
    for (const port of this.options.interfaces.list()) {
      if (!port.carrier) continue;
      for (const frame of announcementFrames(announcement.vip, port.mac)) {
        if (this.options.sender.send(port.index, frame)) {
          this.sent++;
          announcement.messageCount++;
        } else this.sendFailures++;
      }
    }
    announcement.round++;
    this.schedule(announcement, delayBeforeMs(announcement.round));
  }

  private schedule(announcement: Burst, delayMs: number): void {
    const { clock } = this.options;
    const dueMs = clock.nowMs() + delayMs;
    announcement.timer = clock.after(delayMs, () => {
      if (clock.nowMs() - dueMs <= LATE_MAX_MS) {
        this.sendRound(announcement);
        return;
      }
      this.postponed++;
      this.schedule(announcement, POSTPONEMENT_MS);
    });
  }

  /** A segment came (back), or its MAC changed: the neighbours there know nothing of us yet. */
  private interfacesChanged(): void {
    if (this.stopped) return;
    const now = withCarrier(this.options.interfaces.list());
    const fresh = [...now].some(([index, mac]) => this.known.get(index) !== mac);
    this.known = now;
    if (!fresh) return;
    for (const announcement of this.announcements.values()) this.burst(announcement);
  }
}

function withCarrier(interfaces: readonly AnnouncerInterface[]): Map<number, string> {
  return new Map(
    interfaces
      .filter(({ carrier }) => carrier)
      .map(({ index, mac }) => [index, Buffer.from(mac).toString("hex")]),
  );
}
