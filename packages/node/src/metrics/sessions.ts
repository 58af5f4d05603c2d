// Sessions by phase, service and endpoint, and what the services' lists hold.
import { PLAIN_SESSIONS, type Protocol, protocolName, SCTP_SESSIONS } from "@holdfast/model";
import type { Registry } from "prom-client";
import { endpointKey } from "../services/specification.ts";
import { gauge, type Row } from "./collected.ts";
import type { MetricSources } from "./sources.ts";

const PHASES: ReadonlyMap<Protocol, readonly string[]> = new Map(
  [SCTP_SESSIONS, PLAIN_SESSIONS].flatMap(({ protocols, phases }) =>
    protocols.map((protocol) => [protocol, phases] as const),
  ),
);

export function sessionMetrics(registers: Registry[], sources: MetricSources): void {
  const { registry, catalogue } = sources;
  gauge(
    registers,
    {
      name: "holdfast_sessions",
      help: "Sessions in this member's table by protocol and phase.",
      labels: ["protocol", "phase"],
    },
    () =>
      [...PHASES].flatMap(([protocol, phases]) =>
        phases.map(
          (phase): Row => [
            { protocol: protocolName(protocol), phase },
            catalogue.countOfPhase(protocol, phase),
          ],
        ),
      ),
  );
  gauge(
    registers,
    {
      name: "holdfast_service_sessions",
      help: "Living sessions of a service.",
      labels: ["service", "name"],
    },
    () => registry.list().map(({ id, name }): Row => [{ service: id, name }, catalogue.countOfService(id)]),
  );
  endpointMetrics(registers, sources);
  gauge(
    registers,
    {
      name: "holdfast_endpoints_leaving",
      help: "Endpoints that left a service's list and still carry its associations.",
      labels: ["service"],
    },
    () => registry.list().map(({ id, leaving = [] }): Row => [{ service: id }, leaving.length]),
  );
  gauge(
    registers,
    {
      name: "holdfast_services_leaving",
      help: "Services that were deleted and have their grace, by kind: change (LoxiLB's clients) or drain.",
      labels: ["kind"],
    },
    () => {
      const counts = { change: 0, drain: 0 };
      for (const { removal } of registry.list()) if (removal !== undefined) counts[removal.mode]++;
      return Object.entries(counts).map(([kind, count]): Row => [{ kind }, count]);
    },
  );
}

function endpointMetrics(registers: Registry[], sources: MetricSources): void {
  const { registry, catalogue } = sources;
  const endpoints = () =>
    registry
      .list()
      .flatMap(({ id, endpoints: list }) =>
        list.map(({ address, port }) => ({ service: id, endpoint: endpointKey(address, port) })),
      );
  gauge(
    registers,
    {
      name: "holdfast_endpoint_sessions",
      help: "Living sessions that an endpoint carries for a service.",
      labels: ["service", "endpoint"],
    },
    () => endpoints().map((each): Row => [each, catalogue.countOfEndpoint(each.service, each.endpoint)]),
  );
  gauge(
    registers,
    {
      name: "holdfast_endpoint_up",
      help: "1 when the endpoint answers probes, 0 when not; absent while unknown.",
      labels: ["service", "endpoint"],
    },
    () =>
      endpoints().flatMap((each): Row[] => {
        const { health } = sources.endpointHealth(each.service, each.endpoint);
        return health === "unknown" ? [] : [[each, health === "up" ? 1 : 0]];
      }),
  );
  gauge(
    registers,
    {
      name: "holdfast_endpoint_unproven_vips",
      help: "VIPs of the service from which an INIT (of TCP a SYN) to the endpoint, though it is up, brings no answer back.",
      labels: ["service", "endpoint"],
    },
    () =>
      endpoints().map(
        (each): Row => [each, sources.endpointHealth(each.service, each.endpoint).unproven?.length ?? 0],
      ),
  );
}
