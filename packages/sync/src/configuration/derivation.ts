// What the entries mean: services with their endpoints, drains, pins, the memory of files. Pure: the same
// entries mean the same at every member, whoever wrote them and in whichever order they came.
import {
  type Address,
  conflictsOf,
  type Endpoint,
  type FileImage,
  isAddress,
  type LeavingEndpoint,
  type MemberName,
  type Service,
  type ServiceId,
  serviceIdOf,
} from "@holdfast/model";
import { type EndpointValue, type Entry, isUnderstood, type ServiceValue, splitKey } from "./entries.ts";

/** A secondary VIP that a service does not get, as another one has it. */
export interface Withheld {
  readonly service: ServiceId;
  readonly vip: Address;
  readonly by: ServiceId;
}

/** Small, of JSON's types. */
export type Note = Readonly<Record<string, unknown>>;

export interface Derived {
  readonly services: readonly Service[];
  readonly withheld: readonly Withheld[];
  readonly drained: ReadonlySet<MemberName>;
  readonly pins: ReadonlyMap<Address, MemberName>;
  readonly notes: ReadonlyMap<string, Note>;
  readonly files: ReadonlyMap<MemberName, ReadonlyMap<ServiceId, FileImage>>;
}

export function derive(entries: ReadonlyMap<string, Entry>): Derived {
  const values = new Map<ServiceId, ServiceValue>();
  const endpoints = new Map<ServiceId, Endpoint[]>();
  const leaving = new Map<ServiceId, LeavingEndpoint[]>();
  const drained = new Set<MemberName>();
  const pins = new Map<Address, MemberName>();
  const notes = new Map<string, Note>();
  const files = new Map<MemberName, Map<ServiceId, FileImage>>();
  for (const [key, entry] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { value } = entry;
    if (value === undefined || !isUnderstood(key, entry)) continue;
    const [kind, name] = splitKey(key);
    if (kind === "service") values.set(name, value as ServiceValue);
    else if (kind === "drain") drained.add(name);
    else if (kind === "pin") {
      if (isAddress(name)) pins.set(name, value as MemberName);
    } else if (kind === "note") notes.set(name, value as Note);
    else if (kind === "file") {
      const bar = name.indexOf("|");
      const [member, id] = [name.slice(0, bar), name.slice(bar + 1)];
      const file = listOf(files, member, () => new Map<ServiceId, FileImage>());
      if (id !== "") file.set(id, value as FileImage);
    } else {
      const [id = "", address, portText = ""] = name.split("|");
      if (!isAddress(address)) continue;
      const { leaving: removal, ...rest } = value as EndpointValue;
      const place = { address, port: Number(portText) };
      if (removal === undefined) listOf(endpoints, id, () => []).push({ ...place, ...rest });
      else listOf(leaving, id, () => []).push({ ...place, ...rest, ...removal });
    }
  }
  const services = [...values].map(([id, value]): Service => {
    const left = leaving.get(id);
    return { ...value, endpoints: endpoints.get(id) ?? [], ...(left !== undefined && { leaving: left }) };
  });
  return { ...withoutClashes(services), drained, pins, notes, files };
}

/**
 * Changes made at once may give one VIP to two services. The one that is named after it has it, then the one
 * with the smaller id; the other is served without it, so that its associations live on over their other
 * paths.
 */
function withoutClashes(services: readonly Service[]): Pick<Derived, "services" | "withheld"> {
  const named = services.map((service) => ({
    ...service,
    vips: service.vips.filter((vip) => isNamed(service, vip)),
  }));
  const withheld: Withheld[] = [];
  const served: Service[] = [];
  for (const service of services) {
    const conflicts = conflictsOf(service, [...named, ...served]).filter(({ vip }) => !isNamed(service, vip));
    for (const { vip, service: by } of conflicts) withheld.push({ service: service.id, vip, by });
    const vips = service.vips.filter((vip) => !conflicts.some((conflict) => conflict.vip === vip));
    served.push(vips.length === service.vips.length ? service : { ...service, vips });
  }
  return { services: served, withheld };
}

function isNamed({ id, protocol, port }: Service, vip: Address): boolean {
  return serviceIdOf(protocol, vip, port) === id;
}

function listOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
