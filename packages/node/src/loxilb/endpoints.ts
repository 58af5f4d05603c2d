// /config/endpoint: endpoints of services with their health, and those that a client posted beside them.
import {
  type Address,
  addressesOfEndpoint,
  canonicalAddress,
  defaultCheckOf,
  parseAddress,
} from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { endpointKey } from "../services/specification.ts";
import type { LoxilbContext } from "./context.ts";
import { durationText } from "./duration.ts";
import { foldKeys, numberOf, objectOf, textOf } from "./fold.ts";
import { hostPlace, type PostedEndpoint, PostedEndpoints, parsePostedEndpoint } from "./posted-endpoints.ts";
import { LoxilbError, omitEmpty, SUCCESS, sendJson } from "./reply.ts";

function sameAddress(address: Address, text: string): boolean {
  return canonicalAddress(text) === address;
}

export function endpointRoutes(context: LoxilbContext) {
  const { sources, logger } = context;
  const { registry } = sources;
  const posted = new PostedEndpoints(context.link.store, registry);

  /** As it was posted, or as LoxiLB names the endpoint of a rule. */
  function nameOf(address: Address, port: number, kind: string): string {
    return posted.nameFor(address, port) ?? `${address}_${kind}_${port}`;
  }

  /** A host that no service has, as it was posted. */
  function ofHost(endpoint: PostedEndpoint): Record<string, unknown> {
    const { port: _, ...shown } = endpoint;
    const place = hostPlace(endpoint);
    const { health, delays } = sources.endpointHealth("", endpointKey(place.address, place.port));
    return omitEmpty({
      ...shown,
      minDelay: durationText(delays?.minMs),
      avgDelay: durationText(delays?.averageMs),
      maxDelay: durationText(delays?.maxMs),
      currState: health === "down" ? "nok" : "ok",
    });
  }

  function ofServices(): Record<string, unknown>[] {
    const { health } = context.configuration();
    const seen = new Map<string, Record<string, unknown>>();
    for (const service of registry.list()) {
      // A server with several addresses is a row for each, as LoxiLB probes them.
      const places = service.endpoints.flatMap((endpoint) =>
        addressesOfEndpoint(endpoint).map((address) => ({
          address,
          port: endpoint.port,
          state: endpoint.state,
          identity: endpoint.address,
          check: endpoint.healthCheck ?? service.healthCheck,
        })),
      );
      for (const { address, identity, port, state, check } of places) {
        const key = endpointKey(address, port);
        if (seen.has(key)) continue;
        const whole = sources.endpointHealth(service.id, endpointKey(identity, port));
        const kind = health.enabled ? (check ?? defaultCheckOf(service.protocol)).kind : "none";
        const verdict = { ...whole, ...whole.addresses?.find((each) => each.address === address) };
        seen.set(
          key,
          omitEmpty({
            hostName: address,
            name: nameOf(address, port, kind),
            inactiveReTries: check?.downCount ?? health.downCount,
            probeType: kind,
            probeReq: check?.path ?? check?.send ?? "",
            probeResp: check?.expect ?? "",
            probeDuration: Math.max(1, Math.round((check?.intervalMs ?? health.intervalMs) / 1000)),
            probePort: check?.port ?? port,
            minDelay: durationText(verdict.delays?.minMs),
            avgDelay: durationText(verdict.delays?.averageMs),
            maxDelay: durationText(verdict.delays?.maxMs),
            currState: state === "drain" ? "red(host-state)" : verdict.health === "down" ? "nok" : "ok",
          }),
        );
      }
    }
    return [...seen.values()];
  }

  return async (app: FastifyInstance) => {
    app.get("/config/endpoint/all", async (_request, reply) => {
      const known = ofServices();
      const hosts = new Set(known.map((endpoint) => endpoint["hostName"]));
      const others = posted.list().filter(({ hostName }) => !hosts.has(hostName));
      return sendJson(reply, 200, { Attr: [...known, ...others.map(ofHost)] });
    });

    app.post("/config/endpoint", async (request, reply) => {
      posted.set(parsePostedEndpoint(objectOf(foldKeys(request.body), "body")));
      return sendJson(reply, 200, SUCCESS);
    });

    app.delete<{ Params: { ip: string }; Querystring: Record<string, string> }>(
      "/config/endpoint/epipaddress/:ip",
      async (request, reply) => {
        const query = objectOf(foldKeys(request.query), "query");
        const [name, type, port] = [query["name"], query["probe_type"], query["probe_port"]];
        posted.remove(
          (endpoint) =>
            sameAddress(endpoint.hostName, request.params.ip) &&
            (!name || endpoint.name.toLowerCase() === String(name).toLowerCase()) &&
            (!type || endpoint.probeType === type) &&
            (!port || port === "0" || String(endpoint.probePort) === port),
        );
        return sendJson(reply, 200, SUCCESS);
      },
    );

    app.post("/config/endpointhoststate", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const state = textOf(body, "state").toLowerCase();
      if (!["green", "yellow", "red"].includes(state))
        throw new LoxilbError("host-args error: malformed state");
      let address: Address;
      try {
        address = parseAddress(textOf(body, "hostName"));
      } catch {
        throw new LoxilbError("host-args error: malformed hostName");
      }
      const port = numberOf(body, "epPort");
      let found = false;
      for (const service of registry.list())
        for (const endpoint of service.endpoints) {
          if (endpoint.address !== address || (port !== 0 && endpoint.port !== port)) continue;
          found = true;
          registry.setEndpointState(
            service.id,
            endpointKey(address, endpoint.port),
            state === "green" ? "active" : "drain",
          );
        }
      if (!found) throw new LoxilbError("endpoint not found");
      logger.info({ endpoint: address, state }, "endpoint's host state set through LoxiLB's API");
      return sendJson(reply, 200, SUCCESS);
    });
  };
}
