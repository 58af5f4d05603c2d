// The verbs of an API server, typed by resource. Nothing here tries twice: whoever asks knows what a repetition means.
import { apiVersionOf, type KubernetesObject, type Resource } from "../objects.ts";
import type { Connection } from "./connection.ts";
import { KubernetesError, type StatusBody } from "./error.ts";
import { Http, type Query } from "./http.ts";

export interface ListPage<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly continueToken: string | undefined;
}

export interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
}

export interface WatchOptions {
  readonly namespace?: string | undefined;
  readonly resourceVersion: string;
  readonly labelSelector?: string | undefined;
  /** The server ends the watch after it, seconds. */
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  readonly onBytes: () => void;
}

export interface Where {
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface ClientLimits {
  /** For one object, ms. */
  readonly requestTimeoutMs: number;
  /** For a page of a list and for a watch's head, ms. */
  readonly listTimeoutMs: number;
}

export const CLIENT_LIMITS: ClientLimits = { requestTimeoutMs: 10_000, listTimeoutMs: 60_000 };

export class KubernetesClient {
  readonly #http: Http;
  readonly #limits: ClientLimits;

  constructor(connection: Connection, limits: ClientLimits = CLIENT_LIMITS) {
    this.#http = new Http(connection);
    this.#limits = limits;
  }

  close(): void {
    this.#http.close();
  }

  async list<T extends KubernetesObject>(
    resource: Resource,
    options: {
      readonly namespace?: string | undefined;
      readonly labelSelector?: string | undefined;
      readonly limit?: number | undefined;
      readonly continueToken?: string | undefined;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<ListPage<T>> {
    const answer = await this.#http.json<{
      items?: T[] | null;
      metadata: { resourceVersion: string; continue?: string };
    }>({
      method: "GET",
      path: collectionPath(resource, options.namespace),
      query: { limit: options.limit, continue: options.continueToken, labelSelector: options.labelSelector },
      timeoutMs: this.#limits.listTimeoutMs,
      signal: options.signal,
    });
    const { resourceVersion, continue: next } = answer.metadata;
    return {
      items: answer.items ?? [],
      resourceVersion,
      continueToken: next === undefined || next === "" ? undefined : next,
    };
  }

  /** Ends when the server ends it. Throws KubernetesError, also for an ERROR event and for what is no event. */
  async *watch<T extends KubernetesObject>(
    resource: Resource,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>> {
    const path = collectionPath(resource, options.namespace);
    const lines = this.#http.lines(
      {
        method: "GET",
        path,
        query: {
          watch: true,
          resourceVersion: options.resourceVersion,
          allowWatchBookmarks: true,
          timeoutSeconds: options.timeoutSeconds,
          labelSelector: options.labelSelector,
        },
        timeoutMs: this.#limits.listTimeoutMs,
        signal: options.signal,
      },
      options.onBytes,
    );
    for await (const line of lines) yield eventOf<T>(path, line);
  }

  get<T extends KubernetesObject>(resource: Resource, where: Where): Promise<T> {
    return this.#one("GET", objectPath(resource, where));
  }

  create<T extends KubernetesObject>(resource: Resource, object: T): Promise<T> {
    return this.#one("POST", collectionPath(resource, object.metadata.namespace), typed(resource, object));
  }

  /** The whole object; refused with 409 when its resourceVersion is not the newest. */
  replace<T extends KubernetesObject>(resource: Resource, object: T, subresource?: "status"): Promise<T> {
    return this.#one("PUT", objectPath(resource, object.metadata, subresource), typed(resource, object));
  }

  /** RFC 7386. With `metadata.resourceVersion` in it, refused with 409 when that is not the newest. */
  patch<T extends KubernetesObject>(
    resource: Resource,
    where: Where,
    change: unknown,
    subresource?: "status",
  ): Promise<T> {
    return this.#one(
      "PATCH",
      objectPath(resource, where, subresource),
      change,
      "application/merge-patch+json",
    );
  }

  async remove(resource: Resource, where: Where, preconditions?: { readonly uid?: string }): Promise<void> {
    await this.#one("DELETE", objectPath(resource, where), preconditions && { preconditions });
  }

  /** The server's version, such as 1.36. */
  async version(): Promise<{ major: number; minor: number }> {
    const { major, minor } = await this.#http.json<{ major: string; minor: string }>({
      method: "GET",
      path: "/version",
      timeoutMs: this.#limits.requestTimeoutMs,
    });
    return { major: Number.parseInt(major, 10), minor: Number.parseInt(minor, 10) };
  }

  #one<T>(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    contentType?: string,
  ) {
    return this.#http.json<T>({
      method,
      path,
      ...(body !== undefined && { body }),
      ...(contentType !== undefined && { contentType }),
      timeoutMs: this.#limits.requestTimeoutMs,
    });
  }
}

function typed<T extends KubernetesObject>(resource: Resource, object: T): T {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

export function collectionPath(
  { group, version, plural, isNamespaced }: Resource,
  namespace?: string,
): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const within =
    isNamespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${within}/${plural}`;
}

function objectPath(resource: Resource, { namespace, name }: Where, subresource?: Query[string]): string {
  const path = `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

function eventOf<T extends KubernetesObject>(path: string, line: string): WatchEvent<T> {
  let event: { type?: string; object?: T & StatusBody };
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new KubernetesError(`watch of ${path}: a line that is not JSON`, { status: 0, cause });
  }
  const { type, object } = event;
  if (type === "ERROR")
    throw new KubernetesError(`watch of ${path}: ${object?.message ?? "an error without words"}`, {
      status: object?.code ?? 0,
      reason: object?.reason ?? "",
    });
  if (object?.metadata === undefined || !isEventType(type))
    throw new KubernetesError(`watch of ${path}: an event of type '${type ?? ""}'`, { status: 0 });
  return { type, object };
}

function isEventType(type: string | undefined): type is WatchEvent<never>["type"] {
  return type === "ADDED" || type === "MODIFIED" || type === "DELETED" || type === "BOOKMARK";
}
