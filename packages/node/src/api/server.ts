// The API's server: fastify with our validation, errors and documents. One instance for each listener.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import fastifySwagger from "@fastify/swagger";
import { ROLE_HEADER, validate } from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import Fastify, { type FastifyInstance } from "fastify";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { consoleRoutes } from "../console/serve.ts";
import { type AuthorizationOptions, authorize } from "./authorization.ts";
import { allowMemberOrigins } from "./cross-origin.ts";
import { isChange, keepConfiguration } from "./kept.ts";
import { codedError, RequestInvalid, sendProblem } from "./problem.ts";
import { certificateRoutes } from "./routes/certificates.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { docsRoutes } from "./routes/docs.ts";
import { eventRoutes } from "./routes/events.ts";
import { healthRoutes } from "./routes/health.ts";
import { serviceRoutes } from "./routes/services.ts";
import { sessionRoutes } from "./routes/sessions.ts";
import { traceRoutes } from "./routes/trace.ts";
import type { ApiSources } from "./sources.ts";

/** Largest request body: a service has at most 4 VIPs and 32 endpoints. */
export const BODY_BYTES_MAX = 64 * 1024;

export interface ServerOptions {
  readonly authorization: AuthorizationOptions;
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** fastify's option for a listener with TLS, or none. */
export function httpsOf(tls: ServerOptions["tls"]): { https?: never } {
  if (tls === undefined) return {};
  const [cert, key] = [readFileSync(tls.certificate), readFileSync(tls.key)];
  return { https: { cert, key, minVersion: "TLSv1.2" } as never };
}

/** Builds the application; the caller listens. */
export async function buildServer(sources: ApiSources, options: ServerOptions): Promise<FastifyInstance> {
  const { logger } = sources;
  const app: FastifyInstance = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    genReqId: () => randomBytes(6).toString("hex"),
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 512 },
    ...httpsOf(options.tls),
  });

  // An empty body under a JSON content type is what many clients send with DELETE: it is no body.
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    if (body === "") return done(null, undefined);
    try {
      done(null, JSON.parse(body as string));
    } catch {
      done(
        new HoldfastError("REQUEST_INVALID", {
          reason: "the body is not JSON",
          remedy: "Send one JSON object.",
        }),
      );
    }
  });

  // One validator for requests and the configuration file, so that both complain in the same words.
  app.setValidatorCompiler(({ schema, httpPart }) => (data) => {
    const input =
      httpPart === "querystring" || httpPart === "params" ? Value.Convert(schema as TSchema, data) : data;
    const { value, findings } = validate(schema as TSchema & { static: unknown }, input);
    return findings.length > 0 ? { error: new RequestInvalid(findings) } : { value };
  });
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));

  const memberOrigins = () => sources.memberOrigins();
  allowMemberOrigins(app, memberOrigins);
  app.addHook("onRequest", async (request, reply) => {
    reply.header(ROLE_HEADER, authorize(request, { ...options.authorization, memberOrigins }));
  });
  app.addHook("onSend", keepConfiguration(sources));
  app.addHook("onResponse", async (request, reply) => {
    const fields = {
      requestId: request.id,
      method: request.method,
      url: request.url,
      status: reply.statusCode,
    };
    if (isChange(request, reply)) logger.info(fields, "API change");
    else logger.debug(fields, "API request");
  });
  app.setErrorHandler((error, request, reply) =>
    sendProblem(reply, codedError(error, request, logger), request.id),
  );
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      new HoldfastError("ROUTE_NOT_FOUND", {
        method: request.method,
        path: request.url.split("?", 1)[0] ?? "",
      }),
      request.id,
    ),
  );

  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Holdfast",
        version: sources.version,
        description:
          "The API of a Holdfast member. Every member answers for the whole cluster. Errors are problem+json with a stable code.",
      },
      tags: [
        { name: "services", description: "What is balanced." },
        { name: "sessions", description: "Associations as all members know them." },
        { name: "cluster", description: "VIPs, members, events." },
        { name: "observation", description: "Health, metrics, traces." },
      ],
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{}, { token: [] }],
    },
  });
  await app.register(docsRoutes);
  app.get("/v1/openapi.json", { schema: { hide: true } }, async () => app.swagger());

  await app.register(serviceRoutes(sources));
  await app.register(sessionRoutes(sources));
  await app.register(clusterRoutes(sources));
  await app.register(certificateRoutes(sources));
  await app.register(eventRoutes(sources));
  await app.register(healthRoutes(sources));
  await app.register(traceRoutes(sources));
  await app.register(consoleRoutes(memberOrigins));
  await app.ready();
  return app;
}
