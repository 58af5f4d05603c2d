// Where this member announces its VIPs, as the API shows it.
import type { Announcer } from "@holdfast/announcer";
import type { VipView } from "@holdfast/api";
import type { Address, Clock } from "@holdfast/model";

export type AnnouncementViews = ReadonlyMap<Address, VipView["announcements"]>;

/** All at once: what one VIP is worth at the routers takes a look at all of them. */
export function announcementViews(
  announcer: Pick<Announcer, "announced" | "kind">,
  clock: Pick<Clock, "wallMs" | "nowMs">,
): AnnouncementViews {
  return new Map(
    announcer.announced().map(({ vip, rank, places, sinceMs, trouble }) => {
      const since = new Date(clock.wallMs() - (clock.nowMs() - sinceMs)).toISOString();
      const views = (places.length > 0 ? places : ["-"]).map((name) => ({
        interface: name,
        kind: announcer.kind,
        ...(rank === "leaving" ? { leaving: true } : { rank }),
        ...(trouble !== undefined && { trouble }),
        since,
      }));
      return [vip, views];
    }),
  );
}
