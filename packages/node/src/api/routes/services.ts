import {
  addressesOfSpec,
  EndpointSpecSchema,
  oneOf,
  ProblemSchema,
  type ServiceSpec,
  ServiceSpecSchema,
  type ServiceView,
  ServiceViewSchema,
} from "@holdfast/api";
import {
  type HoldfastError,
  idleOf,
  isPlain,
  NAT_PORT_POLICY_DEFAULT,
  PROTOCOL_TCP,
  parseAddress,
  protocolName,
  REPLICATE_AFTER_DEFAULT_MS,
  REPLICATE_DEFAULT,
  type Removal,
  type Service,
  type ServiceProtocol,
  serviceWarnings,
} from "@holdfast/model";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { RevisionCheck } from "../../services/registry.ts";
import { untilMs } from "../../services/removal.ts";
import { endpointKey, endpointRemovalOf, revisionOf, specOfEndpoint } from "../../services/specification.ts";
import type { ApiSources } from "../sources.ts";

const closed = { additionalProperties: false } as const;
const Id = Type.Object({ id: Type.String({ maxLength: 300, description: "Service id or name." }) });
const Endpoint = Type.Object({
  id: Type.String({ maxLength: 300, description: "Service id or name." }),
  endpoint: Type.String({ maxLength: 100, description: "ADDRESS:PORT, or [ADDRESS]:PORT for IPv6." }),
});
const IfMatch = Type.Object({
  "if-match": Type.Optional(Type.String({ description: "Only when the service is still this one (ETag)." })),
});
const Farewell = Type.Object({
  sessions: Type.Optional(
    oneOf(["drain", "end"], {
      description:
        "What happens to living associations: drain lets them go on for the service's grace, end ends them now. When absent: as the service says, a deleted one drains.",
    }),
  ),
});
interface FarewellQuery {
  readonly sessions?: "drain" | "end";
}
const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };
const tags = ["services"];

export function serviceRoutes(sources: ApiSources) {
  const { registry, catalogue, events } = sources;

  const noteOf = ({ code, message, remedy }: HoldfastError) => ({ code, message, remedy });

  function view(service: Service): ServiceView {
    const refused = sources.clashes().refused.get(service.id);
    return {
      id: service.id,
      name: service.name,
      protocol: protocolName(service.protocol) as ServiceProtocol,
      vips: [...service.vips],
      port: service.port,
      selection: service.selection,
      endpoints: service.endpoints.map((endpoint) => {
        const key = endpointKey(endpoint.address, endpoint.port);
        const { health, reason, addresses, sameServerAs } = sources.endpointHealth(service.id, key);
        return {
          ...specOfEndpoint(endpoint),
          address: endpoint.address,
          health,
          ...(reason !== undefined && { reason }),
          ...(addresses !== undefined && { addressHealth: addresses.map((each) => ({ ...each })) }),
          ...(sameServerAs !== undefined && { sameServerAs: [...sameServerAs] }),
          sessions: catalogue.countOfEndpoint(service.id, key),
        };
      }),
      idleTimeoutS: service.idleTimeoutS,
      restartNewAddresses: service.restartNewAddresses,
      ...prefixesOf(service),
      withdrawWhenDown: service.withdrawWhenDown,
      natPort: service.natPort ?? NAT_PORT_POLICY_DEFAULT,
      endpointsMayBegin: service.endpointsMayBegin ?? false,
      peers: [...(service.peers ?? [])],
      ...{ ...(service.healthCheck && { healthCheck: service.healthCheck }), ...plainViewOf(service) },
      ...(service.announce !== undefined && { announce: service.announce }),
      endpointRemoval: { ...endpointRemovalOf(service) },
      leaving: (service.leaving ?? []).map((place) => {
        const key = endpointKey(place.address, place.port);
        return {
          address: place.address,
          port: place.port,
          health: sources.endpointHealth(service.id, key).health,
          sessions: catalogue.countOfEndpoint(service.id, key),
          ...graceOf(place),
        };
      }),
      ...(service.removal !== undefined && {
        removal: { mode: service.removal.mode, ...graceOf(service.removal) },
      }),
      withheld: registry.withheldOf(service.id).map((each) => ({ ...each })),
      managedBy: registry.managerOf(service),
      source: registry.isFromFile(service.id) ? "file" : "api",
      sessions: catalogue.countOfService(service.id),
      revision: revisionOf(service),
      warnings: serviceWarnings(service).map(noteOf),
      ...(refused !== undefined && { refused: noteOf(refused) }),
    };
  }

  function graceOf(removal: Removal): { until: string; leftS: number } {
    const until = untilMs(removal);
    const leftMs = Math.max(0, until - sources.clock.wallMs());
    return { until: new Date(until).toISOString(), leftS: Math.ceil(leftMs / 1000) };
  }

  function answer(reply: FastifyReply, service: Service): ServiceView {
    reply.header("etag", `"${revisionOf(service)}"`);
    return view(service);
  }

  function told(message: string, service: Service): void {
    events.emit({ type: "service", message: `Service ${service.id} ${message}.`, service: service.id });
  }

  return async (app: FastifyInstance) => {
    app.get(
      "/v1/services",
      {
        schema: {
          tags,
          summary: "All services",
          response: { 200: Type.Object({ items: Type.Array(ServiceViewSchema) }, closed), ...problems },
        },
      },
      async () => ({ items: registry.list().map(view) }),
    );

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
          told("was created", service);
        }
        return answer(reply, service);
      },
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
        const body = answer(reply, service);
        if (listed(request.headers["if-none-match"], revisionOf(service))) return reply.code(304).send();
        return body;
      },
    );

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
        told("was replaced", service);
        return answer(reply, service);
      },
    );

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
          told("was deleted and drains", service);
          return answer(reply.code(202), service);
        }
        told("was deleted", service);
        return reply.code(204).send();
      },
    );

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
      async (request) => ({ items: view(registry.find(request.params.id)).endpoints }),
    );

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
        told(`endpoint ${endpoint}: ${action === "drain" ? "drained" : "active again"}`, service);
        return answer(reply, service);
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
        told(`endpoint ${endpointKey(address, spec.port)}: set`, service);
        return answer(reply, service);
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
        told(`endpoint ${request.params.endpoint}: removed`, service);
        return answer(reply, service);
      },
    );
  };
}

const prefixesOf = ({ clientPrefixes, allowedSources = [] }: Service) => ({
  clientPrefixes: [...clientPrefixes],
  allowedSources: [...allowedSources],
});

/** The specification that a service came from. */
export function specOf(service: Service): ServiceSpec {
  return {
    name: service.name === service.id ? "" : service.name,
    protocol: protocolName(service.protocol) as ServiceProtocol,
    vips: [...service.vips],
    port: service.port,
    selection: service.selection,
    endpoints: service.endpoints.map(specOfEndpoint),
    idleTimeoutS: service.idleTimeoutS,
    restartNewAddresses: service.restartNewAddresses,
    ...prefixesOf(service),
    withdrawWhenDown: service.withdrawWhenDown,
    natPort: service.natPort ?? NAT_PORT_POLICY_DEFAULT,
    endpointsMayBegin: service.endpointsMayBegin ?? false,
    peers: [...(service.peers ?? [])],
    ...(service.healthCheck !== undefined && { healthCheck: service.healthCheck }),
    ...plainSpecOf(service),
    ...(service.announce !== undefined && { announce: service.announce }),
    endpointRemoval: { ...endpointRemovalOf(service) },
  };
}

type PlainSpec = Pick<ServiceSpec, "idle" | "replicate" | "replicateAfterMs" | "proxyProtocol">;

/** The same with what is in force where the service says nothing. */
function plainViewOf(service: Service): PlainSpec {
  if (!isPlain(service.protocol)) return {};
  const { establishedS, transitoryS, flowS, oneShotS } = idleOf(service);
  return {
    idle: service.protocol === PROTOCOL_TCP ? { establishedS, transitoryS } : { flowS, oneShotS },
    replicate: service.replicate ?? REPLICATE_DEFAULT,
    replicateAfterMs: service.replicateAfterMs ?? REPLICATE_AFTER_DEFAULT_MS,
    ...(service.protocol === PROTOCOL_TCP && { proxyProtocol: service.proxyProtocol ?? false }),
  };
}

/** What services of TCP and UDP say alone. */
function plainSpecOf(service: Service): PlainSpec {
  const { idle, replicate, replicateAfterMs, proxyProtocol } = service;
  return {
    ...(idle !== undefined && { idle: { ...idle } }),
    ...(replicate !== undefined && { replicate }),
    ...(replicateAfterMs !== undefined && { replicateAfterMs }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
  };
}

function revisionCheck(request: FastifyRequest): RevisionCheck | undefined {
  const header = request.headers["if-match"];
  return header === undefined ? undefined : (revision) => listed(header, revision);
}

/** RFC 9110 §13.1: a list of entity tags, or `*`. */
function listed(header: string | undefined, revision: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((part) => {
    const tag = part.trim().replace(/^W\//, "");
    return tag === "*" || tag === `"${revision}"`;
  });
}
