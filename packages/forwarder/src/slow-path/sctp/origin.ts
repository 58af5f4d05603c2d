// Which sessions a packet that says to be an endpoint's may belong to. The endpoint is known by its
// configured addresses and by those that its INIT-ACK told for a session: the latter count for that session
// and for no other.

import type { Address, Candidate, Place, SessionRecord } from "@holdfast/model";
import type { Core } from "../../core.ts";
import type { SctpInput } from "../../packet/input.ts";

export interface Origin {
  readonly record: SessionRecord;
  readonly path: Place;
}

/**
 * Sessions with this NAT port whose endpoint has the address; of strangers' addresses only those that name
 * them.
 */
export function* sessionsAt(
  core: Core,
  address: Address,
  endpointPort: number,
  vip: Address,
  natPort: number,
): Generator<Origin> {
  const { registry, table } = core;
  const identities = registry.identitiesOf(address, endpointPort);
  for (const endpoint of identities)
    for (const record of table.byNatPort(endpoint, endpointPort, natPort))
      yield { record, path: { endpoint, endpointPort, natPort } };
  if (!registry.isEndpointPort(endpointPort)) return;
  const seen = new Set(identities);
  for (const endpoint of registry.identitiesBehind(vip, endpointPort)) {
    if (seen.has(endpoint)) continue;
    seen.add(endpoint);
    for (const record of table.byNatPort(endpoint, endpointPort, natPort)) {
      const path = { endpoint, endpointPort, natPort };
      if (names(record, path, address)) yield { record, path };
    }
  }
}

/** … with a packet's source as the endpoint. */
export function sessionsFrom(core: Core, { source, destination, packet }: SctpInput): Generator<Origin> {
  return sessionsAt(core, source, packet.sourcePort, destination, packet.destinationPort);
}

/** Whether some INIT-ACK of the session told the address. */
function names(record: SessionRecord, path: Place, address: Address): boolean {
  const isNamed = (candidate: Candidate) =>
    candidate.natPort === path.natPort &&
    candidate.endpoint === path.endpoint &&
    candidate.endpointAddresses.includes(address);
  for (const generation of record.generations.values())
    for (const candidate of generation.candidates.values()) if (isNamed(candidate)) return true;
  return [...(record.commit?.generation?.candidates.values() ?? [])].some(isNamed);
}
