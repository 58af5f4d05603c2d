// The typed client. `fetch` does the work, so it runs in a browser too; unix sockets and private authorities
// need the transport of node.ts.
import type { Static, TSchema } from "typebox";
import { eventsOf } from "./event-stream.ts";
import type {
  Health,
  MemberListView,
  MemberSpec,
  MemberView,
  NodeEvent,
  NodeStatus,
  RevocationSpec,
  RevocationView,
  RouterView,
  VipView,
} from "./schema/cluster.ts";
import type { Problem } from "./schema/common.ts";
import type { ClusterPicture } from "./schema/picture.ts";
import type { ServiceSpecSchema, ServiceView } from "./schema/service.ts";
import type { SessionDetail, SessionPage, SessionQuery } from "./schema/session.ts";
import type { TakeOver } from "./schema/take-over.ts";

/** What a request may leave out: everything with a default. */
export type Loose<T extends TSchema> = Partial<Static<T>>;
/** What a removal does with living associations. */
export type Farewell = "drain" | "end";
export type ServiceInput = Omit<Loose<typeof ServiceSpecSchema>, "endpoints" | "endpointRemoval"> & {
  readonly vips: string[];
  readonly port: number;
  readonly endpoints?: {
    address?: string;
    addresses?: string[];
    port: number;
    weight?: number;
    state?: "active" | "drain";
  }[];
  readonly endpointRemoval?: { mode?: Farewell; graceS?: number };
};

export type FetchLike = (url: string, init: RequestInit) => Promise<Response>;

export interface ClientOptions {
  /** `http://127.0.0.1:7080`, `https://…`; for a unix socket anything, the transport ignores the host. */
  readonly url: string;
  /** What errors call the node; default: the url. */
  readonly name?: string;
  /** A function is asked for each request: tokens are renewed. */
  readonly token?: string | (() => string | undefined);
  readonly fetch?: FetchLike;
  /** Longest wait for an answer's head, ms; default 10,000. Event streams have no limit after it. */
  readonly timeoutMs?: number;
}

/** An answer that is not a success: the problem of the node, or one of its own kind when nobody answered. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  /** What to do. */
  readonly remedy: string;
  readonly fields: Problem["fields"];

  constructor(
    problem: Pick<Problem, "code" | "status" | "title" | "detail"> & {
      readonly fields?: Problem["fields"] | undefined;
    },
    cause?: unknown,
  ) {
    super(problem.title, { cause });
    this.name = "ApiError";
    this.code = problem.code;
    this.status = problem.status;
    this.remedy = problem.detail;
    this.fields = problem.fields;
  }
}

/** Nobody answered at the node's address. */
export const UNREACHABLE = "API_UNREACHABLE";
/** Something answered that is not a node. */
export const NOT_A_NODE = "API_NOT_A_NODE";

export interface ApiClient {
  listServices(): Promise<ServiceView[]>;
  getService(id: string): Promise<{ service: ServiceView; etag: string }>;
  /** Idempotent: the same service again is no error; a different one under the same id is. */
  createService(service: ServiceInput): Promise<ServiceView>;
  /** With `etag`, only when the service is still that one. */
  replaceService(id: string, service: ServiceInput, etag?: string, sessions?: Farewell): Promise<ServiceView>;
  /** The service when it drains, undefined when it is gone. */
  deleteService(id: string, etag?: string, sessions?: Farewell): Promise<ServiceView | undefined>;
  drainEndpoint(service: string, endpoint: string, drain: boolean): Promise<ServiceView>;
  removeEndpoint(service: string, endpoint: string, sessions?: Farewell): Promise<ServiceView>;
  /** One page. */
  listSessions(query?: Partial<SessionQuery>): Promise<SessionPage>;
  getSession(id: string): Promise<SessionDetail>;
  /** Ends it; client and endpoint are told. */
  removeSession(id: string): Promise<void>;
  listVips(): Promise<VipView[]>;
  /** Whether the member can own it say the answer's candidates and reasons. */
  pinVip(vip: string, member: string): Promise<VipView>;
  unpinVip(vip: string): Promise<void>;
  listMembers(): Promise<MemberView[]>;
  /** The list's version and numbers that rest, too. */
  memberList(): Promise<MemberListView>;
  /** Adds a member to the list; resolves to the list. */
  addMember(spec: MemberSpec): Promise<MemberListView>;
  /** `gone`: its machine does not run and never will. */
  removeMember(name: string, gone: boolean): Promise<MemberListView>;
  /** Routers that this member announces VIPs to. */
  listRouters(): Promise<RouterView[]>;
  drainMember(name: string, drain: boolean): Promise<MemberView>;
  listRevocations(): Promise<RevocationView[]>;
  revokeCertificate(what: RevocationSpec): Promise<RevocationView>;
  /** Takes a revocation back. */
  unrevokeCertificate(id: string): Promise<void>;
  status(): Promise<NodeStatus>;
  /** Does not throw when the node is not ready: that is what it says. */
  ready(): Promise<Health>;
  metrics(): Promise<string>;
  /** The cluster in one answer. */
  cluster(): Promise<ClusterPicture>;
  /** The last ones, the latest first. */
  listTakeOvers(): Promise<TakeOver[]>;
  /** Server-sent events of all members until `signal` aborts or the node closes the stream. */
  events(options?: { after?: string; latest?: number; signal?: AbortSignal }): AsyncGenerator<NodeEvent>;
  /** A pcapng stream of punted and dropped packets. */
  trace(options?: {
    seconds?: number;
    packets?: number;
    reason?: string;
    /** Of this session only. */
    session?: string;
    signal?: AbortSignal;
  }): Promise<ReadableStream<Uint8Array>>;
  openapi(): Promise<unknown>;
}

interface Request {
  readonly body?: unknown;
  readonly etag?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly accept?: readonly number[];
}

const segment = encodeURIComponent;

function authorizationOf({ token }: ClientOptions): Record<string, string> {
  const now = typeof token === "function" ? token() : token;
  return now === undefined ? {} : { authorization: `Bearer ${now}` };
}

export function createClient(options: ClientOptions): ApiClient {
  const base = options.url.replace(/\/+$/, "");
  const send = options.fetch ?? ((url, init) => fetch(url, init));
  const timeoutMs = options.timeoutMs ?? 10_000;

  async function request(method: string, path: string, extra: Request = {}): Promise<Response> {
    const headers = authorizationOf(options);
    if (extra.body !== undefined) headers["content-type"] = "application/json";
    if (extra.etag !== undefined) headers["if-match"] = extra.etag;
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    let response: Response;
    try {
      response = await send(base + path, {
        method,
        headers,
        signal: extra.signal === undefined ? limit.signal : AbortSignal.any([limit.signal, extra.signal]),
        ...(extra.body !== undefined ? { body: JSON.stringify(extra.body) } : {}),
      });
    } catch (cause) {
      if (extra.signal?.aborted === true) throw cause;
      throw new ApiError(unreachable(options.name ?? base, cause), cause);
    } finally {
      clearTimeout(timer);
    }
    if (!response.ok && extra.accept?.includes(response.status) !== true)
      throw await problemOf(response, options.name ?? base);
    return response;
  }

  async function json<T>(method: string, path: string, extra?: Request): Promise<T> {
    const response = await request(method, path, extra);
    return (await response.json()) as T;
  }
  const servicePath = (id: string) => `/v1/services/${segment(id)}`;
  const endpointPath = (id: string, endpoint: string) => `${servicePath(id)}/endpoints/${segment(endpoint)}`;

  return {
    listServices: async () => (await json<{ items: ServiceView[] }>("GET", "/v1/services")).items,
    async getService(id) {
      const response = await request("GET", servicePath(id));
      return {
        service: (await response.json()) as ServiceView,
        etag: response.headers.get("etag") ?? "",
      };
    },
    createService: (service) => json("POST", "/v1/services", { body: service }),
    replaceService: (id, service, etag, sessions) =>
      json("PUT", `${servicePath(id)}${queryText({ sessions })}`, { body: service, etag }),
    async deleteService(id, etag, sessions) {
      const response = await request("DELETE", `${servicePath(id)}${queryText({ sessions })}`, { etag });
      return response.status === 202 ? ((await response.json()) as ServiceView) : undefined;
    },
    drainEndpoint: (id, endpoint, drain) =>
      json("POST", `${endpointPath(id, endpoint)}/${drain ? "drain" : "undrain"}`),
    removeEndpoint: (id, endpoint, sessions) =>
      json("DELETE", `${endpointPath(id, endpoint)}${queryText({ sessions })}`),
    listSessions: (query = {}) => json("GET", `/v1/sessions${queryText(query)}`),
    getSession: (id) => json("GET", `/v1/sessions/${segment(id)}`),
    async removeSession(id) {
      await request("DELETE", `/v1/sessions/${segment(id)}`);
    },
    listVips: async () => (await json<{ items: VipView[] }>("GET", "/v1/vips")).items,
    pinVip: (vip, member) => json("PUT", `/v1/vips/${segment(vip)}/pin`, { body: { member } }),
    async unpinVip(vip) {
      await request("DELETE", `/v1/vips/${segment(vip)}/pin`);
    },
    memberList: () => json("GET", "/v1/members"),
    addMember: (spec) => json("POST", "/v1/members", { body: spec }),
    removeMember: (name, gone) =>
      json("DELETE", `/v1/members/${segment(name)}${queryText({ gone: gone ? "true" : undefined })}`),
    listMembers: async () => (await json<{ items: MemberView[] }>("GET", "/v1/members")).items,
    listRouters: async () => (await json<{ items: RouterView[] }>("GET", "/v1/routers")).items,
    drainMember: (name, drain) => json("POST", `/v1/members/${segment(name)}/${drain ? "drain" : "undrain"}`),
    listRevocations: async () =>
      (await json<{ items: RevocationView[] }>("GET", "/v1/certificates/revocations")).items,
    revokeCertificate: (what) => json("POST", "/v1/certificates/revocations", { body: what }),
    unrevokeCertificate: async (id) => {
      await request("DELETE", `/v1/certificates/revocations/${segment(id)}`);
    },
    status: () => json("GET", "/v1/status"),
    ready: () => json("GET", "/v1/health/ready", { accept: [503] }),
    metrics: async () => (await request("GET", "/v1/metrics")).text(),
    cluster: () => json("GET", "/v1/cluster"),
    listTakeOvers: async () => (await json<{ items: TakeOver[] }>("GET", "/v1/takeovers")).items,
    async *events({ after, latest, signal } = {}) {
      const query = queryText({ after, latest });
      const response = await request("GET", `/v1/events${query}`, { signal });
      if (response.body !== null) yield* eventsOf(response.body);
    },
    async trace({ seconds, packets, reason, session, signal } = {}) {
      const query = queryText({ seconds, packets, reason, session });
      const response = await request("GET", `/v1/trace${query}`, { signal });
      return response.body ?? new ReadableStream({ start: (controller) => controller.close() });
    },
    openapi: () => json("GET", "/v1/openapi.json"),
  };
}

/** Text of a query; undefined values are left out. */
function queryText(values: Readonly<Record<string, string | number | undefined>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

async function problemOf(response: Response, base: string): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const body = JSON.parse(text) as Partial<Problem>;
    if (typeof body.code === "string" && typeof body.title === "string") {
      return new ApiError({
        code: body.code,
        status: response.status,
        title: body.title,
        detail: body.detail ?? "",
        fields: body.fields,
      });
    }
  } catch {
    // Not JSON: not a node of ours.
  }
  return new ApiError({
    code: NOT_A_NODE,
    status: response.status,
    title: `${base} answered ${response.status}, but not as a Holdfast node does.`,
    detail: "Check the address given with --api or HOLDFAST_API.",
  });
}

function unreachable(base: string, cause: unknown): Problem {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const reason = inner instanceof Error ? inner.message : String(inner);
  return {
    type: `urn:holdfast:error:${UNREACHABLE}`,
    code: UNREACHABLE,
    status: 503,
    title: `No node answers at ${base}: ${reason}.`,
    detail: "Is it running ('holdfast run'), and is this its address? --api or HOLDFAST_API names another.",
  };
}
