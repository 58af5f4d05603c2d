// How much of its NAT ports a member has given, for the gauge and its alert.
import { type Address, addressesOfEndpoint, endpointKey } from "@holdfast/model";
import { portsFrom, type Side } from "./room.ts";

/**
 * Toward the endpoint that has the fewest left, 0 … 1: of the VIPs' NAT ports and of those of the further addresses
 * that services with this endpoint have.
 */
export function greatestShare(side: Side): number {
  const sources = new Map<string, Set<Address>>();
  for (const { service } of side.registry.entries)
    for (const endpoint of service.endpoints)
      for (const address of addressesOfEndpoint(endpoint)) {
        const key = endpointKey({ address, port: endpoint.port });
        const known = sources.get(key) ?? new Set<Address>();
        for (const source of service.sourceAddresses ?? []) known.add(source);
        sources.set(key, known);
      }
  const further = new Map<Address, ReadonlyMap<string, number>>();
  for (const set of sources.values())
    for (const source of set)
      if (!further.has(source)) further.set(source, new Map(portsFrom(side, source).shares()));
  let greatest = 0;
  for (const [endpoint, share] of side.natPorts.shares()) {
    const own = [...(sources.get(endpoint) ?? [])];
    const sum = own.reduce((all, source) => all + (further.get(source)?.get(endpoint) ?? 0), share);
    greatest = Math.max(greatest, sum / (1 + own.length));
  }
  return greatest;
}
