import {
  ProblemSchema,
  SessionDetailSchema,
  SessionPageSchema,
  type SessionQuery,
  SessionQuerySchema,
  type SessionSummary,
} from "@holdfast/api";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { searchSessions } from "../../sessions/search.ts";
import { sessionDetail, sessionSummary } from "../../sessions/view.ts";
import type { ApiSources } from "../sources.ts";

const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };

/** Summaries made in one turn of the event loop. */
const SUMMARY_TURN_COUNT = 200;

export function sessionRoutes(sources: ApiSources) {
  return async (app: FastifyInstance) => {
    searching(app, sources);
    reading(app, sources);
    ending(app, sources);
  };
}

const servicesOf = ({ registry }: ApiSources) =>
  new Map(registry.list().map((service) => [service.id, service]));

function searching(app: FastifyInstance, sources: ApiSources): void {
  const { registry, sessions, catalogue } = sources;
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
        sessions,
        catalogue,
        services: () => registry.list(),
        ownershipOf: sources.ownershipOf,
        memberNumberOf: sources.memberNumberOf,
      });
      const byId = servicesOf(sources);
      const items: SessionSummary[] = [];
      for (const shown of page.found) {
        const { serviceId } = "foreign" in shown ? shown.foreign : shown.record;
        items.push(sessionSummary(shown, byId.get(serviceId), sources.memberNameOf));
        if (items.length % SUMMARY_TURN_COUNT === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      return { items, ...(page.next !== undefined && { next: page.next }) };
    },
  );
}

function reading(app: FastifyInstance, sources: ApiSources): void {
  const { sessions, catalogue } = sources;
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
      const shown = sessions.shown(request.params.id);
      const { id, serviceId } = "foreign" in shown ? shown.foreign : shown.record;
      const [counters, replication] = await Promise.all([
        "foreign" in shown ? [] : sources.countersOf(shown.record),
        sources.replicationOf(id),
      ]);
      return sessionDetail(shown, {
        service: servicesOf(sources).get(serviceId),
        memberNameOf: sources.memberNameOf,
        ownershipOf: sources.ownershipOf,
        history: catalogue.historyOf(id),
        counters,
        replication,
      });
    },
  );
}

function ending(app: FastifyInstance, sources: ApiSources): void {
  const { sessions } = sources;
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
      const { record } = sessions.understood(request.params.id);
      sources.removeSession(record.id);
      return reply.code(204).send();
    },
  );
}
