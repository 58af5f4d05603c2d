import { HealthSchema, NodeStatusSchema, ProblemSchema } from "@holdfast/api";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { ApiSources } from "../sources.ts";

const tags = ["observation"];

export function healthRoutes(sources: ApiSources) {
  return async (app: FastifyInstance) => {
    app.get(
      "/v1/health/live",
      {
        schema: {
          tags,
          summary: "The process answers",
          response: { 200: Type.Object({ status: Type.Literal("ok") }) },
        },
      },
      async () => ({ status: "ok" }),
    );
    app.get(
      "/v1/health/ready",
      {
        schema: {
          tags,
          summary: "The member may own VIPs; 503 when not, with what is missing",
          response: { 200: HealthSchema, 503: HealthSchema },
        },
      },
      async (_request, reply) => {
        const health = sources.health();
        return reply.code(health.status === "ok" ? 200 : 503).send(health);
      },
    );
    app.get(
      "/v1/status",
      { schema: { tags, summary: "This member", response: { 200: NodeStatusSchema, "4xx": ProblemSchema } } },
      async () => sources.status(),
    );
    app.get(
      "/v1/metrics",
      {
        schema: {
          tags,
          summary: "Prometheus metrics",
          response: { 200: Type.String({ description: "Text exposition format." }) },
        },
      },
      async (_request, reply) =>
        reply
          .header("content-type", sources.metrics.contentType)
          .serializer((text: unknown) => String(text))
          .send(await sources.metrics.metrics()),
    );
  };
}
