// The announcer on this member's interfaces.
import { type Announcer, type AnnouncerOptions, createAnnouncer } from "@holdfast/announcer";
import type { Address, Clock, Logger } from "@holdfast/model";
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

/** Announces exactly these VIPs. */
export function announceOnly(announcer: Announcer, vips: readonly Address[]): void {
  const wanted = new Set(vips);
  const now = new Set(announcer.announced().map(({ vip }) => vip));
  for (const vip of now) if (!wanted.has(vip)) announcer.withdraw(vip);
  for (const vip of wanted) if (!now.has(vip)) announcer.announce(vip);
}
