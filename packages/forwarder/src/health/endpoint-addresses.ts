// An endpoint with several addresses (learned from its INIT-ACKs): it is up while one of them is, and that one is used.
import { type Address, familyOf } from "@holdfast/model";
import type { Core } from "../slow-path/core.ts";

interface Place {
  readonly address: Address;
  readonly port: number;
}

export function isEndpointUp(core: Core, endpoint: Place): boolean {
  if (core.health.isUp(endpoint)) return true;
  return core.registry
    .addressesOf(endpoint)
    .some((address) => core.health.isUp({ address, port: endpoint.port }));
}

/** The address for new packets of a family: the configured one while it is up, else one that is, else any. */
export function endpointAddress(core: Core, endpoint: Place, family: 4 | 6): Address | undefined {
  const { address, port } = endpoint;
  if (familyOf(address) === family && core.health.isUp(endpoint)) return address;
  const addresses = core.registry.addressesOf(endpoint).filter((a) => familyOf(a) === family);
  return addresses.find((a) => core.health.isUp({ address: a, port })) ?? addresses[0];
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
    const one = core.health.downSinceMs({ address, port: endpoint.port });
    if (one === undefined) return undefined;
    sinceMs = Math.max(sinceMs ?? one, one);
  }
  return sinceMs;
}
