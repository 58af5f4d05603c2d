// Who may use the API: on the loopback everybody on this machine, unless a token is set; beyond it, holders of the
// token only. A browser's page may be on the machine and not be its owner's: foreign origins and names are refused.
import { createHash, timingSafeEqual } from "node:crypto";
import { HoldfastError } from "@holdfast/model";
import type { FastifyRequest } from "fastify";

/** Paths that say nothing about the cluster beyond being alive. */
const PUBLIC_PATHS = ["/v1/health/", "/v1/openapi.json", "/v1/docs"];

export interface AuthorizationOptions {
  /** The token in force; a reload may change it. */
  readonly token: () => string | undefined;
  /** A unix socket: its file's mode decides. */
  readonly socket: boolean;
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Constant time in the content; the length is hidden by the digest. */
export function sameToken(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

/** Throws UNAUTHORIZED or ORIGIN_REFUSED. */
export function authorize(request: FastifyRequest, { token, socket }: AuthorizationOptions): void {
  if (socket) return;
  refuseForeignPages(request, token() !== undefined);
  const path = request.url.split("?", 1)[0] ?? "";
  if (PUBLIC_PATHS.some((prefix) => path.startsWith(prefix))) return;
  const expected = token();
  if (expected === undefined) return;
  const header = request.headers.authorization ?? "";
  const given = /^Bearer (\S+)$/i.exec(header)?.[1];
  if (given === undefined || !sameToken(given, expected)) throw new HoldfastError("UNAUTHORIZED");
}

/**
 * A page elsewhere may send simple requests to the loopback, or have its own name resolve to it (DNS rebinding).
 * Browsers tell on them: the first carries a foreign Origin, the second a foreign Host.
 */
function refuseForeignPages(request: FastifyRequest, hasToken: boolean): void {
  refuseForeignOrigin(request);
  if (!hasToken && !hasLiteralHost(request))
    throw new HoldfastError("ORIGIN_REFUSED", { origin: request.headers.host ?? "" });
}

export function refuseForeignOrigin({ headers: { host = "", origin } }: FastifyRequest): void {
  if (origin !== undefined && origin.replace(/^https?:\/\//, "") !== host)
    throw new HoldfastError("ORIGIN_REFUSED", { origin });
}

/** The request names this machine by an address, not by a name that anybody may point at it. */
export function hasLiteralHost({ headers: { host = "" } }: FastifyRequest): boolean {
  const name = host.replace(/:\d+$/, "");
  return /^(localhost|\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])?$/.test(name);
}
