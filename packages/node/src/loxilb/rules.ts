// /config/loadbalancer: rules are services.
import {
  HoldfastError,
  type Protocol,
  parseAddress,
  protocolOf,
  type Service,
  type ServiceId,
  serviceIdOf,
  serviceWarnings,
} from "@holdfast/model";
import type { FastifyInstance, FastifyReply } from "fastify";
import { serviceOf } from "../services/specification.ts";
import type { LoxilbContext } from "./context.ts";
import { endpointFigureKey, type FigureKeeper } from "./figures.ts";
import { foldKeys } from "./fold.ts";
import { RuleNotes } from "./notes.ts";
import { OldCaches, type Presence } from "./old-caches.ts";
import { serviceAfter } from "./post.ts";
import { PostedEndpoints } from "./posted-endpoints.ts";
import { LoxilbError, Refusal, SUCCESS, sendJson } from "./reply.ts";
import { parseRule } from "./rule.ts";
import { ruleView } from "./rule-view.ts";
import { Told } from "./told.ts";

/** What kube-loxilb calls itself, as every program does that uses Go's own client. */
const GO_CLIENT = "Go-http-client";

interface RuleParameters {
  readonly ip: string;
  readonly port: string;
  readonly portmax?: string;
  readonly proto: string;
  readonly host?: string;
}

function idNamed(protocol: Protocol, ip: string, port: string): ServiceId {
  // Digits alone: what another way of reading makes of a text must delete no rule.
  if (!/^\d{1,5}$/.test(port)) throw new LoxilbError("serv-port-args range error");
  try {
    return serviceIdOf(protocol, parseAddress(ip), Number(port));
  } catch {
    throw new LoxilbError("malformed-service error");
  }
}

export function ruleRoutes(context: LoxilbContext, figures: FigureKeeper) {
  const { sources, deletions, logger } = context;
  const { registry } = sources;
  const notes = new RuleNotes(context.link.store);
  const posted = new PostedEndpoints(context.link.store, registry);
  const oldCaches = new OldCaches(context.link.store, sources.status().member, () => sources.clock.wallMs());
  const told = new Told(sources.clock);

  async function presence(): Promise<readonly Presence[]> {
    return (await sources.members()).map(({ name, phase, self }) => ({
      name,
      isPresent: !self && (phase === "alive" || phase === "suspect"),
    }));
  }

  /** The rule's service, changed by this post; throws what LoxiLB's clients understand. */
  function post(body: unknown, agent: string, members: readonly Presence[]): readonly string[] {
    const rule = parseRule(foldKeys(body));
    const id = serviceIdOf(protocolOf(rule.protocol), rule.primary, rule.port);
    const service = registry.list().find((other) => other.id === id);
    const before = service && { service, isKnown: !deletions.isDeleted(service) };
    // Nothing to detach from: done already.
    if (rule.operation === "detach" && before?.isKnown !== true) {
      oldCaches.deleted(id, undefined, members);
      return [];
    }
    const spec = serviceAfter(rule, before, (address, at) => posted.checkFor(address, at));
    if (spec === undefined) {
      remove((other) => other.id === id, members);
      return [];
    }
    try {
      const mayBeACache = before?.isKnown !== true && agent.startsWith(GO_CLIENT) && !rule.isByHand;
      if (mayBeACache && oldCaches.isOld(serviceOf(spec), members)) return [old(id)];
      registry.put(spec, "loxilb");
    } catch (error) {
      if (error instanceof HoldfastError)
        throw new Refusal(`${error.message} ${error.remedy} (${error.code})`);
      throw error;
    }
    if (before?.isKnown !== true) notes.set(id, rule.posted);
    else if (rule.operation === "create" && !rule.isBare) notes.set(id, { ...notes.of(id), ...rule.posted });
    if (before?.isKnown !== true) oldCaches.forget(id);
    // Of a post that says nothing of the mode there is nothing to say.
    const warnings = before?.isKnown === true && rule.isBare ? [] : rule.warnings;
    for (const warning of warnings)
      if (told.isDue(`${id} ${warning}`))
        logger.warn({ service: id, warning }, "rule taken, not as it stands");
    // These the member logs by itself, whoever made the service.
    const allowed = serviceWarnings(serviceOf(spec)).map(({ code, message }) => `${message} (${code})`);
    return [...warnings, ...allowed];
  }

  function old(id: ServiceId): string {
    const warning = "deleted through other members while this one was not told: not made from an old cache";
    if (told.isDue(`${id} ${warning}`)) {
      logger.warn({ service: id }, `rule posted that was ${warning}`);
      sources.events.emit({ type: "service", message: `Rule ${id} was ${warning}.`, service: id });
    }
    return warning;
  }

  /** Deleting what is not there is done already. */
  function remove(matches: (service: Service) => boolean, members: readonly Presence[]): void {
    for (const service of registry.list()) {
      if (!matches(service)) continue;
      if (registry.isFromFile(service.id)) {
        const { message, remedy } = new HoldfastError("SERVICE_FROM_FILE", {
          service: service.id,
          member: sources.status().member,
        });
        throw new Refusal(`${message} ${remedy}`);
      }
      oldCaches.deleted(service.id, deletions.isDeleted(service) ? undefined : service, members);
      deletions.delete(service.id);
    }
  }

  const removeNamed = async (parameters: RuleParameters, reply: FastifyReply) => {
    const { ip, port, portmax, proto, host } = parameters;
    const other =
      (host !== undefined && host !== "any" && host !== "") || !["0", port, undefined].includes(portmax);
    // Rules with hosts, ranges or other protocols cannot be here, so they are deleted already.
    const protocol = protocolOf(proto.toLowerCase());
    if (!other && protocol !== undefined) {
      const id = idNamed(protocol, ip, port);
      const members = await presence();
      if (!registry.list().some((service) => service.id === id)) oldCaches.deleted(id, undefined, members);
      remove((service) => service.id === id, members);
    }
    return sendJson(reply, 200, SUCCESS);
  };

  return async (app: FastifyInstance) => {
    app.get("/config/loadbalancer/all", async (_request, reply) => {
      const { byEndpoint } = await figures.figures();
      const lbAttr = registry
        .list()
        .filter((service) => !deletions.isDeleted(service))
        .map((service) =>
          ruleView(service, notes.of(service.id), (endpoint) => {
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
      const warnings = post(request.body, request.headers["user-agent"] ?? "", await presence());
      return sendJson(reply, 200, warnings.length === 0 ? SUCCESS : { ...SUCCESS, warnings });
    });
    app.delete("/config/loadbalancer/all", async (_request, reply) => {
      const members = await presence();
      oldCaches.deletedAll(members);
      remove((service) => !registry.isFromFile(service.id), members);
      return sendJson(reply, 200, SUCCESS);
    });
    app.delete<{ Params: { name: string } }>("/config/loadbalancer/name/:name", async (request, reply) => {
      // kube-loxilb writes its paths in lower case.
      const name = request.params.name.toLowerCase();
      remove((service) => service.name.toLowerCase() === name, await presence());
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
