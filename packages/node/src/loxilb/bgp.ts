// /config/bgp acts where the bgp announcer runs (routing.ts), else it is stored and shown; /config/firewall
// is stored and shown. The log says once each what nothing acts on.
import type { RouterStatus } from "@holdfast/announcer";
import { addressFamily } from "@holdfast/api";
import { parseAddress } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import type { LoxilbContext } from "./context.ts";
import { type Folded, flagOf, foldKeys, listOf, numberOf, objectOf, textOf } from "./fold.ts";
import { ranksOfPolicies } from "./policy.ts";
import { LoxilbError, omitEmpty, Refusal, SchemaViolation, SUCCESS, sendJson } from "./reply.ts";
import type { PostedRouters } from "./routing.ts";
import { STORED_COUNT_MAX, StoredEntries } from "./stored-entries.ts";

const BGP_PORT = 179;
/** LoxiLB's kinds of defined sets. */
const DEFINED_SETS = ["prefix", "neighbor", "community", "extcommunity", "aspath", "largecommunity"];

interface Neighbour {
  readonly ipAddress: string;
  readonly remoteAs: number;
  readonly remotePort: number;
  readonly setMultiHop: boolean;
}

export function bgpRoutes({ logger, routers }: LoxilbContext) {
  const stored = new StoredEntries(logger);
  return async (app: FastifyInstance) => {
    neighbourRoutes(app, stored, routers);
    globalRoutes(app, stored, routers);
    definitionRoutes(app, stored);
    applicationRoutes(app, stored, routers);
    otherRoutes(app, stored);
  };
}

function neighbourRoutes(
  app: FastifyInstance,
  stored: StoredEntries,
  routers: PostedRouters | undefined,
): void {
  const neighbours = new Map<string, Neighbour>();
  app.get("/config/bgp/neigh/all", async (_request, reply) => {
    if (routers !== undefined)
      return sendJson(reply, 200, { bgpNeiAttr: routers.states().map(neighbourView) });
    const bgpNeiAttr = [...neighbours.values()].map(({ ipAddress, remoteAs }) =>
      omitEmpty({ ipAddress, remoteAs, state: "Idle", updowntime: "never" }),
    );
    return sendJson(reply, 200, { bgpNeiAttr });
  });
  app.post("/config/bgp/neigh", async (request, reply) => {
    const body = objectOf(foldKeys(request.body), "body");
    const address = textOf(body, "ipAddress");
    if (address === "") throw new SchemaViolation(602, "ipAddress in body is required");
    if (addressFamily(address) === 0) throw new LoxilbError("malformed ipAddress error");
    const ipAddress = parseAddress(address);
    const remoteAs = numberOf(body, "remoteAs");
    if (remoteAs === 0) throw new SchemaViolation(602, "remoteAs in body is required");
    const port = numberOf(body, "remotePort");
    if (routers !== undefined) {
      const isMultihop = flagOf(body, "setMultiHop");
      routers.add({ address: ipAddress, as: remoteAs, port, isMultihop });
      return sendJson(reply, 200, SUCCESS);
    }
    if (!neighbours.has(ipAddress) && neighbours.size >= STORED_COUNT_MAX)
      throw new LoxilbError("capacity insufficient");
    neighbours.set(ipAddress, {
      ipAddress,
      remoteAs,
      remotePort: port,
      setMultiHop: flagOf(body, "setMultiHop"),
    });
    stored.sayOnce("BGP neighbours");
    return sendJson(reply, 200, SUCCESS);
  });
  app.delete<{ Params: { ip: string } }>("/config/bgp/neigh/:ip", async (request, reply) => {
    const { ip } = request.params;
    const address = addressFamily(ip) === 0 ? ip : parseAddress(ip);
    // Gone already is what the client wants.
    neighbours.delete(address);
    routers?.remove(address);
    return sendJson(reply, 200, SUCCESS);
  });
}

function globalRoutes(app: FastifyInstance, stored: StoredEntries, routers: PostedRouters | undefined): void {
  let global: Record<string, unknown> | undefined;
  app.get("/config/bgp/global", async (_request, reply) => {
    if (routers?.localAs === undefined) return sendJson(reply, 200, global ?? {});
    const { routerId, localAs } = routers;
    return sendJson(reply, 200, { routerId, localAs, SetNextHopSelf: true, listenPort: BGP_PORT });
  });
  app.post("/config/bgp/global", async (request, reply) => {
    const body = objectOf(foldKeys(request.body), "body");
    const localAs = numberOf(body, "localAs");
    if (localAs === 0) throw new SchemaViolation(602, "localAs in body is required");
    if (routers !== undefined) {
      routers.setGlobal(localAs, numberOf(body, "listenPort"));
      return sendJson(reply, 200, SUCCESS);
    }
    global = omitEmpty({
      routerId: textOf(body, "routerId"),
      localAs,
      SetNextHopSelf: flagOf(body, "SetNextHopSelf"),
      listenPort: numberOf(body, "listenPort"),
    });
    stored.sayOnce("BGP global");
    return sendJson(reply, 200, SUCCESS);
  });
}

function definitionRoutes(app: FastifyInstance, stored: StoredEntries): void {
  app.get<{ Params: { type: string } }>("/config/bgp/policy/definedsets/:type", async (request, reply) =>
    sendJson(reply, 200, {
      definedsetsAttr: stored.listed(definedSets(request.params.type)),
    }),
  );
  app.post<{ Params: { type: string } }>("/config/bgp/policy/definedsets/:type", async (request, reply) => {
    const body = objectOf(foldKeys(request.body), "body");
    stored.put(definedSets(request.params.type), nameIn(body, "definedsets"), request.body);
    return sendJson(reply, 200, SUCCESS);
  });
  app.delete<{ Params: { type: string; name: string } }>(
    "/config/bgp/policy/definedsets/:type/:name",
    async (request, reply) => {
      stored.forget(definedSets(request.params.type), request.params.name.toLowerCase());
      return sendJson(reply, 200, SUCCESS);
    },
  );
  app.get("/config/bgp/policy/definitions/all", async (_request, reply) =>
    sendJson(reply, 200, { bgpPolicyAttr: stored.listed("policy definitions") }),
  );
  app.post("/config/bgp/policy/definitions", async (request, reply) => {
    const body = objectOf(foldKeys(request.body), "body");
    stored.put("policy definitions", nameIn(body, "definitions"), request.body);
    return sendJson(reply, 200, SUCCESS);
  });
  app.delete<{ Params: { name: string } }>("/config/bgp/policy/definitions/:name", async (request, reply) => {
    stored.forget("policy definitions", request.params.name.toLowerCase());
    return sendJson(reply, 200, SUCCESS);
  });
}

function applicationRoutes(
  app: FastifyInstance,
  stored: StoredEntries,
  routers: PostedRouters | undefined,
): void {
  app.post("/config/bgp/policy/apply", async (request, reply) => {
    const body = objectOf(foldKeys(request.body), "body");
    if (routers !== undefined) applyPolicies(stored, routers, body);
    stored.put(
      "policy applications",
      `${textOf(body, "ipAddress")} ${textOf(body, "policyType")}`,
      request.body,
    );
    return sendJson(reply, 200, SUCCESS);
  });
  app.delete("/config/bgp/policy/apply", async (request, reply) => {
    if (request.body !== undefined) {
      const body = objectOf(foldKeys(request.body), "body");
      const address = textOf(body, "ipAddress");
      if (addressFamily(address) !== 0) routers?.setRanks(parseAddress(address), undefined);
      stored.forget("policy applications", `${textOf(body, "ipAddress")} ${textOf(body, "policyType")}`);
    }
    return sendJson(reply, 200, SUCCESS);
  });
}

function otherRoutes(app: FastifyInstance, stored: StoredEntries): void {
  // kube-loxilb's egress rules and pod names.
  app.get("/config/firewall/all", async (_request, reply) =>
    sendJson(reply, 200, { fwAttr: stored.listed("firewall rules") }),
  );
  app.post("/config/firewall", async (request, reply) => {
    const body = objectOf(foldKeys(request.body), "body");
    const rule = objectOf(body["rulearguments"], "ruleArguments");
    stored.put(
      "firewall rules",
      `${textOf(rule, "sourceIP")} ${textOf(rule, "destinationIP")}`,
      request.body,
    );
    return sendJson(reply, 200, SUCCESS);
  });
  app.delete<{ Querystring: { sourceIP?: string; destinationIP?: string } }>(
    "/config/firewall",
    async (request, reply) => {
      const { sourceIP = "", destinationIP = "" } = request.query;
      stored.forget("firewall rules", `${sourceIP} ${destinationIP}`);
      return sendJson(reply, 200, SUCCESS);
    },
  );
  app.post("/config/k8smeta", async (_request, reply) => sendJson(reply, 200, SUCCESS));
  for (const [path, key] of [
    ["/config/session/all", "sessionAttr"],
    ["/config/sessionulcl/all", "ulclAttr"],
  ] as const)
    app.get(path, async (_request, reply) => sendJson(reply, 200, { [key]: [] }));
}

function applyPolicies(stored: StoredEntries, routers: PostedRouters, body: Folded): void {
  const address = textOf(body, "ipAddress");
  if (addressFamily(address) === 0) throw new LoxilbError("malformed ipAddress error");
  if (routers.localAs === undefined) throw new Refusal("no AS of this member: post /config/bgp/global first");
  const routeAction = textOf(body, "routeAction").toLowerCase();
  if (textOf(body, "policyType").toLowerCase() !== "export") {
    if (routeAction.startsWith("reject")) return;
    throw new Refusal("policyType import: nothing is taken from routers");
  }
  const definitions = listOf(body["policies"], "policies").map((name) => {
    const definition = stored.get("policy definitions", String(name).toLowerCase());
    if (definition === undefined) throw new LoxilbError(`policy definition ${String(name)} not found`);
    return objectOf(foldKeys(definition), "definition");
  });
  routers.setRanks(parseAddress(address), ranksOfPolicies(definitions, routeAction, routers.localAs));
}

function definedSets(type: string): string {
  if (!DEFINED_SETS.includes(type.toLowerCase())) throw new LoxilbError("malformed definedsets type error");
  return `definedsets ${type.toLowerCase()}`;
}

function nameIn(body: Folded, kind: string): string {
  const name = textOf(body, "name");
  if (name === "") throw new SchemaViolation(602, `${kind}.name in body is required`);
  return name.toLowerCase();
}

/** As GoBGP's clients print it: the state's name, and how long it has lasted. */
function neighbourView({ address, as, session, sinceWallMs }: RouterStatus): object {
  const lastsS = Math.max(0, Math.floor((Date.now() - sinceWallMs) / 1_000));
  const parts = [Math.floor(lastsS / 3_600), Math.floor(lastsS / 60) % 60, lastsS % 60];
  const lasts = parts.map((part) => String(part).padStart(2, "0")).join(":");
  const updowntime = session === "Established" ? lasts : "never";
  return { ipAddress: address, remoteAs: as, state: session === "Down" ? "Idle" : session, updowntime };
}
