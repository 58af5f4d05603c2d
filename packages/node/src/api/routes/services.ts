import { type ServiceSpec, ServiceSpecSchema, ServiceViewSchema } from "@holdfast/api";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { revisionOf } from "../../services/specification.ts";
import { serviceView } from "../service-view.ts";
import type { ApiSources } from "../sources.ts";
import { endpointChanges, endpointReading } from "./endpoints.ts";
import {
  answer,
  closed,
  Farewell,
  type FarewellQuery,
  Id,
  IfMatch,
  listed,
  problems,
  revisionCheck,
  tags,
  tell,
} from "./service-parts.ts";

export function serviceRoutes(sources: ApiSources) {
  return async (app: FastifyInstance) => {
    reading(app, sources);
    creating(app, sources);
    replacing(app, sources);
    deleting(app, sources);
    endpointReading(app, sources);
    endpointChanges(app, sources);
  };
}

function reading(app: FastifyInstance, sources: ApiSources): void {
  const { registry } = sources;
  app.get(
    "/v1/services",
    {
      schema: {
        tags,
        summary: "All services",
        response: { 200: Type.Object({ items: Type.Array(ServiceViewSchema) }, closed), ...problems },
      },
    },
    async () => ({ items: registry.list().map((service) => serviceView(sources, service)) }),
  );

  app.get<{ Params: { id: string } }>(
    "/v1/services/:id",
    {
      schema: {
        tags,
        summary: "One service",
        params: Id,
        response: { 200: ServiceViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const service = registry.find(request.params.id);
      const body = answer(sources, reply, service);
      if (listed(request.headers["if-none-match"], revisionOf(service))) return reply.code(304).send();
      return body;
    },
  );
}

function creating(app: FastifyInstance, sources: ApiSources): void {
  const { registry } = sources;
  app.post<{ Body: ServiceSpec }>(
    "/v1/services",
    {
      schema: {
        tags,
        summary: "Create a service; the same again is no error",
        body: ServiceSpecSchema,
        response: { 200: ServiceViewSchema, 201: ServiceViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { service, created } = registry.create(request.body);
      if (created) {
        reply.code(201).header("location", `/v1/services/${encodeURIComponent(service.id)}`);
        tell(sources, "was created", service);
      }
      return answer(sources, reply, service);
    },
  );
}

function replacing(app: FastifyInstance, sources: ApiSources): void {
  const { registry } = sources;
  app.put<{ Params: { id: string }; Body: ServiceSpec; Querystring: FarewellQuery }>(
    "/v1/services/:id",
    {
      schema: {
        tags,
        summary: "Replace a service; living associations stay where they are",
        description:
          "Endpoints that are left out drain, as endpointRemoval says. VIPs that stay keep their places, in whatever order they are written.",
        params: Id,
        querystring: Farewell,
        headers: IfMatch,
        body: ServiceSpecSchema,
        response: { 200: ServiceViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const service = registry.replace(request.params.id, request.body, {
        revision: revisionCheck(request),
        farewell: request.query.sessions,
      });
      tell(sources, "was replaced", service);
      return answer(sources, reply, service);
    },
  );
}

function deleting(app: FastifyInstance, sources: ApiSources): void {
  const { registry } = sources;
  app.delete<{ Params: { id: string }; Querystring: FarewellQuery }>(
    "/v1/services/:id",
    {
      schema: {
        tags,
        summary: "Delete a service; with living associations it drains first (202)",
        params: Id,
        querystring: Farewell,
        headers: IfMatch,
        response: { 202: ServiceViewSchema, 204: Type.Null(), ...problems },
      },
    },
    async (request, reply) => {
      const service = registry.remove(request.params.id, {
        revision: revisionCheck(request),
        farewell: request.query.sessions,
      });
      if (service.removal !== undefined) {
        tell(sources, "was deleted and drains", service);
        return answer(sources, reply.code(202), service);
      }
      tell(sources, "was deleted", service);
      return reply.code(204).send();
    },
  );
}
