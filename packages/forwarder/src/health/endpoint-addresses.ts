// An endpoint with several addresses: it is up while one of them is, and that one is used. Only configured
// addresses count, its own and those of endpoints that are the same server (twins.ts): what INIT-ACKs tell is
// of their sessions alone.
import { type Address, type Candidate, familyOf } from "@holdfast/model";
import type { Core } from "../core.ts";
import { configuredAddresses } from "../path-mapping/endpoint-addresses.ts";
import type { ServiceEntry } from "../services/registry.ts";
import type { EndpointHealth } from "./endpoint-health.ts";

interface Place {
  readonly address: Address;
  readonly port: number;
}

export function isEndpointUp(
  { health, registry }: Pick<Core, "health" | "registry">,
  endpoint: Place,
): boolean {
  const { port } = endpoint;
  return (
    health.isUp(endpoint) || registry.addressesOf(endpoint).some((address) => health.isUp({ address, port }))
  );
}

/** … at an address of this family. */
export function isUpFor(
  { health, registry }: Pick<Core, "health" | "registry">,
  endpoint: Place,
  family: 4 | 6,
): boolean {
  const { port } = endpoint;
  return registry
    .addressesOf(endpoint)
    .some((address) => familyOf(address) === family && health.isUp({ address, port }));
}

/**
 * The address for a new packet of a family: one that is up, else any. `turn`: which of several, so that VIPs
 * differ and an INIT that comes again tries another.
 */
export function endpointAddress(
  core: Core,
  endpoint: Place,
  family: 4 | 6,
  turn: number,
): Address | undefined {
  const { port } = endpoint;
  const all = core.registry.addressesOf(endpoint).filter((address) => familyOf(address) === family);
  if (all.length <= 1) return all[0];
  const up = all.filter((address) => core.health.isUp({ address, port }));
  const choices = up.length > 0 ? up : all;
  return choices[turn % choices.length];
}

/** Every address of the endpoint is one where nobody speaks SCTP any more. */
export function isEndpointGone(core: Core, endpoint: Place): boolean {
  return core.registry
    .addressesOf(endpoint)
    .every((address) => core.health.isGone({ address, port: endpoint.port }));
}

/** Since when every address of the endpoint has been down; undefined while one is not. */
export function downSinceMs(core: Core, endpoint: Place): number | undefined {
  let sinceMs: number | undefined;
  for (const address of core.registry.addressesOf(endpoint)) {
    const one = core.health.downSinceMs({ address, port: endpoint.port }, core.clock.nowMs());
    if (one === undefined) return undefined;
    sinceMs = Math.max(sinceMs ?? one, one);
  }
  return sinceMs;
}

/** Configured addresses of an association's endpoint that are down; undefined: none is. */
export function addressesDown(
  health: EndpointHealth,
  candidate: Candidate,
  entry: ServiceEntry,
): readonly Address[] | undefined {
  if (candidate.endpointAddresses.length <= 1) return undefined;
  const port = candidate.endpointPort;
  const down = configuredAddresses(candidate, entry).filter((address) => !health.isUp({ address, port }));
  return down.length === 0 ? undefined : down;
}
