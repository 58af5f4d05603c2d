// Who may use LoxiLB's API: programs of this machine; from beyond it, those that `allowRemote` lists, or
// holders of the token over TLS. Never a page in somebody's browser.

import { isIP } from "node:net";
import { type Address, type Prefix, parseAddress, parsePrefix, prefixContains } from "@holdfast/model";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { hasLiteralHost, refuseForeignOrigin, sameToken } from "../api/authorization.ts";
import { readToken } from "../api/listen.ts";
import type { LoxilbContext } from "./context.ts";
import { Denied, LoxilbError, PREFIX } from "./reply.ts";
import { Told } from "./told.ts";

/** Paths that never ask for a token. */
const OPEN_PATHS = [PREFIX, `${PREFIX}/`, `${PREFIX}/version`, `${PREFIX}/meta`];
const LOOPBACK = ["127.0.0.0/8", "::1/128"].map((text) => parsePrefix(text) as Prefix);

/** Adds the checks in front of every request. Throws API_TOKEN_INVALID. */
export function guard(app: FastifyInstance, { configuration, logger, sources }: LoxilbContext): void {
  const { loxilb } = configuration();
  const token = readToken(loxilb);
  const clients = [...LOOPBACK, ...loxilb.allowRemote.map(prefixOf).filter((prefix) => prefix !== undefined)];
  const told = new Told(sources.clock);
  app.addHook("onRequest", async (request) => {
    if (loxilb.allowRemote.length > 0 && !isListed(clients, request.socket.remoteAddress)) {
      const from = request.socket.remoteAddress ?? "unknown";
      if (told.isDue(from)) logger.warn({ from }, "a caller of LoxiLB's API is not in loxilb.allowRemote");
      throw new Denied(403, "this address may not use the API: list it in loxilb.allowRemote");
    }
    const path = request.url.split("?", 1)[0] ?? "";
    const isOpen = OPEN_PATHS.includes(path.toLowerCase());
    refusePages(request, isOpen || token !== undefined);
    if (token === undefined || isOpen) return;
    // The raw token, without "Bearer".
    if (!sameToken(request.headers.authorization ?? "", token)) throw new LoxilbError("invalid token");
  });
}

/**
 * A page elsewhere tells on itself by its Origin. One whose own name was made to point here does not; but
 * browsers send an Origin with everything that changes something, and kube-loxilb, which may know its nodes
 * by name, never does.
 */
function refusePages(request: FastifyRequest, mayHaveAnyName: boolean): void {
  try {
    refuseForeignOrigin(request);
  } catch (error) {
    throw new Denied(403, (error as Error).message);
  }
  if (mayHaveAnyName || hasLiteralHost(request)) return;
  const reads = request.method === "GET" || request.method === "HEAD";
  if (reads || request.headers.origin !== undefined)
    throw new Denied(403, "use the node's address, or a token: a name may be anybody's");
}

function prefixOf(text: string): Prefix | undefined {
  return parsePrefix(text.includes("/") ? text : `${text}/${isIP(text) === 4 ? 32 : 128}`);
}

function isListed(clients: readonly Prefix[], remote: string | undefined): boolean {
  // A socket for both families shows IPv4 inside IPv6; a unix socket has no address, its file's mode decides.
  if (remote === undefined) return true;
  const text = remote.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
  if (isIP(text) === 0) return false;
  const address: Address = parseAddress(text);
  return clients.some((prefix) => prefixContains(prefix, address));
}
