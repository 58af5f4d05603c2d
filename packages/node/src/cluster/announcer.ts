// The announcer on this member's interfaces and toward its routers.
import {
  type Announcement,
  type Announcer,
  type AnnouncerOptions,
  BgpAnnouncer,
  CompositeAnnouncer,
  type RouterConfiguration,
  startAnnouncer,
} from "@holdfast/announcer";
import { patternOf } from "@holdfast/forwarder";
import type { Clock, Logger, Service, VipDuty } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";
import type { PostedRouting } from "../loxilb/routing.ts";
import { servingInterfaces } from "../network/interfaces.ts";
import type { NetworkWatch } from "../network/watch.ts";
import { announcesOf } from "../services/announced.ts";
import { bgpConfiguration } from "./routers.ts";
import { networkOfVip, type Topology } from "./topology.ts";

export interface OpenedAnnouncer {
  readonly announcer: Announcer;
  /**
   * What makes other routers and attributes true. Throws CONFIG_ROUTER_PASSWORD_INVALID; nothing is changed
   * yet.
   */
  prepare(configuration: Configuration): () => void;
  /** Routers beside the file's; undefined where bgp is not among the kinds. */
  readonly posted: PostedRouting | undefined;
}

export async function openAnnouncer(options: {
  readonly configuration: Configuration;
  readonly topology: Topology;
  readonly network: Pick<NetworkWatch, "link" | "onChange">;
  readonly services: () => readonly Service[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: the machine's interfaces. */
  readonly sender?: AnnouncerOptions["sender"];
}): Promise<OpenedAnnouncer> {
  const { configuration, topology, network, services, clock, logger, sender } = options;
  const { kind, l2Interfaces, speaker, bird, gobgp, directory } = configuration.announcer;
  const names = () =>
    servingInterfaces(topology.interfaces)
      .map(({ name }) => name)
      .filter(
        (name) => l2Interfaces === undefined || l2Interfaces.some((each) => patternOf(each).test(name)),
      );
  const bgp = [kind].flat().includes("bgp") ? bgpConfiguration(configuration, topology.system) : undefined;
  const announcer = await startAnnouncer({
    kind,
    clock,
    logger,
    ...(sender !== undefined && { sender }),
    ...(bgp !== undefined && {
      bgp: {
        speaker,
        program: speaker === "bird" ? bird : gobgp,
        directory,
        configuration: bgp,
        details: () => {
          const said = announcesOf(services());
          return (vip) => ({ network: networkOfVip(vip, topology), announce: said.get(vip) });
        },
      },
    }),
    interfaces: {
      list: () =>
        names().flatMap((name) => {
          const link = network.link(name);
          if (link === undefined || !link.ethernet) return [];
          return [{ name, index: link.index, mac: link.mac, carrier: link.up && link.carrier }];
        }),
      onChange: (listener) => network.onChange(listener),
    },
  });
  const parts = announcer instanceof CompositeAnnouncer ? announcer.parts : [announcer];
  const speaking = parts.find((part) => part instanceof BgpAnnouncer);
  if (speaking === undefined || bgp === undefined)
    return { announcer, prepare: () => () => {}, posted: undefined };
  let file = bgp;
  let posted: readonly RouterConfiguration[] = [];
  const tell = () => {
    const known = new Set(file.routers.map(({ address }) => address));
    const beside = posted.filter(({ address }) => !known.has(address));
    speaking.reconfigure({ ...file, routers: [...file.routers, ...beside] }).catch((error: unknown) => {
      logger.error({ err: error }, "routers could not be told of the new configuration");
    });
  };
  return {
    announcer,
    prepare(next) {
      const prepared = bgpConfiguration(next, topology.system);
      return () => {
        file = prepared;
        tell();
      };
    },
    posted: {
      own: () => file.routers,
      routerId: bgp.routerId,
      localAs: configuration.announcer.localAs,
      set(routers) {
        posted = routers;
        tell();
      },
      states: () => announcer.routers(),
    },
  };
}

/**
 * What the announcer is told for this member's duties. `leaving`: what it cannot own any more it still
 * serves.
 */
export function announcementsOf(duties: readonly VipDuty[], leaving: boolean): readonly Announcement[] {
  return duties.flatMap(({ vip, rank }): Announcement[] => {
    if (rank !== undefined && (rank === 0 || !leaving)) return [{ vip, rank }];
    return leaving ? [{ vip, rank: "leaving" }] : [];
  });
}
