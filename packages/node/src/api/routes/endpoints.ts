// A service's endpoints.
import {
  addressesOfSpec,
  EndpointSpecSchema,
  oneOf,
  type ServiceSpec,
  ServiceViewSchema,
} from "@holdfast/api";
import { parseAddress } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { endpointKey } from "../../services/specification.ts";
import { serviceView, specOf } from "../service-view.ts";
import type { ApiSources } from "../sources.ts";
import {
  answer,
  closed,
  Endpoint,
  Farewell,
  type FarewellQuery,
  Id,
  problems,
  tags,
  tell,
} from "./service-parts.ts";

export function endpointReading(app: FastifyInstance, sources: ApiSources): void {
  const { registry } = sources;
  app.get<{ Params: { id: string } }>(
    "/v1/services/:id/endpoints",
    {
      schema: {
        tags,
        summary: "Endpoints of a service with their health",
        params: Id,
        response: {
          200: Type.Object({ items: ServiceViewSchema.properties.endpoints }, closed),
          ...problems,
        },
      },
    },
    async (request) => ({ items: serviceView(sources, registry.find(request.params.id)).endpoints }),
  );
}

export function endpointChanges(app: FastifyInstance, sources: ApiSources): void {
  const { registry } = sources;
  app.post<{ Params: { id: string; endpoint: string; action: "drain" | "undrain" } }>(
    "/v1/services/:id/endpoints/:endpoint/:action",
    {
      schema: {
        tags,
        summary:
          "Drain an endpoint: living associations stay, new ones and restarts go elsewhere; or take it back",
        params: Type.Object({ ...Endpoint.properties, action: oneOf(["drain", "undrain"]) }),
        response: { 200: ServiceViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { id, endpoint, action } = request.params;
      const service = registry.setEndpointState(id, endpoint, action === "drain" ? "drain" : "active");
      tell(sources, `endpoint ${endpoint}: ${action === "drain" ? "drained" : "active again"}`, service);
      return answer(sources, reply, service);
    },
  );

  app.put<{ Params: { id: string }; Body: ServiceSpec["endpoints"][number] }>(
    "/v1/services/:id/endpoints",
    {
      schema: {
        tags,
        summary: "Add an endpoint, or change its weight or state",
        params: Id,
        body: EndpointSpecSchema,
        response: { 200: ServiceViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const before = registry.find(request.params.id);
      const spec = request.body;
      const [address = ""] = addressesOfSpec(spec).map(parseAddress);
      const others = specOf(before).endpoints.filter((e) => e.address !== address || e.port !== spec.port);
      const service = registry.replace(before.id, { ...specOf(before), endpoints: [...others, spec] });
      tell(sources, `endpoint ${endpointKey(address, spec.port)}: set`, service);
      return answer(sources, reply, service);
    },
  );

  app.delete<{ Params: { id: string; endpoint: string }; Querystring: FarewellQuery }>(
    "/v1/services/:id/endpoints/:endpoint",
    {
      schema: {
        tags,
        summary: "Remove an endpoint: it drains, as endpointRemoval says",
        description:
          "When its associations end, its clients are told with an ABORT, so that they return elsewhere at once.",
        params: Endpoint,
        querystring: Farewell,
        response: { 200: ServiceViewSchema, ...problems },
      },
    },
    async (request, reply) => {
      const service = registry.removeEndpoint(request.params.id, request.params.endpoint, {
        farewell: request.query.sessions,
      });
      tell(sources, `endpoint ${request.params.endpoint}: removed`, service);
      return answer(sources, reply, service);
    },
  );
}
