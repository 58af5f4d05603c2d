// Pages that another member served may ask this one, once theirs is gone: the Fetch standard's CORS, for
// members' origins alone. What they may do is the token's matter, which their page sends as it sent it to its
// own member.
import type { FastifyInstance } from "fastify";

const EXPOSED = "holdfast-role, etag";
const PREFLIGHT = {
  "access-control-allow-methods": "GET, POST, PUT, DELETE",
  "access-control-allow-headers": "authorization, content-type, last-event-id, if-match",
  "access-control-max-age": "600",
};

export function allowMemberOrigins(app: FastifyInstance, origins: () => ReadonlySet<string>): void {
  app.addHook("onRequest", async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined || !origins().has(origin)) return;
    reply.header("access-control-allow-origin", origin);
    reply.header("access-control-expose-headers", EXPOSED);
    reply.header("vary", "origin");
    // A preflight carries no token.
    if (request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined)
      return reply.code(204).headers(PREFLIGHT).send();
  });
}
