// Listeners of the API. Refuses to be reachable from outside without a token and TLS.
import { chmodSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { parseListenAddress } from "@holdfast/api";
import { HoldfastError, type Logger } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { isLoopbackListen, listenList } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { ApiToken } from "./authorization.ts";
import { buildServer } from "./server.ts";
import type { ApiSources } from "./sources.ts";
import { ApiTls } from "./tls.ts";

const TOKEN_LENGTH_MIN = 16;

/** A listener's token: of the file when there is one. Throws API_TOKEN_INVALID. */
export function readToken(api: { readonly token?: string; readonly tokenFile?: string }): string | undefined {
  if (api.tokenFile === undefined) return api.token;
  let token: string;
  try {
    token = readFileSync(api.tokenFile, "utf8").trim();
  } catch (cause) {
    throw new HoldfastError("API_TOKEN_INVALID", { file: api.tokenFile, reason: reasonOf(cause) });
  }
  if (token.length < TOKEN_LENGTH_MIN || /\s/.test(token)) {
    const reason = `it does not hold one word of at least ${TOKEN_LENGTH_MIN} characters`;
    throw new HoldfastError("API_TOKEN_INVALID", { file: api.tokenFile, reason });
  }
  return token;
}

export type Tokens = readonly ApiToken[];

/** The tokens of the node's own API. Throws API_TOKEN_INVALID. */
export function readTokens(api: Configuration["api"]): Tokens {
  const all = readToken(api);
  return [
    ...(all === undefined ? [] : [{ role: "operate" as const, token: all }]),
    ...api.tokens.flatMap(({ role, ...where }) => {
      const token = readToken(where);
      return token === undefined ? [] : [{ role, token }];
    }),
  ];
}

export interface ApiListeners {
  /** URLs, or `unix:/PATH`, with the ports that the kernel chose. */
  readonly addresses: readonly string[];
  /** Takes a new certificate when its files have changed. */
  lookAtTls(): void;
  close(): Promise<void>;
}

export async function startApi(
  sources: ApiSources,
  api: Configuration["api"],
  tokens: () => Tokens,
  logger: Logger,
): Promise<ApiListeners> {
  const apps: FastifyInstance[] = [];
  const certificates = api.tls === undefined ? undefined : new ApiTls(api.tls, logger);
  const addresses: string[] = [];
  const close = async () => {
    await Promise.all(apps.map((app) => app.close()));
  };
  try {
    for (const listen of listenList(api.listen)) {
      const where = parseListenAddress(listen);
      if (where === undefined)
        throw new HoldfastError("API_LISTEN_FAILED", { listen, reason: "no such form" });
      const socket = "path" in where;
      const missing = [
        ...(tokens().length === 0 ? ["a token"] : []),
        ...(api.tls === undefined ? ["TLS"] : []),
      ];
      if (!isLoopbackListen(listen) && missing.length > 0)
        throw new HoldfastError("API_NOT_PROTECTED", { listen, missing: missing.join(" and ") });
      const tls = socket ? undefined : api.tls;
      let app: FastifyInstance;
      try {
        app = await buildServer(withOwnOrigin(sources, api), {
          authorization: { tokens, socket },
          ...(tls !== undefined && { tls }),
        });
      } catch (cause) {
        if (tls === undefined) throw cause;
        throw new HoldfastError("API_TLS_INVALID", { reason: reasonOf(cause) }, { cause });
      }
      apps.push(app);
      try {
        await listenAt(app, where);
        if (socket) addresses.push(listen);
        else {
          certificates?.add(app.server);
          addresses.push(listenedAt(app, tls !== undefined));
        }
      } catch (cause) {
        throw new HoldfastError("API_LISTEN_FAILED", { listen, reason: reasonOf(cause) }, { cause });
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  logger.info({ addresses, tokens: tokens().length, tls: api.tls !== undefined }, "API listens");
  return { addresses, lookAtTls: () => certificates?.look(), close };
}

/** Behind a proxy this member has an origin that its pages know it by. */
function withOwnOrigin(sources: ApiSources, { url }: Configuration["api"]): ApiSources {
  if (url === undefined) return sources;
  const own = new URL(url).origin;
  return { ...sources, memberOrigins: () => new Set([own, ...sources.memberOrigins()]) };
}

/**
 * A file that a killed daemon left in a socket's place is taken away; a living one's lock is the data
 * plane's.
 */
export async function listenAt(
  app: FastifyInstance,
  where: NonNullable<ReturnType<typeof parseListenAddress>>,
): Promise<void> {
  if (!("path" in where)) {
    await app.listen(where);
    return;
  }
  rmSync(where.path, { force: true });
  await app.listen({ path: where.path });
  chmodSync(where.path, 0o660);
}

/** URL of where it listens; fastify says 127.0.0.1 for every address. */
export function listenedAt(app: FastifyInstance, tls: boolean): string {
  const at = app.server.address() as AddressInfo;
  const host = at.address.includes(":") ? `[${at.address}]` : at.address;
  return `${tls ? "https" : "http"}://${host}:${at.port}`;
}

export function reasonOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
}
