// Who may use the API, and for what. Without a token in force: everybody on this machine, for everything.
// With tokens: their holders as far as each one's role goes; who comes over the loopback without one may
// read. A browser's page may be on the machine and not be its owner's: foreign origins and names are refused.
import { createHash, timingSafeEqual } from "node:crypto";
import type { Role } from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import type { FastifyRequest } from "fastify";

/** Paths that say nothing about the cluster beyond being alive. */
const PUBLIC_PATHS = ["/v1/health/", "/v1/openapi.json", "/v1/docs", "/console"];
/** Packets are their senders' business: who may only look at the cluster does not look into them. */
const OPERATE_PATHS = ["/v1/trace"];

export interface ApiToken {
  readonly role: Role;
  readonly token: string;
}

export interface AuthorizationOptions {
  /** The tokens in force; a reload may change them. */
  readonly tokens: () => readonly ApiToken[];
  /** A unix socket: its file's mode decides who may open it. */
  readonly socket: boolean;
  /** Origins of the members' APIs: a page that one of them served may ask this one. */
  readonly memberOrigins?: () => ReadonlySet<string>;
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Constant time in the content; the length is hidden by the digest. */
export function sameToken(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

/** The role of the request. Throws UNAUTHORIZED, ROLE_INSUFFICIENT or ORIGIN_REFUSED. */
export function authorize(
  request: FastifyRequest,
  { tokens, socket, memberOrigins }: AuthorizationOptions,
): Role {
  const { origin } = request.headers;
  if (origin === undefined || memberOrigins?.().has(origin) !== true) refuseForeignOrigin(request);
  if (socket) {
    // A browser opens no socket, but it comes through what does, a proxy: everybody's page with it.
    if (!hasNameOfNobodyElse(request, memberOrigins?.() ?? new Set())) throw foreignName(request);
    return "operate";
  }
  const inForce = tokens();
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  const role = roleOf(given, inForce, request);
  const path = request.url.split("?", 1)[0] ?? "";
  if (isBelow(path, PUBLIC_PATHS)) {
    if (inForce.length === 0) refuseForeignName(request);
    return role ?? "read";
  }
  // Without a token nothing else tells a page's rebound name from this machine's owner.
  if (given === undefined || inForce.length === 0) {
    if (inForce.length > 0 && !isLoopback(request)) throw new HoldfastError("UNAUTHORIZED");
    refuseForeignName(request);
  }
  if (role === undefined) throw new HoldfastError("UNAUTHORIZED");
  const changes = request.method !== "GET" && request.method !== "HEAD";
  if (role === "read" && (changes || isBelow(path, OPERATE_PATHS)))
    throw given === undefined
      ? new HoldfastError("UNAUTHORIZED")
      : new HoldfastError("ROLE_INSUFFICIENT", { role });
  return role;
}

function roleOf(
  given: string | undefined,
  inForce: readonly ApiToken[],
  request: FastifyRequest,
): Role | undefined {
  if (inForce.length === 0) return "operate";
  if (given === undefined) {
    const header = request.headers.authorization;
    return header === undefined && isLoopback(request) ? "read" : undefined;
  }
  // All are compared, so that the time tells nothing about which it is.
  const found = inForce.filter(({ token }) => sameToken(given, token));
  return found.find(({ role }) => role === "operate")?.role ?? found[0]?.role;
}

function isBelow(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) =>
    prefix.endsWith("/") || prefix.endsWith(".json")
      ? path.startsWith(prefix)
      : path === prefix || path.startsWith(`${prefix}/`),
  );
}

/** The other end is on this machine: what comes through Docker's or another host's forwarding is not. */
function isLoopback({ raw }: FastifyRequest): boolean {
  const address = raw.socket.remoteAddress ?? "";
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

/**
 * A page elsewhere may send simple requests to the loopback, or have its own name resolve to it (DNS
 * rebinding). Browsers tell on them: the first carries a foreign Origin, the second a foreign Host.
 */
function refuseForeignName(request: FastifyRequest): void {
  if (!hasLiteralHost(request)) throw foreignName(request);
}

function foreignName({ headers: { host = "" } }: FastifyRequest): HoldfastError {
  return new HoldfastError("ORIGIN_REFUSED", { origin: host });
}

/**
 * For a unix socket: clients write any word as its host, browsers behind a proxy the member's own name. A
 * name with a dot that is not one of the members' may be somebody's who has it resolve to this machine.
 */
function hasNameOfNobodyElse(request: FastifyRequest, origins: ReadonlySet<string>): boolean {
  const { host = "" } = request.headers;
  if (hasLiteralHost(request) || !host.includes(".")) return true;
  return [...origins].some((origin) => origin.replace(/^https?:\/\//, "") === host);
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
