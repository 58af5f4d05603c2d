// An API server for tests: the verbs, watches and refusals of kube-apiserver 1.36 for the resources that the controller uses, in
// memory, with faults that can be switched on. What it claims to be is held by the suite of client/compliance.ts, which a real
// API server passes, too.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { apiVersionOf, type KubernetesObject, type Resource } from "../objects.ts";
import { ApiFailure, ObjectStore, type StoredObject } from "./object-store.ts";

export interface Faults {
  /** Requests are taken and never answered; watches say nothing more. */
  hang: boolean;
  /** Open connections stay open and carry nothing; new ones work: what a firewall's lost state looks like. */
  halfOpen: boolean;
  /** Each request is refused with this status, watches at their start. */
  refuse: { status: number; retryAfterS?: number; reason?: string } | undefined;
  /** Watches end right after their start. */
  shortWatches: boolean;
  /** Lists are answered from what was there at this resource version. */
  staleLists: boolean;
  /** Pages after the first are refused as expired. */
  expireContinue: boolean;
  /** How an expired watch is told: HTTP 410, an ERROR event with its code, or one with a reason only. */
  expired: "http" | "event" | "reason";
  /** The next watch brings a line that is no JSON. */
  garbage: boolean;
  /** The next so many writes are refused with 409, as if somebody had been faster. */
  conflicts: number;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly resource: Resource;
  readonly matches: (object: StoredObject) => boolean;
  readonly wantsBookmarks: boolean;
  end(): void;
}

interface Target {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly isStatus: boolean;
}

export class TestApiServer {
  readonly store: ObjectStore;
  readonly faults: Faults = {
    hang: false,
    halfOpen: false,
    refuse: undefined,
    shortWatches: false,
    staleLists: false,
    expireContinue: false,
    expired: "http",
    garbage: false,
    conflicts: 0,
  };
  /** Requests since the start, `VERB plural`; watches as `WATCH plural`. */
  readonly requests = new Map<string, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watchers = new Set<Watcher>();
  readonly #resources: readonly Resource[];
  readonly #mute = new WeakSet<Socket>();
  #snapshot: { items: readonly StoredObject[]; version: number } | undefined;

  private constructor(resources: readonly Resource[]) {
    this.#resources = resources;
    this.store = new ObjectStore((type, object, before) => this.#tell(type, object, before));
    this.#server = createServer((request, response) => void this.#handle(request, response));
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  static async start(resources: readonly Resource[], port = 0): Promise<TestApiServer> {
    const made = new TestApiServer(resources);
    await made.listen(port);
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get watchCount(): number {
    return this.#watchers.size;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
  }

  /** Everybody is cut off; what is stored stays. */
  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.end();
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** From now on every connection that is open now carries nothing. */
  muteOpenConnections(): void {
    for (const socket of this.#sockets) this.#mute.add(socket);
  }

  /** Lists answer what is there now, until `staleLists` is off. */
  freezeLists(): void {
    this.#snapshot = { items: this.store.all(), version: this.store.version };
    this.faults.staleLists = true;
  }

  /** Older versions cannot be watched from any more. */
  compact(): void {
    this.store.compact();
  }

  bookmark(): void {
    for (const watcher of this.#watchers) if (watcher.wantsBookmarks) this.#bookmark(watcher);
  }

  endWatches(): void {
    for (const watcher of [...this.#watchers]) watcher.end();
  }

  /** Every watch is told an error event. */
  failWatches(code: number, reason: string): void {
    for (const { response } of this.#watchers)
      write(response, {
        type: "ERROR",
        object: { kind: "Status", code, reason, message: "as the test says" },
      });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://test");
    if (this.faults.hang || this.#mute.has(request.socket)) return;
    try {
      const { refuse } = this.faults;
      if (refuse !== undefined) {
        if (refuse.retryAfterS !== undefined) response.setHeader("retry-after", String(refuse.retryAfterS));
        throw new ApiFailure(refuse.status, refuse.reason ?? "InternalError", "as the test says");
      }
      if (url.pathname === "/version") return answer(response, 200, { major: "1", minor: "36" });
      if (url.pathname === "/readyz") return answer(response, 200, {});
      await this.#serve(this.#targetOf(url.pathname), request, response, url.searchParams);
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      answer(response, error.code, error.status());
    }
  }

  #targetOf(path: string): Target {
    const parts = path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
    const [root, ...rest] = parts;
    const group = root === "apis" ? (rest.shift() ?? "") : "";
    const version = rest.shift();
    const namespace = rest[0] === "namespaces" && rest.length > 2 ? rest.splice(0, 2)[1] : undefined;
    const [plural, name, subresource] = rest;
    const resource = this.#resources.find(
      (each) => each.group === group && each.version === version && each.plural === plural,
    );
    if (resource === undefined || (subresource !== undefined && subresource !== "status"))
      throw new ApiFailure(404, "NotFound", "the server could not find the requested resource");
    return { resource, namespace, name, isStatus: subresource === "status" };
  }

  async #serve(
    target: Target,
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
  ): Promise<void> {
    const { resource, namespace, name, isStatus } = target;
    const isWatch = query.get("watch") === "true";
    this.#count(
      isWatch ? "WATCH" : name === undefined && request.method === "GET" ? "LIST" : `${request.method}`,
      resource,
    );
    if (request.method === "GET") {
      if (name !== undefined) return answer(response, 200, this.store.get(resource, namespace, name));
      return isWatch ? this.#watch(target, response, query) : this.#list(target, response, query);
    }
    const body = await bodyOf(request);
    if (this.faults.conflicts > 0) {
      this.faults.conflicts--;
      throw new ApiFailure(409, "Conflict", "the object has been modified; please apply your changes");
    }
    switch (request.method) {
      case "POST":
        return answer(response, 201, this.store.create(resource, namespace, body as KubernetesObject));
      case "PUT":
        return answer(
          response,
          200,
          this.store.replace(resource, namespace, name ?? "", body as StoredObject, isStatus),
        );
      case "PATCH":
        if (request.headers["content-type"] !== "application/merge-patch+json")
          throw new ApiFailure(415, "UnsupportedMediaType", "this server for tests takes merge patches only");
        return answer(response, 200, this.store.patch(resource, namespace, name ?? "", body, isStatus));
      case "DELETE": {
        const { preconditions } = (body ?? {}) as { preconditions?: { uid?: string } };
        return answer(response, 200, this.store.remove(resource, namespace, name ?? "", preconditions?.uid));
      }
      default:
        throw new ApiFailure(405, "MethodNotAllowed", "the server does not allow this method");
    }
  }

  #list({ resource, namespace }: Target, response: ServerResponse, query: URLSearchParams): void {
    const token = query.get("continue");
    const from = token === null ? undefined : this.#continueOf(token);
    const stale = this.faults.staleLists ? this.#snapshot : undefined;
    const version = from?.version ?? stale?.version ?? this.store.version;
    // One moment for all pages.
    const all = this.store
      .at(version, stale?.items)
      .filter(matcher(resource, namespace, query.get("labelSelector")));
    const limit = Number(query.get("limit") ?? 0) || all.length;
    const start = from?.offset ?? 0;
    const items = all.slice(start, start + limit);
    const rest = all.length - start - items.length;
    answer(response, 200, {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: {
        resourceVersion: String(version),
        ...(rest > 0 && {
          continue: Buffer.from(JSON.stringify({ version, offset: start + limit })).toString("base64url"),
          remainingItemCount: rest,
        }),
      },
      // As in kube-apiserver's lists, items name neither kind nor version.
      items: items.map(({ kind: _kind, apiVersion: _version, ...item }) => item),
    });
  }

  #continueOf(token: string): { version: number; offset: number } {
    const from = JSON.parse(Buffer.from(token, "base64url").toString()) as {
      version: number;
      offset: number;
    };
    if (this.faults.expireContinue || from.version < this.store.oldest)
      throw new ApiFailure(410, "Expired", "The provided continue parameter is too old");
    return from;
  }

  #watch({ resource, namespace }: Target, response: ServerResponse, query: URLSearchParams): void {
    const from = Number(query.get("resourceVersion") ?? 0);
    const isExpired = from !== 0 && from < this.store.oldest;
    const message = `too old resource version: ${from} (${this.store.oldest})`;
    if (isExpired && this.faults.expired === "http") throw new ApiFailure(410, "Expired", message);
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    if (isExpired) {
      const code = this.faults.expired === "event" ? { code: 410 } : {};
      write(response, { type: "ERROR", object: { kind: "Status", reason: "Expired", message, ...code } });
      return void response.end();
    }
    if (this.faults.shortWatches) return void response.end();
    if (this.faults.garbage) {
      this.faults.garbage = false;
      response.end('{"type":"ADDED","object":\n');
      return;
    }
    const matches = matcher(resource, namespace, query.get("labelSelector"));
    const timer = setTimeout(() => watcher.end(), Number(query.get("timeoutSeconds") ?? 1800) * 1000);
    const watcher: Watcher = {
      response,
      resource,
      matches,
      wantsBookmarks: query.get("allowWatchBookmarks") === "true",
      end: () => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        if (watcher.wantsBookmarks) this.#bookmark(watcher);
        if (!this.#mute.has(response.socket as Socket)) response.end();
      },
    };
    response.on("close", () => {
      clearTimeout(timer);
      this.#watchers.delete(watcher);
    });
    for (const { type, object, before } of this.store.since(from, resource))
      this.#send(watcher, type, object, before);
    this.#watchers.add(watcher);
  }

  #tell(
    type: "ADDED" | "MODIFIED" | "DELETED",
    object: StoredObject,
    before: StoredObject | undefined,
  ): void {
    for (const watcher of [...this.#watchers]) this.#send(watcher, type, object, before);
  }

  /** What leaves or enters a selection is told as deleted or added. */
  #send(watcher: Watcher, type: string, object: StoredObject, before: StoredObject | undefined): void {
    if (this.faults.hang || this.#mute.has(watcher.response.socket as Socket)) return;
    const [is, was] = [watcher.matches(object), before !== undefined && watcher.matches(before)];
    if (!is && !was) return;
    const told = type !== "MODIFIED" ? type : !is ? "DELETED" : !was ? "ADDED" : "MODIFIED";
    write(watcher.response, { type: told, object });
  }

  #bookmark({ response, resource }: Watcher): void {
    if (this.faults.hang || this.#mute.has(response.socket as Socket)) return;
    const object = {
      kind: resource.kind,
      apiVersion: apiVersionOf(resource),
      metadata: { resourceVersion: String(this.store.version) },
    };
    write(response, { type: "BOOKMARK", object });
  }

  #count(verb: string, { plural }: Resource): void {
    const name = `${verb} ${plural}`;
    this.requests.set(name, (this.requests.get(name) ?? 0) + 1);
  }
}

function write(response: ServerResponse, event: unknown): void {
  if (!response.writableEnded) response.write(`${JSON.stringify(event)}\n`);
}

function matcher(resource: Resource, namespace: string | undefined, selector: string | null) {
  const apiVersion = apiVersionOf(resource);
  const wanted = (selector ?? "").split(",").filter((part) => part !== "");
  return ({ kind, apiVersion: version, metadata }: StoredObject): boolean =>
    kind === resource.kind &&
    version === apiVersion &&
    (namespace === undefined || metadata.namespace === namespace) &&
    wanted.every((part) => {
      const [name = "", value] = part.split("=");
      const label = metadata.labels?.[name];
      return value === undefined ? label !== undefined : label === value;
    });
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString("utf8");
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    throw new ApiFailure(400, "BadRequest", "the body is not JSON");
  }
}

function answer(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
