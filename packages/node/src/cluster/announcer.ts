// The announcer on this member's interfaces.
import {
  type Announcement,
  type Announcer,
  type AnnouncerOptions,
  createAnnouncer,
} from "@holdfast/announcer";
import type { Clock, Logger, VipDuty } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";
import { servingInterfaces } from "../network/interfaces.ts";
import type { NetworkWatch } from "../network/watch.ts";
import type { Topology } from "./topology.ts";

export function openAnnouncer(options: {
  readonly configuration: Configuration;
  readonly topology: Topology;
  readonly network: Pick<NetworkWatch, "link" | "onChange">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: the machine's interfaces. */
  readonly sender?: AnnouncerOptions["sender"];
}): Announcer {
  const { configuration, topology, network, clock, logger, sender } = options;
  const names = servingInterfaces(topology.interfaces).map(({ name }) => name);
  return createAnnouncer({
    kind: configuration.announcer.kind,
    clock,
    logger,
    ...(sender !== undefined && { sender }),
    interfaces: {
      list: () =>
        names.flatMap((name) => {
          const link = network.link(name);
          if (link === undefined || !link.ethernet) return [];
          return [{ name, index: link.index, mac: link.mac, carrier: link.up && link.carrier }];
        }),
      onChange: (listener) => network.onChange(listener),
    },
  });
}

/** What the announcer is told for this member's duties. `leaving`: what it cannot own any more it still serves. */
export function announcementsOf(duties: readonly VipDuty[], leaving: boolean): readonly Announcement[] {
  return duties.flatMap(({ vip, rank }): Announcement[] => {
    if (rank !== undefined && (rank === 0 || !leaving)) return [{ vip, rank }];
    return leaving ? [{ vip, rank: "leaving" }] : [];
  });
}
