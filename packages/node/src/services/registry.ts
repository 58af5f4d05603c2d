// The rules of services: what may be created, replaced, removed, by whom. Stands between every way in (file,
// API, LoxiLB's API) and the store. Every change is one transaction.
import type { ServiceSpec } from "@holdfast/api";
import {
  type Address,
  type AddressBook,
  type Clock,
  type ConfigurationChange,
  EMPTY_ADDRESS_BOOK,
  HoldfastError,
  type MemberName,
  placedVips,
  type Service,
  type ServiceId,
  serviceIdOf,
  systemClock,
} from "@holdfast/model";
import { capabilitiesOf } from "@holdfast/sync";
import { namedAfter, planFile, same, sameVips } from "./file-source.ts";
import { type Farewell, replaced } from "./removal.ts";
import { checkServices } from "./rules.ts";
import { endpointRemovalOf, parseEndpointKey, revisionOf, serviceOf } from "./specification.ts";
import type { ConfigurationStore } from "./store.ts";

export interface ServiceRegistry {
  /** Also those that were deleted and have their grace. */
  list(): readonly Service[];
  /** By id, or by name when exactly one service has it. Throws SERVICE_NOT_FOUND. */
  find(idOrName: string): Service;
  isFromFile(id: ServiceId): boolean;
  /** "api", "loxilb", or "file@" with the members whose files have it. */
  managerOf(service: Service): string;
  /** Secondary VIPs that other services have got. */
  withheldOf(id: ServiceId): readonly { readonly vip: Address; readonly by: ServiceId }[];
  /**
   * Idempotent. Throws SERVICE_EXISTS for a different one of the same id, SERVICE_VIP_TAKEN, SERVICE_INVALID.
   */
  create(spec: ServiceSpec): { readonly service: Service; readonly created: boolean };
  /**
   * The VIP that the id names and the port must stay. `revision`: only when it is still that one
   * (SERVICE_CHANGED). `farewell`: what endpoints that are left out do, instead of what their service says.
   */
  replace(idOrName: string, spec: ServiceSpec, options?: ChangeOptions): Service;
  /** Creates or replaces, whichever it takes. What was deleted and had its grace is back. */
  put(spec: ServiceSpec, by?: string): Service;
  /** Gone at once, or drained for its grace: then `service.removal` says so. */
  remove(idOrName: string, options?: ChangeOptions): Service;
  /**
   * Deleted by somebody who may mean to change it: served as before until the grace has passed, or it is put
   * again.
   */
  retire(id: ServiceId, graceMs: number): void;
  setEndpointState(idOrName: string, endpoint: string, state: "active" | "drain"): Service;
  removeEndpoint(idOrName: string, endpoint: string, options?: ChangeOptions): Service;
  /** Applies what the configuration file changed since it was applied last, whole or not at all. */
  applyFile(specs: readonly ServiceSpec[], options?: FileOptions): FileOutcome;
}

export interface ChangeOptions {
  readonly revision?: RevisionCheck | undefined;
  readonly farewell?: Farewell | undefined;
}

/** true when a revision is acceptable: `If-Match` lists several, or any. */
export type RevisionCheck = (revision: string) => boolean;

export interface RemovedService {
  /** Id or name. */
  readonly service: string;
  readonly sessions: Farewell;
}

export interface FileOptions {
  /** The operator's word about services that the file has no more. */
  readonly removed?: readonly RemovedService[];
  /**
   * At a start nothing is a reason to stay away: removals without that word are left undone, not refused with
   * SERVICE_REMOVAL_UNCONFIRMED, and VIPs that are somebody's address are taken in, though not served.
   */
  readonly starting?: boolean;
}

export interface FileOutcome {
  readonly put: readonly ServiceId[];
  readonly removed: readonly ServiceId[];
  /** Not applied: the file differs from what is there, and never said anything else. */
  readonly ignored: readonly ServiceId[];
  /** No longer in this file, and still there. */
  readonly kept: readonly { readonly service: ServiceId; readonly because: string }[];
}

/** Living associations, as this member knows them. */
export interface LivingSessions {
  ofService(id: ServiceId): number;
  ofEndpoint(id: ServiceId, endpoint: string): number;
  /** This member knows what the others know. */
  isComplete(): boolean;
}

export interface RegistryOptions {
  readonly sessions?: LivingSessions;
  readonly clock?: Pick<Clock, "wallMs">;
  /** All members of the cluster as they are now: whose files count. */
  readonly members?: () => readonly MemberName[];
  /** A member that is known to lack a capability; undefined: nobody is. */
  readonly lacking?: (capability: string) => MemberName | undefined;
}

const NO_SESSIONS: LivingSessions = { ofService: () => 0, ofEndpoint: () => 0, isComplete: () => true };

/** A member that cannot would carry such a service, and answer nobody on the VIPs that it owns. */
function servedByAll(change: ConfigurationChange, lacking: RegistryOptions["lacking"]): ConfigurationChange {
  for (const service of change.put ?? [])
    for (const capability of capabilitiesOf(service)) {
      const member = lacking?.(capability);
      if (member !== undefined)
        throw new HoldfastError("SERVICE_NEEDS_UPGRADE", { service: service.id, capability, member });
    }
  return change;
}

/** `book`: whose addresses are no VIPs. */
export function createServiceRegistry(
  store: ConfigurationStore,
  memberName: MemberName,
  book: AddressBook = EMPTY_ADDRESS_BOOK,
  options: RegistryOptions = {},
): ServiceRegistry {
  const { sessions = NO_SESSIONS, clock = systemClock, members = () => [memberName] } = options;
  const others = () => members().filter((member) => member !== memberName);
  const nowMs = () => Math.round(clock.wallMs());
  const isFromFile = (id: ServiceId) => store.fileOf(memberName)?.has(id) === true;
  const hasSessions = (id: ServiceId) => !sessions.isComplete() || sessions.ofService(id) > 0;

  function find(idOrName: string): Service {
    const byId = store.service(idOrName);
    if (byId !== undefined) return byId;
    const [first, second] = store.services().filter((service) => service.name === idOrName);
    if (first === undefined || second !== undefined)
      throw new HoldfastError("SERVICE_NOT_FOUND", { service: idOrName });
    return first;
  }

  function checkWritable(service: Service): void {
    if (isFromFile(service.id))
      throw new HoldfastError("SERVICE_FROM_FILE", { service: service.id, member: memberName });
  }

  function checkRevision(service: Service, revision: RevisionCheck | undefined): void {
    if (revision !== undefined && !revision(revisionOf(service)))
      throw new HoldfastError("SERVICE_CHANGED", { service: service.id });
  }

  function commit(change: ConfigurationChange, isStarting = false): void {
    // A VIP that is in force already is not asked about again: who has its address since is no fault of this
    // change. At a start it is not served, which is no reason to stay away.
    const known = new Set(
      store.services().flatMap(({ vips, sourceAddresses = [] }) => [...vips, ...sourceAddresses]),
    );
    const holderOf = (vip: Address) => (known.has(vip) || isStarting ? undefined : book.holderOf(vip));
    checkServices(store.services(), change.put ?? [], change.remove ?? [], { holderOf });
    store.commit(servedByAll(change, options.lacking));
  }

  /** One service in place of what is there. */
  function put(next: Service, farewell?: Farewell): Service {
    const before = store.service(next.id);
    const vips = before === undefined ? next.vips : placedVips(before.vips, next.vips);
    const managedBy = before?.managedBy ?? next.managedBy;
    const service = replaced(
      before,
      { ...next, vips, ...(managedBy !== undefined && { managedBy }) },
      { nowMs: nowMs(), ...(farewell !== undefined && { farewell }) },
    );
    if (before !== undefined && same(before, service)) return before;
    commit({ put: [service] });
    return service;
  }

  /** The service that a specification means: the one that is there with the same VIPs, in whatever order. */
  function known(service: Service): Service {
    if (store.service(service.id) !== undefined) return service;
    const found = store.services().find((other) => sameVips(other, service));
    return found === undefined ? service : namedAfter(service, found.vips[0] as Address);
  }

  /** As an edit of `before`: the VIP that gave it its id must still be there. */
  function editOf(before: Service, service: Service): Service {
    if (service.id === before.id) return service;
    const named = service.vips.find((vip) => serviceIdOf(service.protocol, vip, service.port) === before.id);
    if (named !== undefined) return namedAfter(service, named);
    throw new HoldfastError("SERVICE_INVALID", {
      reason: `the VIP and port that ${before.id} is named after are not among its own: it would become ${service.id}`,
    });
  }

  /** Without living associations a service goes at once; with some, when the operator says so. */
  function farewellTo(service: Service, farewell: Farewell | undefined): Service | undefined {
    if (farewell === "end" || (!hasSessions(service.id) && service.removal === undefined)) return undefined;
    if (service.removal?.mode === "drain") return service;
    const graceMs = endpointRemovalOf(service).graceS * 1000;
    return { ...service, removal: { mode: "drain", sinceMs: nowMs(), graceMs } };
  }

  function remove(service: Service, farewell: Farewell | undefined): Service {
    const drained = farewellTo(service, farewell);
    if (drained === undefined) commit({ remove: [service.id] });
    else if (drained !== service) commit({ put: [drained] });
    return drained ?? service;
  }

  return {
    list: () => store.services(),
    find,
    isFromFile,
    managerOf(service) {
      const files = members().filter((member) => store.fileOf(member)?.has(service.id) === true);
      return files.length > 0 ? `file@${files.join(",")}` : (service.managedBy ?? "api");
    },
    withheldOf: (id) =>
      store
        .withheld()
        .filter((each) => each.service === id)
        .map(({ vip, by }) => ({ vip, by })),
    create(spec) {
      const service = known(serviceOf(spec));
      const before = store.service(service.id);
      if (before !== undefined) {
        const placed = { ...service, vips: placedVips(before.vips, service.vips) };
        if (revisionOf(before) !== revisionOf(placed))
          throw new HoldfastError("SERVICE_EXISTS", { service: service.id });
      }
      return { service: put({ ...service, managedBy: "api" }), created: before === undefined };
    },
    replace(idOrName, spec, { revision, farewell } = {}) {
      const before = find(idOrName);
      checkWritable(before);
      checkRevision(before, revision);
      return put(editOf(before, serviceOf(spec)), farewell);
    },
    put(spec, by = "api") {
      const service = serviceOf(spec);
      const before = store.service(service.id);
      if (before !== undefined && revisionOf(before) !== revisionOf(service)) checkWritable(before);
      return put({ ...service, managedBy: by });
    },
    remove(idOrName, { revision, farewell } = {}) {
      const service = find(idOrName);
      checkWritable(service);
      checkRevision(service, revision);
      return remove(service, farewell);
    },
    retire(id, graceMs) {
      const service = find(id);
      checkWritable(service);
      if (service.removal !== undefined) return;
      if (graceMs === 0) commit({ remove: [id] });
      else commit({ put: [{ ...service, removal: { mode: "change", sinceMs: nowMs(), graceMs } }] });
    },
    setEndpointState(idOrName, endpoint, state) {
      const service = find(idOrName);
      const at = endpointIndex(service, endpoint);
      const endpoints = service.endpoints.map((e, index) => (index === at ? { ...e, state } : e));
      const changed = { ...service, endpoints };
      if (!same(changed, service)) commit({ put: [changed] });
      return changed;
    },
    removeEndpoint(idOrName, endpoint, { farewell } = {}) {
      const service = find(idOrName);
      checkWritable(service);
      const at = endpointIndex(service, endpoint);
      return put({ ...service, endpoints: service.endpoints.filter((_, index) => index !== at) }, farewell);
    },
    applyFile(specs, { removed = [], starting = false } = {}) {
      const base = store.fileOf(memberName);
      const plan = planFile({
        services: specs.map(serviceOf),
        base,
        current: (id) => store.service(id),
        isDeleted: (serviceId) => store.isDeleted({ serviceId }),
        othersWith: (id) => others().filter((member) => store.fileOf(member)?.has(id) === true),
        source: `file@${memberName}`,
      });
      const puts = plan.put.map((next) => replaced(store.service(next.id), next, { nowMs: nowMs() }));
      const gone: Service[] = [];
      const kept = [...plan.held].map(([service, because]) => ({ service, because }));
      for (const service of plan.remove) {
        const word = removed.find((each) => each.service === service.id || each.service === service.name);
        const drained = farewellTo(service, word?.sessions);
        if (drained === undefined) gone.push(service);
        else if (word !== undefined || service.removal !== undefined) puts.push(drained);
        else kept.push({ service: service.id, because: "it has living associations" });
      }
      const unspoken = kept.filter(({ service }) => !plan.held.has(service)).map(({ service }) => service);
      if (unspoken.length > 0 && !starting)
        throw new HoldfastError("SERVICE_REMOVAL_UNCONFIRMED", {
          services: unspoken.join(", "),
          count: unspoken.reduce((sum, id) => sum + sessions.ofService(id), 0),
        });
      // What stays for want of a word stays in the memory, too: the next reload asks again.
      const forget = plan.forget.filter((id) => !unspoken.includes(id));
      if (puts.length + gone.length + plan.remember.size + forget.length > 0 || base === undefined)
        commit(
          {
            put: puts,
            remove: gone.map(({ id }) => id),
            file: { member: memberName, put: plan.remember, remove: forget },
            isFirst: plan.isFirst,
          },
          starting,
        );
      return {
        put: puts.map(({ id }) => id),
        removed: gone.map(({ id }) => id),
        ignored: plan.ignored,
        kept,
      };
    },
  };
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
