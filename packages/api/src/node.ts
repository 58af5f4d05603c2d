// For Node alone: `fetch` for what the built-in one cannot reach: a unix socket, or a node whose certificate
// a private authority signed; and texts of files that are renewed. A browser uses the client with its own
// fetch.
import { type ClientRequest, type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { Readable } from "node:stream";
import type { FetchLike } from "./client.ts";

export interface TransportOptions {
  /** Connect here, whatever the URL's host is. */
  readonly socketPath?: string;
  /** PEM of the authority to trust. A function is asked for each request: authorities are renewed. */
  readonly authority?: string | (() => string);
}

/**
 * A file's text, now and later: tokens, authorities and certificates are renewed in place, and a controller
 * or an agent runs longer than they last. What cannot be read later stays what it was; what `read` throws now
 * is thrown.
 */
export function renewedText(read: () => string): () => string {
  let text = read();
  return () => {
    try {
      text = read();
    } catch {
      // It is being replaced.
    }
    return text;
  };
}

export function nodeFetch(options: TransportOptions): FetchLike {
  return (url, init) =>
    new Promise((resolve, reject) => {
      const target = new URL(url);
      const { authority } = options;
      const ca = typeof authority === "function" ? authority() : authority;
      const tls = target.protocol === "https:" && options.socketPath === undefined;
      const settings = {
        method: init.method ?? "GET",
        headers: init.headers as Record<string, string>,
        path: target.pathname + target.search,
        ...(options.socketPath !== undefined
          ? { socketPath: options.socketPath }
          : { hostname: target.hostname.replace(/^\[|\]$/g, ""), port: target.port || (tls ? 443 : 80) }),
        ...(init.signal ? { signal: init.signal } : {}),
        ...(tls && ca !== undefined ? { ca } : {}),
      };
      const onResponse = (message: IncomingMessage): void => {
        const headers = new Headers();
        for (const [name, value] of Object.entries(message.headers))
          if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
        const status = message.statusCode ?? 500;
        const empty = status === 204 || status === 304;
        if (empty) message.resume();
        const body = empty ? null : (Readable.toWeb(message) as unknown as ReadableStream<Uint8Array>);
        resolve(new Response(body, { status, headers }));
      };
      const sent: ClientRequest = tls ? tlsRequest(settings, onResponse) : plainRequest(settings, onResponse);
      sent.on("error", reject);
      if (typeof init.body === "string") sent.write(init.body);
      sent.end();
    });
}
