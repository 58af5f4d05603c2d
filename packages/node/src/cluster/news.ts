// What members tell each other for whoever looks: events, take-overs, reports.
import { type MemberReport, TAKE_OVER_KEPT_COUNT_MAX, type TakeOver } from "@holdfast/api";
import type { Coordinator } from "@holdfast/coordinator";
import { type Address, type Clock, effectivePhase, type SessionRecord } from "@holdfast/model";
import type { DataPlane } from "../data-plane/data-plane.ts";
import type { EventBody, EventBus } from "../events/bus.ts";
import { createEventLog } from "../events/event-log.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import type { SessionCatalogue } from "../sessions/catalogue.ts";
import type { ClusterLink } from "./link.ts";
import { ReplicatedLog } from "./replicated-log.ts";
import { isTakeOver, TakeOverWatch } from "./take-overs.ts";

/** Sessions whose first packet a take-over waits for. */
const WATCHED_COUNT_MAX = 16;
/** Sessions that are looked through for them. */
const LOOKED_COUNT_MAX = 2_000;

export interface ClusterNews {
  readonly eventLog: ReplicatedLog<EventBody>;
  readonly takeOvers: ReplicatedLog<TakeOver>;
  close(): void;
}

export function openNews(
  own: { readonly number: number },
  link: ClusterLink,
  clock: Clock,
  events: EventBus,
): ClusterNews {
  const eventLog = createEventLog(own, link, clock, events);
  const takeOvers = new ReplicatedLog<TakeOver>({
    topic: "take-overs",
    self: own.number,
    link,
    clock,
    keptCountMax: TAKE_OVER_KEPT_COUNT_MAX,
    isValue: isTakeOver,
  });
  return {
    eventLog,
    takeOvers,
    close() {
      eventLog.close();
      takeOvers.close();
    },
  };
}

/** Follows the coordinator: what this member takes over is measured and told. */
export function watchTakeOvers(parts: {
  readonly self: string;
  readonly news: ClusterNews;
  readonly coordinator: Pick<Coordinator, "onDuties" | "onEvent">;
  readonly link: Pick<ClusterLink, "table">;
  readonly registry: Pick<ServiceRegistry, "list">;
  readonly catalogue: Pick<SessionCatalogue, "countOfService">;
  readonly dataPlane: Pick<DataPlane, "countersOf">;
  readonly clock: Clock;
}): TakeOverWatch {
  const { self, news, coordinator, link, registry, catalogue, dataPlane, clock } = parts;
  const servicesOf = (vip: Address) => registry.list().filter(({ vips }) => vips.includes(vip));

  function someSessionsOf(vip: Address): SessionRecord[] {
    const services = new Set<string>(servicesOf(vip).map(({ id }) => id));
    const found: SessionRecord[] = [];
    let looked = 0;
    for (const record of link.table.values()) {
      if (found.length >= WATCHED_COUNT_MAX || ++looked > LOOKED_COUNT_MAX) break;
      if (services.has(record.serviceId) && effectivePhase(record) === "established") found.push(record);
    }
    return found;
  }

  const watch = new TakeOverWatch({
    self,
    clock,
    log: news.takeOvers,
    watchPackets(vip) {
      const sessions = someSessionsOf(vip);
      return () =>
        sessions
          .flatMap((record) => dataPlane.countersOf(record))
          .reduce((sum, row) => (row.vip === vip ? sum + row.up.packets : sum), 0);
    },
    sessionsOf: (vip) => servicesOf(vip).reduce((sum, { id }) => sum + catalogue.countOfService(id), 0),
  });
  // Before the others are told: the first packet may come with the announcement.
  coordinator.onDuties((duties) => watch.owns(duties.filter(({ owned }) => owned).map(({ vip }) => vip)));
  coordinator.onEvent((event) => {
    if (event.kind === "vipMoved") watch.moved(event);
  });
  return watch;
}

/** Drops and other totals of a data plane as a report has them. */
export function packetTotals(
  dataPlane: Pick<DataPlane, "fastPathTotals" | "slowPathDrops">,
): Pick<MemberReport, "drops" | "traffic"> {
  const drops = new Map<string, number>(dataPlane.slowPathDrops());
  const traffic: MemberReport["traffic"] = [];
  for (const [name, count] of dataPlane.fastPathTotals()) {
    if (name.startsWith("drop.")) {
      const reason = name.slice("drop.".length);
      drops.set(reason, (drops.get(reason) ?? 0) + count);
    } else if (!name.startsWith("punt.")) traffic.push({ name, count });
  }
  return {
    drops: [...drops].filter(([, count]) => count > 0).map(([name, count]) => ({ name, count })),
    traffic,
  };
}
