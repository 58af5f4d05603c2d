// The API and LoxiLB's: requests that are nearly right. No answer may be a server's error.
import type { Random } from "@holdfast/model";
import { addSession, buildServer, fakeNode } from "@holdfast/node/testing";
import type { FastifyInstance } from "fastify";
import { startRig } from "../../loxilb/rig.ts";
import { Target } from "../target.ts";

/** What the fake node keeps is thrown away after so many requests. */
const REQUESTS_PER_NODE = 2_000;
const SERVICE_COUNT_MAX = 4_096;
/** What LoxiLB itself answers, with 503, while its metrics are switched off. */
const LOXILB_METRICS_OFF = "Prometheus option is disabled.";

interface Rig {
  readonly app: FastifyInstance;
  readonly services: () => number;
  stop(): Promise<void>;
}

export class ApiTarget extends Target {
  override readonly name: string;
  readonly #open: () => Promise<Rig>;
  readonly #ask: (random: Random) => Request;
  readonly #statuses = new Map<number, number>();
  #rig: Rig | undefined;
  #left = 0;

  constructor(which: "api" | "loxilb-api") {
    super();
    this.name = which;
    this.#open = which === "api" ? openOwn : openLoxilb;
    this.#ask = which === "api" ? ownRequest : loxilbRequest;
  }

  override async once(random: Random): Promise<void> {
    if (this.#left-- === 0) {
      await this.close();
      this.#rig = await this.#open();
      this.#left = REQUESTS_PER_NODE;
    }
    const rig = this.#rig as Rig;
    const { method, url, body, headers } = this.#ask(random);
    this.last = Buffer.from(`${method} ${url}\n${body ?? ""}`);
    const answer = await rig.app.inject({
      method: method as "GET",
      url,
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
    this.#statuses.set(answer.statusCode, (this.#statuses.get(answer.statusCode) ?? 0) + 1);
    if (answer.statusCode >= 500 && !metricsOff(method, url, answer.body))
      throw new Error(`${method} ${url}: ${answer.statusCode} ${answer.body}\nbody ${body ?? ""}`);
    if (answer.statusCode >= 400 && method !== "HEAD" && this.name === "api") {
      const problem = answer.json() as { code?: unknown; remedy?: unknown };
      if (typeof problem.code !== "string") throw new Error(`${method} ${url}: no code in ${answer.body}`);
    }
    if (rig.services() > SERVICE_COUNT_MAX) throw new Error(`${rig.services()} services`);
  }

  override figures() {
    return Object.fromEntries([...this.#statuses].map(([status, count]) => [`status${status}`, count]));
  }

  override async close(): Promise<void> {
    await this.#rig?.stop();
    this.#rig = undefined;
    this.#left = 0;
  }
}

function metricsOff(method: string, url: string, body: string): boolean {
  // The answer to HEAD is that to GET without its body.
  return method === "HEAD" ? url.startsWith("/netlox/v1/metrics") : body === LOXILB_METRICS_OFF;
}

async function openOwn(): Promise<Rig> {
  const node = fakeNode();
  for (let n = 0; n < 5; n++) {
    addSession(node.view, {
      primary: "203.0.113.1",
      port: 38_412,
      client: "100.80.1.1",
      clientPort: 1_000 + n,
      endpoint: "10.0.0.5",
      natPort: 2_000 + n,
    });
  }
  const app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
  return { app, services: () => node.registry.list().length, stop: () => app.close() };
}

async function openLoxilb(): Promise<Rig> {
  const rig = await startRig();
  const member = rig.members[0];
  if (member === undefined) throw new Error("a rig without members");
  return { app: member.app, services: () => member.node.registry.list().length, stop: () => rig.stop() };
}

// ---- requests

interface Request {
  readonly method: string;
  readonly url: string;
  readonly body?: string;
  readonly headers: Record<string, string>;
}

const pick = <T>(random: Random, items: readonly T[]): T => items[random.below(items.length)] as T;

const STRINGS = [
  "",
  "m0",
  "sctp/203.0.113.1:38412",
  "203.0.113.1",
  "2001:db8::1",
  "::ffff:1.2.3.4",
  "0.0.0.0",
  "256.1.1.1",
  "10.0.0.5:38412",
  "[2001:db8::1]:9",
  "sctp",
  "SCTP",
  "drain",
  "..%2f..",
  "\u0000",
  "\ud800",
  "é",
  "__proto__",
  "constructor",
  "toString",
  "a".repeat(300),
  "%",
  "%zz",
  "-1",
  "1e9",
  "9007199254740993",
  "true",
  "null",
] as const;
const NUMBERS = [0, 1, -1, 65_535, 65_536, 38_412, 1.5, 1e21, 2 ** 31, 2 ** 53, -0.0001] as const;

function value(random: Random, depth = 0): unknown {
  switch (random.below(depth > 3 ? 5 : 8)) {
    case 0:
      return pick(random, STRINGS);
    case 1:
      return pick(random, NUMBERS);
    case 2:
      return random.below(2) === 0;
    case 3:
      return null;
    case 4:
      return String(random.uint32());
    case 5:
      return Array.from({ length: random.below(5) }, () => value(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(5) }, () => [pick(random, STRINGS), value(random, depth + 1)]),
      );
  }
}

/** A right body, with some of its values anything. */
function disturb(random: Random, body: unknown, depth = 0): unknown {
  if (random.below(60) === 0) return value(random);
  if (Array.isArray(body)) {
    const items = body.map((item) => disturb(random, item, depth + 1));
    if (random.below(10) === 0) items.push(...items, value(random));
    return items;
  }
  if (typeof body !== "object" || body === null) return body;
  const entries = Object.entries(body).flatMap(([key, inner]) =>
    random.below(60) === 0 ? [] : [[key, disturb(random, inner, depth + 1)] as const],
  );
  if (random.below(40) === 0) entries.push([pick(random, STRINGS), value(random)]);
  return Object.fromEntries(entries);
}

function text(random: Random, body: unknown): string {
  const json = JSON.stringify(disturb(random, body)) ?? "";
  const choice = random.below(20);
  if (choice === 0) return json.slice(0, random.below(json.length + 1));
  if (choice === 1) return "[".repeat(random.below(5_000));
  return json;
}

function parameter(random: Random, right: string): string {
  const choice = random.below(4) === 0 ? pick(random, STRINGS) : right;
  // Most clients escape; some do not, and a request line has no spaces or controls then.
  if (random.below(8) > 0) {
    try {
      return encodeURIComponent(choice);
    } catch {
      return "%ED%A0%80";
    }
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they cannot stand in a URL.
  return choice.replace(/[\s\u0000-\u001f\u0080-\uffff#?]/g, "");
}

const METHODS = ["GET", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] as const;
const TYPES = ["application/json", "application/json", "text/plain", "application/xml", "", "x"] as const;

function requestTo(random: Random, method: string, url: string, body: unknown): Request {
  const actual = random.below(10) === 0 ? pick(random, METHODS) : method;
  const headers: Record<string, string> = {};
  const type = random.below(8) === 0 ? pick(random, TYPES) : "application/json";
  if (random.below(20) === 0) headers["if-match"] = pick(random, ["*", '"1"', "x", '"0"']);
  if (random.below(20) === 0) headers["authorization"] = pick(random, ["Bearer x", "Basic", ""]);
  const withBody = body !== undefined && actual !== "GET" && actual !== "HEAD";
  if (type !== "" && (withBody || random.below(4) === 0)) headers["content-type"] = type;
  return { method: actual, url, headers, ...(withBody ? { body: text(random, body) } : {}) };
}

/** What is wrong is rare: a specification that something else refuses already tries nothing. */
const seldom = (random: Random) => random.below(8) === 0;

function ownRequest(random: Random): Request {
  const vip = `203.0.113.${1 + random.below(4)}`;
  const spec = {
    name: pick(random, ["amf", "x", ""]),
    protocol: "sctp",
    vips: [vip, ...(random.below(2) === 0 ? ["2001:db8::1", "198.51.100.7"] : [])],
    port: 38_412,
    selection: pick(random, ["leastAssociations", "hash", "persist", "roundRobin", "weighted"]),
    endpoints: [
      { address: "10.0.0.5", port: 38_412, weight: 1, state: "active" },
      {
        addresses: pick(
          random,
          seldom(random) ? [[], ["10.0.0.5", "x"]] : [["10.0.0.7", "10.0.0.8"], ["10.0.0.7"]],
        ),
        port: 38_412,
        ...(seldom(random) && { address: "10.0.0.8" }),
      },
      { address: "10.0.0.6", port: 38_412, healthCheck: { kind: "tcp", port: 7, send: "x", expect: "y" } },
    ],
    healthCheck: seldom(random)
      ? { kind: pick(random, ["none", "ping", "tcp"]), port: 8_080, path: "/ready", intervalMs: 1_000 }
      : pick<object>(random, [
          ...["none", "ping", "sctp", "tcp"].map((kind) => ({ kind })),
          { kind: "udp", port: 8_080, intervalMs: 1_000, timeoutMs: 100 },
          { kind: "http", port: 8_080, path: "/ready" },
          { kind: "https", port: 8_080, path: "/ready", intervalMs: 1_000, timeoutMs: 100 },
        ]),
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: ["100.64.0.0/10"],
    withdrawWhenDown: false,
    ...(random.below(2) === 0 && {
      endpointRemoval: {
        mode: seldom(random) ? "x" : pick(random, ["drain", "end"]),
        graceS: pick(random, seldom(random) ? [-1, 86_401] : [0, 300]),
      },
    }),
  };
  const farewell = pick(random, ["", "", "?sessions=drain", "?sessions=end", "?sessions=x"]);
  const id = parameter(random, `sctp/${vip}:38412`);
  const endpoint = parameter(random, "10.0.0.5:38412");
  const action = pick(random, ["drain", "undrain", "x"]);
  const query = Array.from(
    { length: random.below(4) },
    () =>
      `${pick(random, ["limit", "cursor", "service", "client", "vip", "endpoint", "natPort", "phase", "owner", "member", "__proto__"])}=${parameter(random, pick(random, STRINGS))}`,
  ).join("&");
  const [method, url, body] = pick<() => [string, string, unknown?]>(random, [
    () => ["GET", `/v1/services?${query}`],
    () => ["POST", "/v1/services", spec],
    () => ["POST", "/v1/services", spec],
    () => ["GET", `/v1/services/${id}`],
    () => ["PUT", `/v1/services/${id}${farewell}`, spec],
    () => ["DELETE", `/v1/services/${id}${farewell}`],
    () => ["GET", `/v1/services/${id}/endpoints`],
    () => ["POST", `/v1/services/${id}/endpoints/${endpoint}/${action}`],
    () => ["PUT", `/v1/services/${id}/endpoints`, spec.endpoints[0]],
    () => ["DELETE", `/v1/services/${id}/endpoints/${endpoint}${farewell}`],
    () => ["GET", `/v1/sessions?${query}`],
    () => ["GET", `/v1/sessions/${parameter(random, "6ba7b810-9dad-11d1-80b4-00c04fd430c8")}`],
    () => ["DELETE", `/v1/sessions/${parameter(random, "6ba7b810-9dad-11d1-80b4-00c04fd430c8")}`],
    () => ["GET", "/v1/vips"],
    () => ["GET", "/v1/members"],
    () => ["POST", `/v1/members/${parameter(random, "m0")}/${action}`],
    () => ["GET", "/v1/status"],
    () => ["GET", "/v1/health/live"],
    () => ["GET", "/v1/health/ready"],
    () => ["GET", "/v1/metrics"],
    () => ["GET", `/v1/${parameter(random, "nothing")}`],
  ])();
  // Event and trace streams do not end by themselves: they are no matter of a request and its answer.
  return requestTo(random, method, url, body);
}

function loxilbRequest(random: Random): Request {
  const rule = {
    serviceArguments: {
      externalIP: `123.123.123.${1 + random.below(3)}`,
      port: 38_412,
      protocol: pick(random, ["sctp", "tcp", "SCTP"]),
      sel: random.below(9),
      mode: random.below(6),
      bgp: false,
      monitor: true,
      inactiveTimeOut: 900,
      name: "amf",
      oper: random.below(4),
      block: random.below(3),
      managed: random.below(2) === 0,
      probetype: pick(random, ["", "ping", "http", "connect-tcp", "gopher"]),
      probeport: random.below(3) * 40_000,
      probereq: "ready",
      probeTimeout: random.below(3),
      probeRetries: random.below(3),
    },
    secondaryIPs: [{ secondaryIP: "124.124.124.1" }],
    endpoints: [{ endpointIP: "10.0.0.5", targetPort: 38_412, weight: 1 }],
    allowedSources: [{ prefix: "0.0.0.0/0" }],
  };
  const ip = parameter(random, "123.123.123.1");
  const port = parameter(random, "38412");
  const one = parameter(random, "x");
  const [method, path, body] = pick<() => [string, string, unknown?]>(random, [
    () => ["GET", "config/loadbalancer/all"],
    () => ["POST", "config/loadbalancer", rule],
    () => ["POST", "config/loadbalancer", rule],
    () => ["POST", "config/loadbalancer", rule],
    () => ["DELETE", "config/loadbalancer/all"],
    () => ["DELETE", `config/loadbalancer/name/${parameter(random, "amf")}`],
    () => [
      "DELETE",
      `config/loadbalancer/externalipaddress/${ip}/port/${port}/protocol/${parameter(random, "sctp")}`,
    ],
    () => ["GET", "config/conntrack/all"],
    () => ["GET", "config/endpoint/all"],
    () => [
      "POST",
      "config/endpoint",
      {
        hostName: "10.0.0.5",
        name: "e",
        inactiveReTries: 2,
        probeType: "sctp",
        probePort: 38_412,
        probeDuration: 10,
      },
    ],
    () => ["DELETE", `config/endpoint/epipaddress/${ip}?name=${one}&probe_type=sctp&probe_port=${port}`],
    () => ["POST", "config/endpointhoststate", { hostName: "10.0.0.5", state: "green" }],
    () => ["GET", "config/cistate/all"],
    () => ["POST", "config/cistate", { instance: "default", state: "MASTER", vip: "11.11.11.11" }],
    () => ["GET", "config/bfd/all"],
    () => [
      "POST",
      "config/bfd",
      { instance: "default", remoteIp: "10.0.0.9", interval: 200_000, retryCount: 3 },
    ],
    () => ["DELETE", `config/bfd/remoteIP/${ip}?instance=${one}`],
    () => ["GET", "config/bgp/neigh/all"],
    () => ["POST", "config/bgp/neigh", { ipAddress: "10.0.0.9", remoteAs: 64_512 }],
    () => ["DELETE", `config/bgp/neigh/${ip}`],
    () => ["POST", "config/bgp/global", { localAs: 64_512, routerId: "1.1.1.1" }],
    () => ["POST", `config/bgp/policy/definedsets/${one}`, { name: "x", list: [] }],
    () => ["DELETE", `config/bgp/policy/definedsets/${one}/${one}`],
    () => ["POST", "config/bgp/policy/definitions", { name: "x", statements: [] }],
    () => ["POST", "config/bgp/policy/apply", { ipAddress: "10.0.0.9", policyType: "import", polices: [] }],
    () => ["DELETE", "config/bgp/policy/apply", { ipAddress: "10.0.0.9", policyType: "import" }],
    () => ["POST", "config/firewall", { ruleArguments: { sourceIP: "0.0.0.0/0" }, opts: {} }],
    () => ["DELETE", `config/firewall?sourceIP=${one}&destinationIP=${one}`],
    () => ["POST", "config/params", { logLevel: "info" }],
    () => ["POST", "config/metrics", { prometheus: true }],
    () => ["POST", "auth/login", { username: "a", password: "b" }],
    () => ["GET", "status/process"],
    () => ["GET", "status/filesystem"],
    () => ["GET", "metrics"],
    () => ["GET", `metrics/${one}`],
    () => ["GET", one],
  ])();
  return requestTo(random, method, `/netlox/v1/${path}`, body);
}
