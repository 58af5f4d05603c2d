// GET /config/conntrack/all: each path with traffic of each session as LoxiLB's two entries, forward and
// reverse. Streamed: a hundred thousand sessions are some eight hundred thousand entries.
import { Readable } from "node:stream";
import type { PathCounters } from "@holdfast/api";
import {
  type Address,
  isAddress,
  NO_ADDRESS,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  type Protocol,
  protocolName,
  type Service,
  type SessionRecord,
} from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { type KnownSession, sctpRecord } from "../sessions/tables.ts";
import type { LoxilbContext } from "./context.ts";
import { sessionBatches } from "./figures.ts";
import { omitEmpty } from "./reply.ts";

/** Its words, by protocol and by our phases. */
const STATES: ReadonlyMap<Protocol, Readonly<Record<string, string>>> = new Map([
  [
    PROTOCOL_SCTP,
    {
      init: "init",
      initAck: "init-ack",
      cookieEchoed: "cookie-echo",
      established: "est",
      shutdown: "shut",
      shutdownAck: "shut-ack",
    },
  ],
  [PROTOCOL_TCP, { opening: "sync-sent", established: "est", closing: "fini", timeWait: "fini" }],
  [PROTOCOL_UDP, { opening: "udp-uni", established: "udp-est" }],
]);

/**
 * The entries of one session; packets are summed over the members that counted. As in LoxiLB an entry is
 * there when a packet has passed; of a session that has had none, the path that its INIT came on.
 */
export function conntrackEntries(
  session: KnownSession,
  service: Service | undefined,
  rows: readonly PathCounters[],
): readonly Record<string, unknown>[] {
  const { kind, record } = session;
  const port = kind.shownPort(record);
  if (service === undefined || port === undefined) return [];
  const common = {
    protocol: protocolName(record.protocol),
    conntrackState: STATES.get(record.protocol)?.[kind.phaseOf(record)] ?? "closed",
    ident: "0:0",
    servName: service.name,
  };
  const { arrival, pairedAt } = pathsOf(session, service);
  const isUncounted = rows.every(({ up, down }) => up.packets === 0 && down.packets === 0);
  const entries: Record<string, unknown>[] = [];
  for (const [index, vip] of service.vips.entries()) {
    const ofVip = rows.filter((row) => row.vip === vip);
    const paired = pairedAt(index);
    const isShown = isUncounted && index === arrival;
    const clients = new Set(ofVip.filter(({ up }) => up.packets > 0).map(({ client }) => client));
    if (isShown && paired !== undefined) clients.add(paired);
    for (const client of clients) {
      const ups = ofVip.filter((row) => row.client === client);
      entries.push({
        destinationIP: vip,
        sourceIP: client,
        destinationPort: service.port,
        sourcePort: record.clientPort,
        conntrackAct: `fdnat-${vip},${port.endpoint}:${port.endpointPort}:w0`,
        packets: sum(ups, ({ up }) => up.packets),
        bytes: sum(ups, ({ up }) => up.bytes),
        ...common,
      });
    }
    const packets = sum(ofVip, ({ down }) => down.packets);
    if (packets === 0 && !isShown) continue;
    entries.push({
      destinationIP: vip,
      sourceIP: port.endpoint,
      destinationPort: port.natPort,
      sourcePort: port.endpointPort,
      // The port is the one that the packet leaves with: the service's.
      conntrackAct: `fsnat-${vip},${paired}:${service.port}:w0`,
      packets,
      bytes: sum(ofVip, ({ down }) => down.bytes),
      ...common,
    });
  }
  return entries.map((entry) => omitEmpty(entry));
}

/** The VIP that it came on, by index, and the client's address on each VIP. */
function pathsOf(
  session: KnownSession,
  service: Service,
): { readonly arrival: number; readonly pairedAt: (index: number) => string | undefined } {
  const sctp = sctpRecord(session);
  const [first] = session.kind.clientsOf(session.record).keys();
  if (sctp === undefined)
    return { arrival: service.vips.indexOf(vipOf(session) ?? NO_ADDRESS), pairedAt: () => first };
  const generation = newest(sctp);
  return {
    arrival: generation?.arrivalVip ?? 0,
    pairedAt: (index) => generation?.pairing[index] ?? first,
  };
}

function newest({ commit, generations }: SessionRecord) {
  return commit?.generation ?? [...generations.values()].at(-1);
}

function vipOf({ record }: KnownSession): Address | undefined {
  return "vip" in record && isAddress(record.vip) ? record.vip : undefined;
}

function sum(rows: readonly PathCounters[], of: (row: PathCounters) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}

export function conntrackRoutes(context: LoxilbContext) {
  const { registry } = context.sources;
  async function* body(): AsyncGenerator<string> {
    const services = new Map(registry.list().map((service) => [service.id, service]));
    let separator = "";
    yield '{"ctAttr":[';
    for await (const batch of sessionBatches(context)) {
      const entries = batch.flatMap(([session, rows]) =>
        conntrackEntries(session, services.get(session.record.serviceId), rows),
      );
      if (entries.length === 0) continue;
      yield separator + entries.map((entry) => JSON.stringify(entry)).join(",");
      separator = ",";
    }
    yield "]}";
  }
  return async (app: FastifyInstance) => {
    app.get("/config/conntrack/all", async (_request, reply) =>
      reply.code(200).header("content-type", "application/json").send(Readable.from(body())),
    );
  };
}
