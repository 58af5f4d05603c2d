// GET /config/conntrack/all: each path with traffic of each session as LoxiLB's two entries, forward and
// reverse. Streamed: a hundred thousand sessions are some eight hundred thousand entries.
import { Readable } from "node:stream";
import type { PathCounters } from "@holdfast/api";
import {
  effectivePhase,
  type Phase,
  type Service,
  type SessionRecord,
  shownCandidate,
} from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { sctpRecord } from "../sessions/tables.ts";
import type { LoxilbContext } from "./context.ts";
import { sessionBatches } from "./figures.ts";
import { omitEmpty } from "./reply.ts";

const STATES: Readonly<Record<Phase, string>> = {
  init: "init",
  initAck: "init-ack",
  cookieEchoed: "cookie-echo",
  established: "est",
  shutdown: "shut",
  shutdownAck: "shut-ack",
  closed: "closed",
};

/**
 * The entries of one session; packets are summed over the members that counted. As in LoxiLB an entry is
 * there when a packet has passed; of a session that has had none, the path that its INIT came on.
 */
export function conntrackEntries(
  record: SessionRecord,
  service: Service | undefined,
  rows: readonly PathCounters[],
): readonly Record<string, unknown>[] {
  const candidate = shownCandidate(record);
  if (service === undefined || candidate === undefined) return [];
  const state = STATES[effectivePhase(record)];
  const common = { protocol: "sctp", conntrackState: state, ident: "0:0", servName: service.name };
  const generation = record.commit?.generation ?? [...record.generations.values()].at(-1);
  const isUncounted = rows.every(({ up, down }) => up.packets === 0 && down.packets === 0);
  const entries: Record<string, unknown>[] = [];
  for (const [index, vip] of service.vips.entries()) {
    const ofVip = rows.filter((row) => row.vip === vip);
    const paired = generation?.pairing[index] ?? record.clients.keys().next().value;
    const isShown = isUncounted && index === (generation?.arrivalVip ?? 0);
    const clients = new Set(ofVip.filter(({ up }) => up.packets > 0).map(({ client }) => client));
    if (isShown && paired !== undefined) clients.add(paired);
    for (const client of clients) {
      const ups = ofVip.filter((row) => row.client === client);
      entries.push({
        destinationIP: vip,
        sourceIP: client,
        destinationPort: service.port,
        sourcePort: record.clientPort,
        conntrackAct: `fdnat-${vip},${candidate.endpoint}:${candidate.endpointPort}:w0`,
        packets: sum(ups, ({ up }) => up.packets),
        bytes: sum(ups, ({ up }) => up.bytes),
        ...common,
      });
    }
    const packets = sum(ofVip, ({ down }) => down.packets);
    if (packets === 0 && !isShown) continue;
    entries.push({
      destinationIP: vip,
      sourceIP: candidate.endpoint,
      destinationPort: candidate.natPort,
      sourcePort: candidate.endpointPort,
      // The port is the one that the packet leaves with: the service's.
      conntrackAct: `fsnat-${vip},${paired}:${service.port}:w0`,
      packets,
      bytes: sum(ofVip, ({ down }) => down.bytes),
      ...common,
    });
  }
  return entries.map((entry) => omitEmpty(entry));
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
      const entries = batch.flatMap(([known, rows]) => {
        const record = sctpRecord(known);
        return record === undefined ? [] : conntrackEntries(record, services.get(record.serviceId), rows);
      });
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
