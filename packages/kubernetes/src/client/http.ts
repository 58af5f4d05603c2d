// Requests to an API server over HTTP/1.1: one connection pool, a limit on every answer, and streams for watches.
import { type IncomingMessage, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { isDeepStrictEqual } from "node:util";
import type { Connection, Material } from "./connection.ts";
import { errorOfAnswer, KubernetesError } from "./error.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Longest wait for the whole answer, or for a stream's head, ms. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Answers above this size end the request: a list comes in pages. */
const ANSWER_SIZE_MAX = 256 * 1024 * 1024;

/** Watches occupy a connection each; keep-alive probes of TCP find those that are dead. */
const POOL = { keepAlive: true, keepAliveMsecs: 15_000, maxSockets: 64 };
/** Between two looks at the files of authority and certificate. */
const MATERIAL_LOOK_PERIOD_MS = 1_000;

interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export class Http {
  readonly #connection: Connection;
  #agent: PlainAgent;
  readonly #isTls: boolean;
  #material: TlsMaterial = {};
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#isTls = connection.url.startsWith("https:");
    this.#agent = new PlainAgent(POOL);
    this.#renew();
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Authority and client certificate as they are now: what begins from here on goes by them. */
  #renew(): void {
    if (!this.#isTls || performance.now() - this.#lookedAtMs < MATERIAL_LOOK_PERIOD_MS) return;
    const isFirst = this.#lookedAtMs === Number.NEGATIVE_INFINITY;
    this.#lookedAtMs = performance.now();
    const material = materialOf(this.#connection);
    if (!isFirst && isDeepStrictEqual(material, this.#material)) return;
    this.#material = material;
    retire(this.#agent);
    const rejectUnauthorized = this.#connection.isUnverified !== true;
    this.#agent = new TlsAgent({ ...POOL, ...material, rejectUnauthorized });
  }

  /** The answer's JSON. Throws KubernetesError for any other answer and for none. */
  async json<T>(call: Call): Promise<T> {
    const limit = AbortSignal.timeout(call.timeoutMs);
    const signal = call.signal === undefined ? limit : AbortSignal.any([call.signal, limit]);
    const what = `${call.method} ${call.path}`;
    try {
      const message = await this.#send(call, signal);
      const text = await textOf(message);
      const status = message.statusCode ?? 0;
      if (status < 200 || status > 299) throw errorOfAnswer(what, status, text, retryAfterOf(message));
      return JSON.parse(text) as T;
    } catch (cause) {
      throw unanswered(what, cause, limit.aborted ? `no answer within ${call.timeoutMs} ms` : undefined);
    }
  }

  /** The answer's lines, as they come, until its end or the signal's. `onBytes`: something came. */
  async *lines(call: Call, onBytes: () => void): AsyncGenerator<string> {
    const what = `${call.method} ${call.path}`;
    const head = new AbortController();
    const timer = setTimeout(
      () => head.abort(new Error(`no answer within ${call.timeoutMs} ms`)),
      call.timeoutMs,
    );
    const signal = call.signal === undefined ? head.signal : AbortSignal.any([call.signal, head.signal]);
    try {
      const message = await this.#send(call, signal);
      clearTimeout(timer);
      const status = message.statusCode ?? 0;
      if (status !== 200) throw errorOfAnswer(what, status, await textOf(message), retryAfterOf(message));
      message.setEncoding("utf8");
      let rest = "";
      for await (const part of message) {
        onBytes();
        const lines = (rest + part).split("\n");
        rest = lines.pop() ?? "";
        if (rest.length > ANSWER_SIZE_MAX) throw new Error("a line without an end");
        yield* lines.filter((line) => line !== "");
      }
    } catch (cause) {
      throw unanswered(what, cause, undefined);
    } finally {
      clearTimeout(timer);
    }
  }

  #send(call: Call, signal: AbortSignal): Promise<IncomingMessage> {
    this.#renew();
    const target = new URL(this.#connection.url + call.path);
    for (const [name, value] of Object.entries(call.query ?? {}))
      if (value !== undefined) target.searchParams.set(name, String(value));
    const token = this.#connection.token?.();
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers: Record<string, string> = {
      accept: "application/json",
      "user-agent": "holdfast-controller",
    };
    if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) {
      headers["content-type"] = call.contentType ?? "application/json";
      // Node sends the body of a DELETE without any length else.
      headers["content-length"] = String(Buffer.byteLength(body));
    }
    return new Promise((resolve, reject) => {
      const send = this.#isTls ? tlsRequest : plainRequest;
      const request = send(target, { method: call.method, agent: this.#agent, headers, signal }, resolve);
      request.on("error", reject);
      request.on("socket", (socket) => socket.setNoDelay(true));
      request.end(body);
    });
  }
}

function materialOf({ authority, certificate, key }: Connection): TlsMaterial {
  const now = (material: Material) => (typeof material === "function" ? material() : material);
  return {
    ...(authority !== undefined && { ca: now(authority) }),
    ...(certificate !== undefined && { cert: now(certificate) }),
    ...(key !== undefined && { key: now(key) }),
  };
}

/** What is under way comes to its end, watches among them; nothing begins on its connections. */
function retire(agent: PlainAgent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets))
    for (const socket of sockets ?? []) socket.destroy();
}

async function textOf(message: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of message) {
    size += (part as Buffer).length;
    if (size > ANSWER_SIZE_MAX) throw new Error(`an answer of more than ${ANSWER_SIZE_MAX} bytes`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}

function retryAfterOf(message: IncomingMessage): string | undefined {
  return message.headers["retry-after"];
}

function unanswered(what: string, cause: unknown, because: string | undefined): KubernetesError {
  if (cause instanceof KubernetesError) return cause;
  const reason = because ?? (cause instanceof Error ? cause.message : String(cause));
  return new KubernetesError(`${what}: ${reason}`, { status: 0, cause });
}
