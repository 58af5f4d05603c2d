// The services of a member's configuration file, as one source beside the API and LoxiLB's: what the file
// says now is compared with what it said last, and only the difference is applied to what is there. So a file
// never takes back what others did since, a member that comes with an old file imposes nothing, and nobody
// removes what the file did not make.
import { createHash } from "node:crypto";
import {
  type Address,
  type Endpoint,
  type FileImage,
  type MemberName,
  placedVips,
  type Service,
  type ServiceId,
  serviceIdOf,
} from "@holdfast/model";
import { endpointKey, stable } from "./specification.ts";

/**
 * Fields that are compared one by one. New ones at the end: members remember a digest of each, in this order.
 */
export const FIELDS = [
  "name",
  "selection",
  "idleTimeoutS",
  "restartNewAddresses",
  "clientPrefixes",
  "withdrawWhenDown",
  "endpointRemoval",
  "healthCheck",
  "natPort",
  "endpointsMayBegin",
  "peers",
  "announce",
  "idle",
  "replicate",
  "replicateAfterMs",
  "allowedSources",
  "proxyProtocol",
  "stateless",
  "sourceAddresses",
] as const satisfies readonly (keyof Service)[];

/**
 * The file's services under the ids that they have in the cluster: a service keeps the id of the VIP that it
 * began with, whatever order its VIPs are written in. What the file had before is known by any VIP that
 * stays, what others made by the same VIPs.
 */
export function withKnownIds(
  services: readonly Service[],
  base: ReadonlyMap<ServiceId, FileImage> | undefined,
  current: (id: ServiceId) => Service | undefined,
): readonly Service[] {
  const own = new Set(services.map(({ id }) => id));
  return services.map((service) => {
    if (base?.has(service.id) === true || current(service.id) !== undefined) return service;
    const named = service.vips.find((vip) => {
      const id = serviceIdOf(service.protocol, vip, service.port);
      if (own.has(id)) return false;
      return base?.has(id) === true || sameVips(current(id), service);
    });
    return named === undefined ? service : namedAfter(service, named);
  });
}

export function sameVips(one: Service | undefined, other: Service): boolean {
  return (
    one !== undefined &&
    one.protocol === other.protocol &&
    one.port === other.port &&
    one.vips.length === other.vips.length &&
    one.vips.every((vip) => other.vips.includes(vip))
  );
}

/** The same service with another of its VIPs first. */
export function namedAfter(service: Service, vip: Address): Service {
  const id = serviceIdOf(service.protocol, vip, service.port);
  const name = service.name === service.id ? id : service.name;
  return { ...service, id, name, vips: [vip, ...service.vips.filter((other) => other !== vip)] };
}

export interface FilePlan {
  /** Services as they shall be. */
  readonly put: readonly Service[];
  /** Services that no file has any more, and that a file made. */
  readonly remove: readonly Service[];
  /** The memory. */
  readonly remember: ReadonlyMap<ServiceId, FileImage>;
  readonly forget: readonly ServiceId[];
  /** This member's first word: it gives way to whatever was said elsewhere. */
  readonly isFirst: boolean;
  /**
   * Services whose text differs from what is there and was not applied: the file never said anything else.
   */
  readonly ignored: readonly ServiceId[];
  /** Services that this file lets go and that stay, with the reason. */
  readonly held: ReadonlyMap<ServiceId, string>;
}

export interface FileInput {
  readonly services: readonly Service[];
  /** What this file said last; undefined: nothing was ever applied. */
  readonly base: ReadonlyMap<ServiceId, FileImage> | undefined;
  readonly current: (id: ServiceId) => Service | undefined;
  readonly isDeleted: (id: ServiceId) => boolean;
  /** Other members whose files have it. */
  readonly othersWith: (id: ServiceId) => readonly MemberName[];
  readonly source: string;
}

export function planFile(input: FileInput): FilePlan {
  const { base, current, source } = input;
  const services = withKnownIds(input.services, base, current);
  const put: Service[] = [];
  const ignored: ServiceId[] = [];
  for (const next of services) {
    const before = base?.get(next.id);
    const now = current(next.id);
    if (base === undefined) {
      // Nobody knows what this file said before: it may be older than what is there, or than a deletion.
      if (now === undefined && !input.isDeleted(next.id)) put.push({ ...next, managedBy: source });
      else if (now === undefined || differs(next, now)) ignored.push(next.id);
    } else if (before === undefined || !same(before, imageOf(next))) {
      put.push(now === undefined ? { ...next, managedBy: source } : merged(before, next, now));
    }
  }
  const listed = new Set(services.map(({ id }) => id));
  const gone = [...(base?.keys() ?? [])].filter((id) => !listed.has(id));
  const held = new Map<ServiceId, string>();
  const remove: Service[] = [];
  for (const id of gone) {
    const now = current(id);
    const others = input.othersWith(id);
    if (now === undefined) continue;
    if (others.length > 0) held.set(id, `the files of ${others.join(", ")} have it`);
    else if (now.managedBy?.startsWith("file@") !== true) held.set(id, "no file made it");
    else remove.push(now);
  }
  const images = services.map((next) => [next.id, imageOf(next)] as const);
  const remember = new Map(images.filter(([id, image]) => !same(base?.get(id), image)));
  return { put, remove, remember, forget: gone, isFirst: base === undefined, ignored, held };
}

/** What the file changed, applied to what is there. */
function merged(before: FileImage | undefined, next: Service, now: Service): Service {
  const changed = <Name extends (typeof FIELDS)[number]>(name: Name): Pick<Service, Name> => {
    const from =
      before !== undefined && fieldOf(before, name) === digest(next[name], FIELD_DIGITS) ? now : next;
    return name in from ? ({ [name]: from[name] } as Pick<Service, Name>) : ({} as Pick<Service, Name>);
  };
  const added = next.vips.filter((vip) => before?.vips.includes(vip) !== true);
  const dropped = before?.vips.filter((vip) => !next.vips.includes(vip)) ?? [];
  const kept = now.vips.filter((vip) => !dropped.includes(vip));
  const wanted = [...kept, ...added.filter((vip) => !kept.includes(vip))];
  // A field that is gone from the file is gone.
  const others = Object.entries(now).filter(([name]) => !(FIELDS as readonly string[]).includes(name));
  return {
    ...(Object.fromEntries(others) as unknown as Service),
    ...Object.assign({}, ...FIELDS.map(changed)),
    vips: placedVips(now.vips, wanted),
    endpoints: mergedEndpoints(before, next, now),
  };
}

function mergedEndpoints(before: FileImage | undefined, next: Service, now: Service): readonly Endpoint[] {
  const keyed = (endpoints: readonly Endpoint[]) =>
    new Map(endpoints.map((endpoint) => [endpointKey(endpoint.address, endpoint.port), endpoint]));
  const [wanted, there, left] = [keyed(next.endpoints), keyed(now.endpoints), keyed(now.leaving ?? [])];
  const was = before?.endpoints ?? [];
  for (const [key, endpoint] of there)
    if (!wanted.has(key) && was.some((image) => image.startsWith(nameImage(endpoint)))) there.delete(key);
  for (const [key, endpoint] of wanted) {
    if (was.includes(endpointImage(endpoint))) continue;
    // What an operator drained stays drained, unless it is the file that takes it back.
    const wasDrained = was.includes(endpointImage({ ...endpoint, state: "drain" }));
    const isDrained = (there.get(key) ?? left.get(key))?.state === "drain" && !wasDrained;
    there.set(key, isDrained ? { ...endpoint, state: "drain" } : endpoint);
  }
  return [...there.values()];
}

const FIELD_DIGITS = 4;
const NAME_DIGITS = 8;
const ENDPOINT_DIGITS = 6;

function imageOf(service: Service): FileImage {
  return {
    fields: FIELDS.map((name) => digest(service[name], FIELD_DIGITS)).join(""),
    vips: service.vips,
    endpoints: service.endpoints.map(endpointImage),
  };
}

/** A field that this version knows and the one that wrote the image did not was absent. */
function fieldOf({ fields }: FileImage, name: (typeof FIELDS)[number]): string {
  const at = FIELDS.indexOf(name) * FIELD_DIGITS;
  return fields.slice(at, at + FIELD_DIGITS) || digest(undefined, FIELD_DIGITS);
}

function nameImage({ address, port }: Endpoint): string {
  return digest([address, port], NAME_DIGITS);
}

function endpointImage(endpoint: Endpoint): string {
  return nameImage(endpoint) + digest(endpoint, ENDPOINT_DIGITS);
}

function digest(value: unknown, digits: number): string {
  return createHash("sha256")
    .update(stable(value) ?? "")
    .digest("hex")
    .slice(0, digits);
}

/** Whether the file says something else than what is there; what it does not speak of aside. */
function differs(next: Service, now: Service): boolean {
  const plain = ({ leaving: _, removal: __, managedBy: ___, ...service }: Service) => ({
    ...service,
    vips: [...service.vips].sort(),
    endpoints: [...service.endpoints]
      .map(({ state: _state, ...endpoint }) => endpoint)
      .sort((a, b) => (endpointKey(a.address, a.port) < endpointKey(b.address, b.port) ? -1 : 1)),
  });
  return !same(plain(next), plain(now));
}

/** Equal whatever order their fields stand in. */
export function same(a: unknown, b: unknown): boolean {
  return stable(a) === stable(b);
}
