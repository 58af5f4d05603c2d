// What a session is found by, as hashes, and putting them into an index as a record changes.
import type { Address } from "../address.ts";
import { samePlace } from "../place.ts";
import type { Protocol, ServiceId } from "../service.ts";
import type { Addresses, HeldPort, SessionKind } from "../session/kind.ts";
import type { SessionEnvelope, Tag } from "../session/record.ts";
import { HASH_START, hashEnd, hashNumber, hashText, type SlotIndex } from "./slot-index.ts";

/** Whether both are found under the same keys; which of the addresses are verified does not matter. */
export function hasSameClients(
  a: SessionEnvelope,
  ofA: Addresses,
  b: SessionEnvelope,
  ofB: Addresses,
): boolean {
  if (a.clientPort !== b.clientPort || a.serviceId !== b.serviceId) return false;
  if (ofA === ofB) return true;
  if (ofA.size !== ofB.size) return false;
  for (const client of ofB.keys()) if (!ofA.has(client)) return false;
  return true;
}

export function clientHash(serviceId: ServiceId, client: Address, clientPort: number): number {
  return hashEnd(hashText(hashNumber(hashText(HASH_START, client), clientPort), serviceId));
}

export function clientHashesOf({ serviceId, clientPort }: SessionEnvelope, clients: Addresses): number[] {
  const hashes = new Array<number>(clients.size);
  let at = 0;
  for (const client of clients.keys()) hashes[at++] = clientHash(serviceId, client, clientPort);
  return hashes;
}

export function natPortHash(
  protocol: Protocol,
  endpoint: Address,
  endpointPort: number,
  natPort: number,
): number {
  const start = hashNumber(HASH_START, protocol);
  return hashEnd(hashNumber(hashText(start, endpoint), endpointPort * 0x1_0000 + natPort));
}

export function natPortHashesOf(protocol: Protocol, ports: readonly HeldPort[]): number[] {
  return ports.map((c) => natPortHash(protocol, c.endpoint, c.endpointPort, c.natPort));
}

export function tagHash(tag: Tag): number {
  return hashEnd(hashNumber(HASH_START, tag));
}

export function hasSamePlaces(a: readonly HeldPort[], b: readonly HeldPort[]): boolean {
  if (a.length !== b.length) return false;
  for (const [i, ours] of a.entries()) {
    const theirs = b[i] as HeldPort;
    if (ours !== theirs && !samePlace(ours, theirs)) return false;
  }
  return true;
}

/**
 * Endpoint number of a session that holds NAT ports at several endpoints, or more endpoints than have
 * numbers.
 */
export const SEVERAL_ENDPOINTS = 0xffff;

/** Numbers of endpoints, given as they come. */
export class EndpointNumbers {
  /** By address, then port: one text of both would have to be made for every question. */
  readonly #numbers = new Map<Address, Map<number, number>>();
  #count = 0;

  find(address: Address, port: number): number | undefined {
    return this.#numbers.get(address)?.get(port);
  }

  /** Of the one at which all of these ports are. */
  of(ports: readonly HeldPort[]): number {
    const [first] = ports;
    if (first === undefined) return SEVERAL_ENDPOINTS;
    const { endpoint, endpointPort } = first;
    if (ports.some((c) => c.endpoint !== endpoint || c.endpointPort !== endpointPort))
      return SEVERAL_ENDPOINTS;
    const known = this.find(endpoint, endpointPort);
    if (known !== undefined) return known;
    if (this.#count >= SEVERAL_ENDPOINTS) return SEVERAL_ENDPOINTS;
    const number = this.#count++;
    const byPort = this.#numbers.get(endpoint);
    if (byPort === undefined) this.#numbers.set(endpoint, new Map([[endpointPort, number]]));
    else byPort.set(endpointPort, number);
    return number;
  }
}

export function reindex(
  index: SlotIndex,
  slot: number,
  before: readonly number[],
  after: readonly number[],
): void {
  for (const hash of before) if (!after.includes(hash)) index.remove(hash, slot);
  // Two keys of one record may share a hash: once is enough.
  for (let i = 0; i < after.length; i++) {
    const hash = after[i] as number;
    if (!before.includes(hash) && after.indexOf(hash) === i) index.add(hash, slot);
  }
}

/** Whether an end is all that is new. */
export function isOnlyEnded<R extends SessionEnvelope>(kind: SessionKind<R>, a: R, b: R): boolean {
  return (
    a.end === undefined &&
    b.end !== undefined &&
    a.serviceId === b.serviceId &&
    a.clientPort === b.clientPort &&
    a.createdAtMs === b.createdAtMs &&
    a.activity === b.activity &&
    kind.hasSameBody(a, b)
  );
}
