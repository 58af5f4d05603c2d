// /config/loadbalancer: rules are services.
import { HoldfastError, parseAddress, type Service, serviceIdOf } from "@holdfast/model";
import type { FastifyInstance, FastifyReply } from "fastify";
import { endpointKey } from "../services/specification.ts";
import type { LoxilbContext } from "./context.ts";
import { endpointFigureKey, type FigureKeeper } from "./figures.ts";
import { foldKeys } from "./fold.ts";
import { LoxilbError, Refusal, SUCCESS, sendJson } from "./reply.ts";
import { parseRule, ruleView } from "./rule.ts";

interface RuleParameters {
  readonly ip: string;
  readonly port: string;
  readonly portmax?: string;
  readonly proto: string;
  readonly host?: string;
}

export function ruleRoutes(context: LoxilbContext, figures: FigureKeeper) {
  const { sources, deletions } = context;
  const { registry } = sources;

  /** The rule's service, changed by this post; throws what LoxiLB's clients understand. */
  function post(body: unknown): void {
    const { spec, operation } = parseRule(foldKeys(body));
    const id = serviceIdOf(parseAddress(spec.vips[0] ?? ""), spec.port);
    const before = registry.list().find((service) => service.id === id);
    let endpoints = spec.endpoints;
    if (operation !== "create") {
      if (before === undefined) throw new LoxilbError("lbrule not-exists error");
      const named = new Set(spec.endpoints.map((e) => endpointKey(e.address, e.port)));
      const others = before.endpoints.filter((e) => !named.has(endpointKey(e.address, e.port)));
      endpoints = operation === "attach" ? [...others, ...spec.endpoints] : [...others];
    } else {
      // What an operator drained stays drained: the clients post the same list again and again.
      const drained = new Set(
        before?.endpoints.filter((e) => e.state === "drain").map((e) => endpointKey(e.address, e.port)),
      );
      endpoints = endpoints.map((e) =>
        drained.has(endpointKey(e.address, e.port)) ? { ...e, state: "drain" } : e,
      );
    }
    const vips = operation === "create" || before === undefined ? spec.vips : [...before.vips];
    try {
      registry.put({
        ...spec,
        // What the rule does not speak of stays as it is.
        ...(before !== undefined && {
          restartNewAddresses: before.restartNewAddresses,
          clientPrefixes: [...before.clientPrefixes],
          withdrawWhenDown: before.withdrawWhenDown,
        }),
        vips,
        endpoints,
      });
    } catch (error) {
      if (error instanceof HoldfastError) throw new Refusal(`${error.message} ${error.remedy}`);
      throw error;
    }
    deletions.keep(id);
  }

  /** Deleting what is not there is done already. */
  function remove(matches: (service: Service) => boolean): void {
    for (const service of registry.list()) {
      if (!matches(service)) continue;
      if (registry.isFromFile(service.id)) {
        const { message, remedy } = new HoldfastError("SERVICE_FROM_FILE", {
          service: service.id,
          member: sources.status().member,
        });
        throw new Refusal(`${message} ${remedy}`);
      }
      deletions.delete(service.id);
    }
  }

  const removeNamed = async (parameters: RuleParameters, reply: FastifyReply) => {
    const { ip, port, portmax, proto, host } = parameters;
    const other =
      (host !== undefined && host !== "any" && host !== "") || !["0", port, undefined].includes(portmax);
    // Rules with hosts, ranges or other protocols cannot be here, so they are deleted already.
    if (!other && proto.toLowerCase() === "sctp") {
      let id: string;
      try {
        id = serviceIdOf(parseAddress(ip), Number(port));
      } catch {
        throw new LoxilbError("malformed-service error");
      }
      remove((service) => service.id === id);
    }
    return sendJson(reply, 200, SUCCESS);
  };

  return async (app: FastifyInstance) => {
    app.get("/config/loadbalancer/all", async (_request, reply) => {
      const { byEndpoint } = await figures.figures();
      const lbAttr = registry
        .list()
        .filter((service) => !deletions.isDeleted(service.id))
        .map((service) =>
          ruleView(service, (endpoint) => {
            const traffic = byEndpoint.get(endpointFigureKey(service.id, endpoint));
            return {
              up: sources.endpointHealth(service.id, endpoint).health !== "down",
              packets: traffic?.packets ?? 0,
              bytes: traffic?.bytes ?? 0,
            };
          }),
        );
      return sendJson(reply, 200, { lbAttr });
    });
    app.post("/config/loadbalancer", async (request, reply) => {
      post(request.body);
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete("/config/loadbalancer/all", async (_request, reply) => {
      remove((service) => !registry.isFromFile(service.id));
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete<{ Params: { name: string } }>("/config/loadbalancer/name/:name", async (request, reply) => {
      // kube-loxilb writes its paths in lower case.
      const name = request.params.name.toLowerCase();
      remove((service) => service.name.toLowerCase() === name);
      return sendJson(reply, 200, SUCCESS);
    });
    const place = "externalipaddress/:ip/port/:port";
    for (const path of [
      `/config/loadbalancer/${place}/protocol/:proto`,
      `/config/loadbalancer/${place}/portmax/:portmax/protocol/:proto`,
      `/config/loadbalancer/hosturl/:host/${place}/protocol/:proto`,
      `/config/loadbalancer/hosturl/:host/${place}/portmax/:portmax/protocol/:proto`,
    ])
      app.delete<{ Params: RuleParameters }>(path, (request, reply) => removeNamed(request.params, reply));
  };
}
