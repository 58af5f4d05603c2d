// /metrics under LoxiLB's names, legacy and canonical, and its JSON views. What this node has no such thing
// of is left out or 0, never made up.
import type { FastifyInstance } from "fastify";
import type { LoxilbContext } from "./context.ts";
import type { FigureKeeper } from "./figures.ts";
import { prometheusText } from "./prometheus.ts";
import { sendJson } from "./reply.ts";
import { type LoxilbTotals, type Snapshot, Snapshots } from "./snapshot.ts";
import type { MetricsSwitch } from "./system.ts";

type Views = Readonly<Record<string, (now: Snapshot) => unknown>>;

export function metricRoutes(
  context: LoxilbContext,
  figures: FigureKeeper,
  enabled: MetricsSwitch,
  totals: LoxilbTotals,
) {
  const snapshots = new Snapshots(context, figures, totals);
  const views = viewsOf(snapshots);
  return async (app: FastifyInstance) => {
    app.get("/metrics", async (_request, reply) => {
      if (!enabled.enabled)
        return reply.code(503).header("content-type", "text/plain").send("Prometheus option is disabled.");
      const { flowCountMax } = context.configuration().dataPlane;
      const { body, contentType } = await prometheusText(await snapshots.take(), snapshots, flowCountMax);
      return reply.header("content-type", contentType).send(body);
    });
    app.get<{ Params: { view: string } }>("/metrics/:view", async (request, reply) => {
      const name = request.params.view.toLowerCase();
      const view = Object.hasOwn(views, name) ? views[name] : undefined;
      if (view === undefined) return reply.callNotFound();
      return sendJson(reply, 200, view(await snapshots.take()));
    });
  };
}

function viewsOf(snapshots: Snapshots): Views {
  return {
    flowcount: ({ sctp, tcp, udp, inactive }) => ({
      activeFlowCountTcp: tcp.active,
      activeFlowCountUdp: udp.active,
      activeFlowCountSctp: sctp.active,
      inactiveFlowCount: inactive,
    }),
    hostcount: ({ healthy, unhealthy }) => ({ healthyHostCount: healthy, unHealthyHostCount: unhealthy }),
    lbrulecount: ({ rules }) => ({ lbRuleCount: rules }),
    newflowcount: ({ created }) => ({ newFlowCount: created }),
    requestcount: ({ inits }) => ({ totalRequests: inits }),
    errorcount: ({ drops }) => ({ totalErrors: drops }),
    processedtraffic: ({ figures: { total }, sctp, tcp, udp }) => ({
      processedBytes: total.bytes,
      processedPackets: total.packets,
      processedSctpBytes: sctp.bytes,
      processedTcpBytes: tcp.bytes,
      processedUdpBytes: udp.bytes,
    }),
    lbprocessedtraffic: ({ figures: now }) =>
      [...snapshots.shares(now.byEndpoint)].map(({ service, rest, traffic }) => ({
        service,
        dip: rest,
        ...traffic,
      })),
    epdisttraffic: ({ figures: now }) =>
      [...snapshots.shares(now.byEndpoint)].map(({ service, rest, traffic }) => ({
        service,
        dip: rest,
        bytes: traffic.bytes,
      })),
    servicedisttraffic: ({ figures: now }) =>
      [...now.byService].map(([service, traffic]) => ({ service, bytes: traffic.bytes })),
    fwdrops: () => ({ totalFwDrops: 0 }),
    reqcountperclient: ({ figures: now }) =>
      [...snapshots.shares(now.byClient)].map(({ service, rest, traffic }) => ({
        service,
        sip: rest,
        packets: traffic.packets,
      })),
  };
}
