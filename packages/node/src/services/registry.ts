// The rules of services: what may be created, replaced, removed, by whom. Stands between every way in (file, API,
// LoxiLB's API) and the store.
import type { ServiceSpec } from "@holdfast/api";
import {
  type Address,
  type AddressBook,
  EMPTY_ADDRESS_BOOK,
  HoldfastError,
  type Service,
  type ServiceId,
  serviceProblem,
} from "@holdfast/model";
import { endpointKey, parseEndpointKey, revisionOf, serviceOf } from "./specification.ts";
import { type ConfigurationStore, SERVICE_COUNT_MAX } from "./store.ts";

export interface ServiceRegistry {
  list(): readonly Service[];
  /** By id, or by name when exactly one service has it. Throws SERVICE_NOT_FOUND. */
  find(idOrName: string): Service;
  isFromFile(id: ServiceId): boolean;
  /** Idempotent. Throws SERVICE_EXISTS for a different one of the same id, SERVICE_VIP_TAKEN, SERVICE_INVALID. */
  create(spec: ServiceSpec): { readonly service: Service; readonly created: boolean };
  /** The id must stay: primary and port. `revision`: only when it is still that one (SERVICE_CHANGED). */
  replace(idOrName: string, spec: ServiceSpec, revision?: RevisionCheck): Service;
  /** Creates or replaces, whichever it takes. */
  put(spec: ServiceSpec): Service;
  remove(idOrName: string, revision?: RevisionCheck): Service;
  setEndpointState(idOrName: string, endpoint: string, state: "active" | "drain"): Service;
  removeEndpoint(idOrName: string, endpoint: string): Service;
  /**
   * Makes the services of the configuration file so: creates, replaces, and removes those that an earlier call had
   * and this one has not. An endpoint that was drained meanwhile stays drained.
   */
  applyFile(specs: readonly ServiceSpec[], options?: { readonly starting?: boolean }): void;
}

/** true when a revision is acceptable: `If-Match` lists several, or any. */
export type RevisionCheck = (revision: string) => boolean;

/** `book`: whose addresses are no VIPs. */
export function createServiceRegistry(
  store: ConfigurationStore,
  memberName: string,
  book: AddressBook = EMPTY_ADDRESS_BOOK,
): ServiceRegistry {
  let fromFile: ReadonlySet<ServiceId> = new Set();
  /** The file is taken in at a start: its VIPs that are somebody's address are not served, which is no reason to stay away. */
  let starting = false;

  function find(idOrName: string): Service {
    const byId = store.service(idOrName);
    if (byId !== undefined) return byId;
    const [first, second] = store.services().filter((service) => service.name === idOrName);
    if (first === undefined || second !== undefined)
      throw new HoldfastError("SERVICE_NOT_FOUND", { service: idOrName });
    return first;
  }

  function checkVips(service: Service): void {
    for (const other of store.services()) {
      if (other.id === service.id || other.port !== service.port) continue;
      const vip = service.vips.find((v) => other.vips.includes(v));
      if (vip !== undefined)
        throw new HoldfastError("SERVICE_VIP_TAKEN", { vip, port: service.port, service: other.id });
    }
    // A VIP that is in force already is not asked about again: who has its address since is no fault of this change.
    const known = new Set(store.services().flatMap(({ vips }) => vips));
    const holderOf = (vip: Address) => (known.has(vip) || starting ? undefined : book.holderOf(vip));
    const problem = serviceProblem(service, store.services(), { holderOf });
    if (problem !== undefined) throw problem;
  }

  function checkWritable(service: Service): void {
    if (fromFile.has(service.id))
      throw new HoldfastError("SERVICE_FROM_FILE", { service: service.id, member: memberName });
  }

  function checkRevision(service: Service, revision: RevisionCheck | undefined): void {
    if (revision !== undefined && !revision(revisionOf(service)))
      throw new HoldfastError("SERVICE_CHANGED", { service: service.id });
  }

  function put(service: Service): Service {
    const before = store.service(service.id);
    if (before !== undefined && revisionOf(before) === revisionOf(service)) return before;
    checkVips(service);
    if (before === undefined && store.services().length >= SERVICE_COUNT_MAX)
      throw new HoldfastError("SERVICE_COUNT_EXCEEDED", { limit: SERVICE_COUNT_MAX });
    store.putService(service);
    return service;
  }

  function endpointIndex(service: Service, endpoint: string): number {
    const wanted = parseEndpointKey(endpoint);
    const matches = service.endpoints
      .map((e, index) => ({ e, index }))
      .filter(
        ({ e }) =>
          wanted !== undefined &&
          e.address === wanted.address &&
          (wanted.port === undefined || e.port === wanted.port),
      );
    const [only] = matches;
    if (only === undefined || matches.length > 1)
      throw new HoldfastError("ENDPOINT_NOT_FOUND", { service: service.id, endpoint });
    return only.index;
  }

  return {
    list: () => store.services(),
    find,
    isFromFile: (id) => fromFile.has(id),
    create(spec) {
      const service = serviceOf(spec);
      const before = store.service(service.id);
      if (before !== undefined && revisionOf(before) !== revisionOf(service))
        throw new HoldfastError("SERVICE_EXISTS", { service: service.id });
      return { service: put(service), created: before === undefined };
    },
    replace(idOrName, spec, revision) {
      const before = find(idOrName);
      checkWritable(before);
      checkRevision(before, revision);
      const service = serviceOf(spec);
      if (service.id !== before.id)
        throw new HoldfastError("SERVICE_INVALID", {
          reason: `primary VIP and port make the id, and ${before.id} would become ${service.id}`,
        });
      return put(service);
    },
    put(spec) {
      const service = serviceOf(spec);
      const before = store.service(service.id);
      if (before !== undefined && revisionOf(before) !== revisionOf(service)) checkWritable(before);
      return put(service);
    },
    remove(idOrName, revision) {
      const service = find(idOrName);
      checkWritable(service);
      checkRevision(service, revision);
      store.deleteService(service.id);
      return service;
    },
    setEndpointState(idOrName, endpoint, state) {
      const service = find(idOrName);
      const at = endpointIndex(service, endpoint);
      const endpoints = service.endpoints.map((e, index) => (index === at ? { ...e, state } : e));
      return put({ ...service, endpoints });
    },
    removeEndpoint(idOrName, endpoint) {
      const service = find(idOrName);
      checkWritable(service);
      const at = endpointIndex(service, endpoint);
      return put({ ...service, endpoints: service.endpoints.filter((_, index) => index !== at) });
    },
    applyFile(specs, options = {}) {
      starting = options.starting === true;
      try {
        apply(specs);
      } finally {
        starting = false;
      }
    },
  };

  function apply(specs: readonly ServiceSpec[]): void {
    const services = specs.map(serviceOf);
    const ids = new Set(services.map((service) => service.id));
    for (const id of fromFile) if (!ids.has(id)) store.deleteService(id);
    fromFile = ids;
    for (const service of services) {
      const before = store.service(service.id);
      const drained = new Set(
        before?.endpoints.filter((e) => e.state === "drain").map((e) => endpointKey(e.address, e.port)),
      );
      put({
        ...service,
        endpoints: service.endpoints.map((e) =>
          drained.has(endpointKey(e.address, e.port)) ? { ...e, state: "drain" } : e,
        ),
      });
    }
  }
}
