// What selection needs to know about the sessions: how many each endpoint has, and which endpoint a client's
// addresses belong to. Fed by every change of the table, so that all members count alike.
import {
  type Address,
  currentCandidate,
  type Endpoint,
  isLiving,
  endpointKey as keyOf,
  placeOfKey,
  type ServiceId,
  type SessionRecord,
} from "@holdfast/model";

export class Associations {
  readonly #counts = new Map<string, number>();
  /**
   * "service|client address" → endpoints by "address|port" with how many sessions say so. Only where it is
   * asked for.
   */
  readonly #homes = new Map<string, Map<string, number>>();
  readonly #isPersistent: (serviceId: ServiceId) => boolean;

  constructor(isPersistent: (serviceId: ServiceId) => boolean) {
    this.#isPersistent = isPersistent;
  }

  /** Counts anew: which services persist may have changed. */
  rebuild(records: Iterable<SessionRecord>): void {
    this.#counts.clear();
    this.#homes.clear();
    for (const record of records) this.changed(undefined, record);
  }

  /** Call with the record before and after each change. */
  changed(previous: SessionRecord | undefined, record: SessionRecord | undefined): void {
    const before = endpointKeyOf(previous);
    const after = endpointKeyOf(record);
    if (before === after && sameClients(previous, record)) return;
    if (previous !== undefined && before !== undefined) this.#add(previous, before, -1);
    if (record !== undefined && after !== undefined) this.#add(record, after, 1);
  }

  count(endpoint: Pick<Endpoint, "address" | "port">): number {
    return this.#counts.size === 0 ? 0 : (this.#counts.get(endpointKey(endpoint)) ?? 0);
  }

  /** An endpoint that a living session of the service with this client address has. */
  homeOf(serviceId: ServiceId, client: Address): { address: Address; port: number } | undefined {
    const homes = this.#homes.get(`${serviceId}|${client}`);
    if (homes === undefined) return undefined;
    return placeOfKey(homes.keys().next().value as string);
  }

  #add(record: SessionRecord, endpoint: string, by: 1 | -1): void {
    bump(this.#counts, endpoint, by);
    if (!this.#isPersistent(record.serviceId)) return;
    for (const client of record.clients.keys()) {
      const key = `${record.serviceId}|${client}`;
      let homes = this.#homes.get(key);
      if (homes === undefined) {
        homes = new Map();
        this.#homes.set(key, homes);
      }
      bump(homes, endpoint, by);
      if (homes.size === 0) this.#homes.delete(key);
    }
  }
}

/** Services keep their endpoint objects, and every INIT asks for all of them. */
const keys = new WeakMap<object, string>();

export function endpointKey(endpoint: Pick<Endpoint, "address" | "port">): string {
  let key = keys.get(endpoint);
  if (key === undefined) {
    key = keyOf(endpoint);
    keys.set(endpoint, key);
  }
  return key;
}

function bump(map: Map<string, number>, key: string, by: number): void {
  const count = (map.get(key) ?? 0) + by;
  if (count <= 0) map.delete(key);
  else map.set(key, count);
}

/** The endpoint that a living, committed session counts for. */
function endpointKeyOf(record: SessionRecord | undefined): string | undefined {
  if (record === undefined || record.commit === undefined || !isLiving(record)) return undefined;
  const candidate = currentCandidate(record);
  return candidate && `${candidate.endpoint}|${candidate.endpointPort}`;
}

function sameClients(a: SessionRecord | undefined, b: SessionRecord | undefined): boolean {
  if (a?.clients === b?.clients) return true;
  if (a === undefined || b === undefined || a.clients.size !== b.clients.size) return false;
  for (const client of a.clients.keys()) if (!b.clients.has(client)) return false;
  return true;
}
