// Which check an endpoint is asked with. An endpoint has one verdict, whatever services have it: its own
// check goes before that of a service, a check before none, and of equals that of the service whose id comes
// first, at every member the same.

import type { Address, HealthCheck, Service } from "@holdfast/model";
import { endpointKey } from "@holdfast/model";
import { placesOf } from "../services/registry.ts";
import type { ProbedEndpoint } from "./prober.ts";

interface Endpoints {
  readonly entries: Iterable<{ readonly service: Service }>;
  endpointList(): readonly { readonly address: Address; readonly port: number }[];
  /** The configured address of the endpoint that has this one. */
  endpointAddress(address: Address, port: number): Address | undefined;
}

interface Choice {
  readonly check: HealthCheck;
  readonly isOwn: boolean;
  readonly serviceId: string;
}

/** Every address of every endpoint with its check; `hosts`: others, as far as they are none of these. */
export function probedEndpoints(
  registry: Endpoints,
  hosts: readonly ProbedEndpoint[] = [],
): ProbedEndpoint[] {
  const choices = new Map<string, Choice>();
  for (const { service } of registry.entries) {
    for (const { address, port, healthCheck } of placesOf(service)) {
      const check = healthCheck ?? service.healthCheck;
      if (check === undefined) continue;
      const choice = { check, isOwn: healthCheck !== undefined, serviceId: service.id };
      const key = endpointKey({ address, port });
      const known = choices.get(key);
      if (known === undefined || precedes(choice, known)) choices.set(key, choice);
    }
  }
  const endpoints = registry.endpointList().map(({ address, port }) => {
    const check = choices.get(
      endpointKey({ address: registry.endpointAddress(address, port) ?? address, port }),
    )?.check;
    return { address, port, ...(check !== undefined && { check }) };
  });
  const known = new Set(endpoints.map(({ address, port }) => endpointKey({ address, port })));
  return [...endpoints, ...hosts.filter(({ address, port }) => !known.has(endpointKey({ address, port })))];
}

function precedes(a: Choice, b: Choice): boolean {
  if (a.isOwn !== b.isOwn) return a.isOwn;
  return a.serviceId < b.serviceId;
}
