// /config/bgp and /config/firewall: stored and shown; nothing acts on them yet, and the log says so once each.
import { addressFamily } from "@holdfast/api";
import { parseAddress } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import type { LoxilbContext } from "./context.ts";
import { type Folded, flagOf, foldKeys, numberOf, objectOf, textOf } from "./fold.ts";
import { LoxilbError, omitEmpty, SchemaViolation, SUCCESS, sendJson } from "./reply.ts";

/** Entries of each kind; one more is refused as LoxiLB refuses what does not fit. */
const STORED_COUNT_MAX = 256;

interface Neighbour {
  readonly ipAddress: string;
  readonly remoteAs: number;
  readonly remotePort: number;
  readonly setMultiHop: boolean;
}

export function bgpRoutes({ logger }: LoxilbContext) {
  const neighbours = new Map<string, Neighbour>();
  let global: Record<string, unknown> | undefined;
  const stores = new Map<string, Map<string, unknown>>();
  const said = new Set<string>();

  function sayOnce(what: string): void {
    if (said.has(what)) return;
    said.add(what);
    logger.warn({ what }, "stored and shown, but nothing acts on it yet");
  }

  function store(kind: string, name: string, value: unknown): void {
    const entries = stores.get(kind) ?? new Map<string, unknown>();
    stores.set(kind, entries);
    if (!entries.has(name) && entries.size >= STORED_COUNT_MAX)
      throw new LoxilbError("capacity insufficient");
    entries.set(name, value);
    sayOnce(kind);
  }

  function nameIn(body: Folded, kind: string): string {
    const name = textOf(body, "name");
    if (name === "") throw new SchemaViolation(602, `${kind}.name in body is required`);
    return name.toLowerCase();
  }

  return async (app: FastifyInstance) => {
    app.get("/config/bgp/neigh/all", async (_request, reply) => {
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
      if (!neighbours.has(ipAddress) && neighbours.size >= STORED_COUNT_MAX)
        throw new LoxilbError("capacity insufficient");
      neighbours.set(ipAddress, {
        ipAddress,
        remoteAs,
        remotePort: numberOf(body, "remotePort"),
        setMultiHop: flagOf(body, "setMultiHop"),
      });
      sayOnce("BGP neighbours");
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete<{ Params: { ip: string } }>("/config/bgp/neigh/:ip", async (request, reply) => {
      const { ip } = request.params;
      // Gone already is what the client wants.
      neighbours.delete(addressFamily(ip) === 0 ? ip : parseAddress(ip));
      return sendJson(reply, 200, SUCCESS);
    });
    app.get("/config/bgp/global", async (_request, reply) => sendJson(reply, 200, global ?? {}));
    app.post("/config/bgp/global", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const localAs = numberOf(body, "localAs");
      if (localAs === 0) throw new SchemaViolation(602, "localAs in body is required");
      global = omitEmpty({
        routerId: textOf(body, "routerId"),
        localAs,
        SetNextHopSelf: flagOf(body, "SetNextHopSelf"),
        listenPort: numberOf(body, "listenPort"),
      });
      sayOnce("BGP global");
      return sendJson(reply, 200, SUCCESS);
    });

    app.get<{ Params: { type: string } }>("/config/bgp/policy/definedsets/:type", async (request, reply) =>
      sendJson(reply, 200, {
        definedsetsAttr: [...(stores.get(`definedsets ${request.params.type}`)?.values() ?? [])],
      }),
    );
    app.post<{ Params: { type: string } }>("/config/bgp/policy/definedsets/:type", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      store(`definedsets ${request.params.type}`, nameIn(body, "definedsets"), request.body);
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete<{ Params: { type: string; name: string } }>(
      "/config/bgp/policy/definedsets/:type/:name",
      async (request, reply) => {
        stores.get(`definedsets ${request.params.type}`)?.delete(request.params.name.toLowerCase());
        return sendJson(reply, 200, SUCCESS);
      },
    );
    app.get("/config/bgp/policy/definitions/all", async (_request, reply) =>
      sendJson(reply, 200, { bgpPolicyAttr: [...(stores.get("policy definitions")?.values() ?? [])] }),
    );
    app.post("/config/bgp/policy/definitions", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      store("policy definitions", nameIn(body, "definitions"), request.body);
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete<{ Params: { name: string } }>(
      "/config/bgp/policy/definitions/:name",
      async (request, reply) => {
        stores.get("policy definitions")?.delete(request.params.name.toLowerCase());
        return sendJson(reply, 200, SUCCESS);
      },
    );
    app.post("/config/bgp/policy/apply", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      store(
        "policy applications",
        `${textOf(body, "ipAddress")} ${textOf(body, "policyType")}`,
        request.body,
      );
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete("/config/bgp/policy/apply", async (request, reply) => {
      if (request.body !== undefined) {
        const body = objectOf(foldKeys(request.body), "body");
        stores
          .get("policy applications")
          ?.delete(`${textOf(body, "ipAddress")} ${textOf(body, "policyType")}`);
      }
      return sendJson(reply, 200, SUCCESS);
    });

    // kube-loxilb's egress rules and pod names.
    app.get("/config/firewall/all", async (_request, reply) =>
      sendJson(reply, 200, { fwAttr: [...(stores.get("firewall rules")?.values() ?? [])] }),
    );
    app.post("/config/firewall", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const rule = objectOf(body["rulearguments"], "ruleArguments");
      store("firewall rules", `${textOf(rule, "sourceIP")} ${textOf(rule, "destinationIP")}`, request.body);
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete<{ Querystring: { sourceIP?: string; destinationIP?: string } }>(
      "/config/firewall",
      async (request, reply) => {
        const { sourceIP = "", destinationIP = "" } = request.query;
        stores.get("firewall rules")?.delete(`${sourceIP} ${destinationIP}`);
        return sendJson(reply, 200, SUCCESS);
      },
    );
    app.post("/config/k8smeta", async (_request, reply) => sendJson(reply, 200, SUCCESS));
    for (const [path, key] of [
      ["/config/session/all", "sessionAttr"],
      ["/config/sessionulcl/all", "ulclAttr"],
    ] as const)
      app.get(path, async (_request, reply) => sendJson(reply, 200, { [key]: [] }));
  };
}
