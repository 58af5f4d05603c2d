import {
  ProblemSchema,
  SessionDetailSchema,
  SessionPageSchema,
  type SessionQuery,
  SessionQuerySchema,
  type SessionSummary,
} from "@holdfast/api";
import { HoldfastError, isSessionId } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { searchSessions } from "../../sessions/search.ts";
import { foreignSummary, sessionDetail, sessionSummary } from "../../sessions/view.ts";
import type { ApiSources } from "../sources.ts";

const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };

/** Summaries made in one turn of the event loop. */
const SUMMARY_TURN_COUNT = 200;

export function sessionRoutes(sources: ApiSources) {
  const { registry, table, catalogue } = sources;
  const services = () => new Map(registry.list().map((service) => [service.id, service]));

  return async (app: FastifyInstance) => {
    app.get<{ Querystring: SessionQuery }>(
      "/v1/sessions",
      {
        schema: {
          tags: ["sessions"],
          summary: "Sessions, a page at a time, by id",
          querystring: SessionQuerySchema,
          response: { 200: SessionPageSchema, ...problems },
        },
      },
      async (request) => {
        const page = await searchSessions(request.query, {
          table,
          foreign: () => sources.foreignSessions(),
          catalogue,
          services: () => registry.list(),
          ownershipOf: sources.ownershipOf,
          memberNumberOf: sources.memberNumberOf,
        });
        const byId = services();
        const items: SessionSummary[] = [];
        for (const record of page.records) {
          const service = byId.get(record.serviceId);
          items.push(
            "generations" in record
              ? sessionSummary(record, service, sources.memberNameOf)
              : foreignSummary(record, service),
          );
          if (items.length % SUMMARY_TURN_COUNT === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        return { items, ...(page.next !== undefined && { next: page.next }) };
      },
    );

    app.get<{ Params: { id: string } }>(
      "/v1/sessions/:id",
      {
        schema: {
          tags: ["sessions"],
          summary: "Everything about one session: generations, tags, paths, counters, replication, history",
          params: Type.Object({ id: Type.String({ maxLength: 64 }) }),
          response: { 200: SessionDetailSchema, ...problems },
        },
      },
      async (request) => {
        const record = isSessionId(request.params.id) ? table.get(request.params.id) : undefined;
        if (record === undefined)
          throw new HoldfastError("SESSION_NOT_FOUND", { session: request.params.id });
        const [counters, replication] = await Promise.all([
          sources.countersOf(record),
          sources.replicationOf(record),
        ]);
        return sessionDetail(record, {
          service: services().get(record.serviceId),
          memberNameOf: sources.memberNameOf,
          ownershipOf: sources.ownershipOf,
          history: catalogue.historyOf(record.id),
          counters,
          replication,
        });
      },
    );

    app.delete<{ Params: { id: string } }>(
      "/v1/sessions/:id",
      {
        schema: {
          tags: ["sessions"],
          summary: "End a session: client and endpoint are told with an ABORT",
          params: Type.Object({ id: Type.String({ maxLength: 64 }) }),
          response: { 204: Type.Null(), ...problems },
        },
      },
      async (request, reply) => {
        const { id } = request.params;
        if (!isSessionId(id)) throw new HoldfastError("SESSION_NOT_FOUND", { session: id });
        sources.removeSession(id);
        return reply.code(204).send();
      },
    );
  };
}
