// Where an association is at its endpoint. The protocol is the service's, and stands beside these in every
// key that is shared by protocols; what belongs to one protocol alone (a room of the slow path) needs no
// reminder.
import type { Address } from "./address.ts";

/** Where an endpoint listens. */
export interface EndpointPlace {
  readonly address: Address;
  readonly port: number;
}

/** A NAT port toward an endpoint: no two living sessions of one protocol have the same. */
export interface Place {
  readonly endpoint: Address;
  readonly endpointPort: number;
  readonly natPort: number;
}

/** As a key of maps. */
export function endpointKey({ address, port }: EndpointPlace): string {
  return `${address}|${port}`;
}

/** The place of such a key. */
export function placeOfKey(key: string): EndpointPlace {
  const at = key.lastIndexOf("|");
  return { address: key.slice(0, at) as Address, port: Number(key.slice(at + 1)) };
}

export function placeKey({ endpoint, endpointPort, natPort }: Place): string {
  return `${endpoint}|${endpointPort}|${natPort}`;
}

export function samePlace(a: Place, b: Place): boolean {
  return a.natPort === b.natPort && a.endpoint === b.endpoint && a.endpointPort === b.endpointPort;
}

export function sameEndpoint(a: EndpointPlace, b: EndpointPlace): boolean {
  return a.port === b.port && a.address === b.address;
}

/** The place of a NAT port toward an endpoint. */
export function placeAt({ address, port }: EndpointPlace, natPort: number): Place {
  return { endpoint: address, endpointPort: port, natPort };
}
