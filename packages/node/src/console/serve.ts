// The page at /console: files that were built beforehand (packages/console/build.ts), kept in memory. It
// holds nothing of the cluster: whoever opens it still needs the API's leave to see anything.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { HoldfastError } from "@holdfast/model";
import type { FastifyInstance } from "fastify";

const TYPES: Readonly<Record<string, string>> = {
  "index.html": "text/html; charset=utf-8",
  "console.js": "text/javascript; charset=utf-8",
  "console.css": "text/css; charset=utf-8",
  "icon.svg": "image/svg+xml",
};
/** The same place in a checkout, in the image and in the npm package. */
const BUILT = new URL("../../../console/build/", import.meta.url);

interface Served {
  readonly type: string;
  readonly body: Buffer;
  readonly packed: Buffer;
}

/** `origins`: of the members' APIs, where the page goes on when this member is gone. */
export function contentSecurityPolicy(origins: Iterable<string>): string {
  const others = [...origins].filter((origin) => /^https?:\/\/[^\s;,']+$/.test(origin));
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src ${["'self'", ...others].join(" ")}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

export function consoleRoutes(origins: () => Iterable<string>, built: URL = BUILT) {
  const files = new Map<string, Served>();
  return async (app: FastifyInstance) => {
    app.get("/console", { schema: { hide: true } }, async (_request, reply) =>
      reply.redirect("/console/", 308),
    );
    app.get<{ Params: { "*": string } }>("/console/*", { schema: { hide: true } }, async (request, reply) => {
      const name = request.params["*"] === "" ? "index.html" : request.params["*"];
      const file = files.get(name) ?? read(name, built);
      if (file === undefined)
        throw new HoldfastError("ROUTE_NOT_FOUND", { method: "GET", path: `/console/${name}` });
      files.set(name, file);
      const policy = contentSecurityPolicy(origins());
      // Of the policy too: a browser that is answered 304 keeps the policy that it had (Chromium 156 does),
      // and the page could not go on at a member that this one has come to know since.
      const etag = etagOf(file.body, policy);
      reply
        .header("content-security-policy", policy)
        .header("cache-control", "no-cache")
        .header("etag", etag)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .header("vary", "accept-encoding")
        .serializer((body: unknown) => body as string);
      if (request.headers["if-none-match"] === etag) return reply.code(304).send();
      const packs = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
      if (packs) reply.header("content-encoding", "gzip");
      return reply.type(file.type).send(packs ? file.packed : file.body);
    });
  };
}

function etagOf(body: Buffer, policy: string): string {
  return `"${createHash("sha256").update(policy).update("\n").update(body).digest("base64url").slice(0, 20)}"`;
}

/** undefined when the page has no such file. Throws CONSOLE_NOT_BUILT. */
function read(name: string, built: URL): Served | undefined {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type === undefined) return undefined;
  try {
    const body = readFileSync(new URL(name, built));
    return { type, body, packed: gzipSync(body, { level: 9 }) };
  } catch (cause) {
    throw new HoldfastError("CONSOLE_NOT_BUILT", {}, { cause });
  }
}
