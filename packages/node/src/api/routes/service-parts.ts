// What the routes of services and of their endpoints have in common.
import { oneOf, ProblemSchema, type ServiceView } from "@holdfast/api";
import type { Service } from "@holdfast/model";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { RevisionCheck } from "../../services/registry.ts";
import { revisionOf } from "../../services/specification.ts";
import { serviceView } from "../service-view.ts";
import type { ApiSources } from "../sources.ts";

export const closed = { additionalProperties: false } as const;
export const Id = Type.Object({ id: Type.String({ maxLength: 300, description: "Service id or name." }) });
export const Endpoint = Type.Object({
  id: Type.String({ maxLength: 300, description: "Service id or name." }),
  endpoint: Type.String({ maxLength: 100, description: "ADDRESS:PORT, or [ADDRESS]:PORT for IPv6." }),
});
export const IfMatch = Type.Object({
  "if-match": Type.Optional(Type.String({ description: "Only when the service is still this one (ETag)." })),
});
export const Farewell = Type.Object({
  sessions: Type.Optional(
    oneOf(["drain", "end"], {
      description:
        "What happens to living associations: drain lets them go on for the service's grace, end ends them now. When absent: as the service says, a deleted one drains.",
    }),
  ),
});
export interface FarewellQuery {
  readonly sessions?: "drain" | "end";
}
export const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };
export const tags = ["services"];

/** Answers with a service, and its revision as an entity tag. */
export function answer(sources: ApiSources, reply: FastifyReply, service: Service): ServiceView {
  reply.header("etag", `"${revisionOf(service)}"`);
  return serviceView(sources, service);
}

export function tell({ events }: ApiSources, message: string, service: Service): void {
  events.emit({ type: "service", message: `Service ${service.id} ${message}.`, service: service.id });
}

export function revisionCheck(request: FastifyRequest): RevisionCheck | undefined {
  const header = request.headers["if-match"];
  return header === undefined ? undefined : (revision) => listed(header, revision);
}

/** RFC 9110 §13.1: a list of entity tags, or `*`. */
export function listed(header: string | undefined, revision: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((part) => {
    const tag = part.trim().replace(/^W\//, "");
    return tag === "*" || tag === `"${revision}"`;
  });
}
