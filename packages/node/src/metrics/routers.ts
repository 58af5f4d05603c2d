// The routers' sessions, and who speaks with them.
import type { RouterStatus } from "@holdfast/announcer";
import type { Registry } from "prom-client";
import { counter, gauge, type Row, single } from "./collected.ts";
import type { MetricSources } from "./sources.ts";

export function routerMetrics(registers: Registry[], sources: MetricSources): void {
  const perRouter = (name: string, help: string, read: (router: RouterStatus) => number | undefined) =>
    gauge(registers, { name, help, labels: ["router"] }, () =>
      sources.routers().flatMap((router): Row[] => {
        const value = read(router);
        return value === undefined ? [] : [[{ router: router.name }, value]];
      }),
    );
  perRouter(
    "holdfast_router_session_up",
    "1 while the BGP session with the router is established.",
    ({ session }) => (session === "Established" ? 1 : 0),
  );
  perRouter(
    "holdfast_router_bfd_up",
    "1 while the BFD session with the router is up; only routers with BFD.",
    ({ bfd }) => (bfd === undefined ? undefined : bfd === "Up" ? 1 : 0),
  );
  perRouter(
    "holdfast_router_session_flaps",
    "How often the session with the router was lost since the member's start.",
    ({ flapCount }) => flapCount,
  );
  counter(
    registers,
    {
      name: "holdfast_speaker_restarts_total",
      help: "How often the BGP speaker ended, or was ended because it did not do its work, and was started again.",
    },
    () => single(sources.speakerRestarts()),
  );
  perRouter("holdfast_router_routes", "VIPs that the router is told of.", ({ session, routes }) =>
    session === "Established" ? routes.filter(({ attributes }) => attributes !== undefined).length : 0,
  );
}
