// /config/endpoint: endpoints of services with their health, and those that a client posted beside them.
import { addressesOfEndpoint, parseAddress } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { endpointKey } from "../services/specification.ts";
import type { LoxilbContext } from "./context.ts";
import { durationText } from "./duration.ts";
import { foldKeys, numberOf, objectOf, textOf } from "./fold.ts";
import { LoxilbError, omitEmpty, SchemaViolation, SUCCESS, sendJson } from "./reply.ts";

/** Posted endpoints that are kept; the oldest goes first. */
const POSTED_COUNT_MAX = 1024;
const PROBES = ["tcp", "udp", "sctp", "ping", "http", "https", "none"];

export function endpointRoutes(context: LoxilbContext) {
  const { sources, logger } = context;
  const { registry } = sources;
  const posted = new Map<string, Record<string, unknown>>();

  function ofServices(): Record<string, unknown>[] {
    const { health } = context.configuration();
    const seen = new Map<string, Record<string, unknown>>();
    for (const service of registry.list()) {
      // A server with several addresses is a row for each, as LoxiLB probes them.
      const places = service.endpoints.flatMap((endpoint) =>
        addressesOfEndpoint(endpoint).map((address) => ({
          ...endpoint,
          address,
          identity: endpoint.address,
        })),
      );
      for (const { address, identity, port, state } of places) {
        const key = endpointKey(address, port);
        if (seen.has(key)) continue;
        const whole = sources.endpointHealth(service.id, endpointKey(identity, port));
        const verdict = { ...whole, ...whole.addresses?.find((each) => each.address === address) };
        seen.set(
          key,
          omitEmpty({
            hostName: address,
            name: `${address}_sctp_${port}`,
            inactiveReTries: health.downCount,
            probeType: health.enabled ? "sctp" : "none",
            probeReq: "",
            probeResp: "",
            probeDuration: Math.max(1, Math.round(health.intervalMs / 1000)),
            probePort: port,
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
      const names = new Set(known.map((endpoint) => endpoint["name"]));
      const others = [...posted.values()].filter((endpoint) => !names.has(endpoint["name"]));
      return sendJson(reply, 200, { Attr: [...known, ...others] });
    });

    app.post("/config/endpoint", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const hostName = textOf(body, "hostName");
      if (hostName === "") throw new SchemaViolation(602, "hostName in body is required");
      const probeType = textOf(body, "probeType") || "ping";
      if (!PROBES.includes(probeType)) throw new LoxilbError("host-args error: malformed probeType");
      const probePort = numberOf(body, "probePort");
      const name = textOf(body, "name") || `${hostName}_${probeType}${probePort > 0 ? `_${probePort}` : ""}`;
      posted.delete(name);
      if (posted.size >= POSTED_COUNT_MAX) posted.delete(posted.keys().next().value as string);
      // Shown as it was posted; endpoints of services are probed in any case, others are not.
      posted.set(
        name,
        omitEmpty({
          hostName,
          name,
          inactiveReTries: numberOf(body, "inactiveReTries"),
          probeType,
          probeReq: textOf(body, "probeReq"),
          probeResp: textOf(body, "probeResp"),
          probeDuration: numberOf(body, "probeDuration"),
          probePort,
        }),
      );
      return sendJson(reply, 200, SUCCESS);
    });

    app.delete<{ Params: { ip: string }; Querystring: Record<string, string> }>(
      "/config/endpoint/epipaddress/:ip",
      async (request, reply) => {
        const query = objectOf(foldKeys(request.query), "query");
        const [name, type, port] = [query["name"], query["probe_type"], query["probe_port"]];
        for (const [key, endpoint] of posted) {
          const matches =
            endpoint["hostName"] === request.params.ip &&
            (!name || endpoint["name"] === name) &&
            (!type || endpoint["probeType"] === type) &&
            (!port || port === "0" || String(endpoint["probePort"]) === port);
          if (matches) posted.delete(key);
        }
        return sendJson(reply, 200, SUCCESS);
      },
    );

    app.post("/config/endpointhoststate", async (request, reply) => {
      const body = objectOf(foldKeys(request.body), "body");
      const state = textOf(body, "state").toLowerCase();
      if (!["green", "yellow", "red"].includes(state))
        throw new LoxilbError("host-args error: malformed state");
      let address: string;
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
