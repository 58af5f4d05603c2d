// LoxiLB's REST API on a port of its own, so that loxicmd and kube-loxilb drive this node unchanged.
import { parseListenAddress } from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import Fastify, { type FastifyInstance } from "fastify";
import { keepConfiguration } from "../api/kept.ts";
import { listenAt, listenedAt, reasonOf } from "../api/listen.ts";
import { httpsOf } from "../api/server.ts";
import { missingProtection } from "../config/check.ts";
import { bgpRoutes } from "./bgp.ts";
import { conntrackRoutes } from "./conntrack.ts";
import type { LoxilbContext } from "./context.ts";
import { endpointRoutes } from "./endpoints.ts";
import { FigureKeeper } from "./figures.ts";
import { guard } from "./guard.ts";
import { highAvailabilityRoutes } from "./high-availability.ts";
import { metricRoutes } from "./metrics.ts";
import {
  Denied,
  LoxilbError,
  PREFIX,
  Refusal,
  SchemaViolation,
  sendDenial,
  sendError,
  sendJson,
  sendRefusal,
} from "./reply.ts";
import { ruleRoutes } from "./rules.ts";
import type { LoxilbTotals } from "./snapshot.ts";
import { systemRoutes } from "./system.ts";
import { Told } from "./told.ts";

/** A rule has at most 4 addresses and 32 endpoints; names of pods come in bulk. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
/** Clients keep connections between health checks that are two seconds apart. */
const KEEP_ALIVE_MS = 65_000;

export function buildLoxilbServer(context: LoxilbContext, totals: LoxilbTotals): FastifyInstance {
  const { logger, configuration } = context;
  const { clock } = context.sources;
  const app: FastifyInstance = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: true,
    // kube-loxilb writes its paths in lower case.
    ...httpsOf(configuration().loxilb.tls),
    routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, maxParamLength: 512 },
  });

  takeJsonAlone(app);
  guard(app, context);
  app.addHook("onSend", keepConfiguration(context.sources));

  // A client may retry for ever.
  const told = new Told(clock);
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof SchemaViolation)
      return sendJson(reply, 422, { code: error.code, message: error.message });
    if (error instanceof LoxilbError) return sendError(reply, error);
    if (error instanceof Refusal) {
      if (told.isDue(error.message))
        logger.warn(
          { url: request.url, reason: error.message },
          "a client of LoxiLB's API asks for what is not offered",
        );
      return sendRefusal(reply, error);
    }
    if (error instanceof Denied) return sendDenial(reply, error);
    if (error instanceof HoldfastError)
      return sendRefusal(reply, new Refusal(`${error.message} ${error.remedy} (${error.code})`));
    const status = (error as { statusCode?: number }).statusCode;
    if (status !== undefined && status >= 400 && status < 500)
      return sendJson(reply, status, { code: status, message: (error as Error).message });
    logger.error({ err: error, url: request.url }, "request of LoxiLB's API failed");
    return sendError(reply, new LoxilbError("internal failure: the node's log has the cause"));
  });
  app.setNotFoundHandler((request, reply) =>
    sendJson(reply, 404, { code: 404, message: `path ${request.url.split("?", 1)[0]} was not found` }),
  );

  const figures = new FigureKeeper(context);
  const metrics = { enabled: configuration().loxilb.metrics };
  app.register(ruleRoutes(context, figures), { prefix: PREFIX });
  app.register(conntrackRoutes(context), { prefix: PREFIX });
  app.register(endpointRoutes(context), { prefix: PREFIX });
  app.register(highAvailabilityRoutes(context), { prefix: PREFIX });
  app.register(bgpRoutes(context), { prefix: PREFIX });
  app.register(systemRoutes(context, metrics), { prefix: PREFIX });
  app.register(metricRoutes(context, figures, metrics, totals), { prefix: PREFIX });
  return app;
}

/**
 * LoxiLB's clients all say application/json. A body of another type is what a web page elsewhere can send
 * unasked.
 */
function takeJsonAlone(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    // An empty body is none; with DELETE come whole rules, which mean nothing.
    if (body === "" || request.method === "DELETE") return done(null, undefined);
    try {
      done(null, JSON.parse(body as string));
    } catch {
      done(new LoxilbError("parse error: the body is not JSON"));
    }
  });
  app.addContentTypeParser("*", (_request, _body, done) => {
    done(new Denied(415, "the body's content type must be application/json"));
  });
}

export interface LoxilbListener {
  readonly address: string;
  close(): Promise<void>;
}

/** Throws LOXILB_NOT_PROTECTED, API_TOKEN_INVALID, API_TLS_INVALID or API_LISTEN_FAILED. */
export async function startLoxilb(context: LoxilbContext, totals: LoxilbTotals): Promise<LoxilbListener> {
  const { loxilb } = context.configuration();
  const { listen, tls } = loxilb;
  const missing = missingProtection(loxilb);
  if (missing !== undefined) throw new HoldfastError("LOXILB_NOT_PROTECTED", { listen, missing });
  const where = parseListenAddress(listen);
  if (where === undefined) throw new HoldfastError("API_LISTEN_FAILED", { listen, reason: "no such form" });
  let app: FastifyInstance;
  try {
    app = buildLoxilbServer(context, totals);
  } catch (cause) {
    if (tls === undefined || cause instanceof HoldfastError) throw cause;
    throw new HoldfastError("API_TLS_INVALID", { reason: reasonOf(cause) }, { cause });
  }
  try {
    await listenAt(app, where);
  } catch (cause) {
    await app.close();
    throw new HoldfastError("API_LISTEN_FAILED", { listen, reason: reasonOf(cause) }, { cause });
  }
  const address = "path" in where ? listen : listenedAt(app, tls !== undefined);
  context.logger.info({ address }, "LoxiLB's API listens");
  return {
    address,
    async close() {
      await app.close();
    },
  };
}
