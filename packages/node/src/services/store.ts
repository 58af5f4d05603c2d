// Where services, member drains and pins are kept. One member keeps them in the process; a cluster in the
// replicated configuration document. The store converges; rules about what may be stored are the registry's.
import type {
  Address,
  ConfigurationChange,
  FileImage,
  MemberName,
  Service,
  ServiceId,
  ServicePlace,
} from "@holdfast/model";

export type Note = Readonly<Record<string, unknown>>;

export interface ConfigurationStore {
  services(): readonly Service[];
  service(id: ServiceId): Service | undefined;
  /** Changes with the content, and with nothing else: equal at all members that agree. */
  version(): string;
  /** It was there and was deleted. What is merely unknown here was not. */
  isDeleted(place: ServicePlace): boolean;
  /** Secondary VIPs that a service does not get, as another one has them: both changes were made at once. */
  withheld(): readonly { readonly service: ServiceId; readonly vip: Address; readonly by: ServiceId }[];
  /** What a member's file said when it was last applied; undefined: it never had one. */
  fileOf(member: MemberName): ReadonlyMap<ServiceId, FileImage> | undefined;
  /** All of it or nothing, here and at every other member. */
  commit(change: ConfigurationChange): void;
  /** Members that an operator drains. */
  drainedMembers(): ReadonlySet<MemberName>;
  setMemberDrained(member: MemberName, drained: boolean): void;
  /** VIP → member that an operator pinned it to. */
  pins(): ReadonlyMap<Address, MemberName>;
  setPin(vip: Address, member: MemberName | undefined): void;
  /**
   * What a way in (LoxiLB's API) wants all members to know of a service beyond the service: small JSON
   * objects.
   */
  notes(): ReadonlyMap<string, Note>;
  setNote(name: string, note: Note | undefined): void;
  /** Called after every change, also those made at other members. */
  subscribe(listener: () => void): () => void;
}

/** Most services of a cluster. */
export const SERVICE_COUNT_MAX = 1024;

/** The store of a single member: gone with the process; the file's services come back with it. */
export function createLocalConfigurationStore(): ConfigurationStore {
  const services = new Map<ServiceId, Service>();
  const places = new Set<string>();
  const files = new Map<MemberName, Map<ServiceId, FileImage>>();
  const drained = new Set<MemberName>();
  const pins = new Map<Address, MemberName>();
  const notes = new Map<string, Note>();
  const listeners = new Set<() => void>();
  let changeCount = 0;
  const changed = () => {
    changeCount++;
    for (const listener of [...listeners]) listener();
  };
  const nameOf = (id: ServiceId, { address, port }: { readonly address: Address; readonly port: number }) =>
    `${id}|${address}|${port}`;
  const remember = ({ member, put, remove }: NonNullable<ConfigurationChange["file"]>) => {
    const file = files.get(member) ?? new Map<ServiceId, FileImage>();
    for (const id of remove) file.delete(id);
    for (const [id, image] of put) file.set(id, image);
    files.set(member, file);
  };
  return {
    services: () => [...services.values()],
    service: (id) => services.get(id),
    version: () => String(changeCount),
    isDeleted({ serviceId, endpoint }) {
      const service = services.get(serviceId);
      if (service === undefined) return places.has(serviceId);
      if (endpoint === undefined || !places.has(nameOf(serviceId, endpoint))) return false;
      const here = [...service.endpoints, ...(service.leaving ?? [])];
      return !here.some((e) => e.address === endpoint.address && e.port === endpoint.port);
    },
    withheld: () => [],
    fileOf: (member) => files.get(member),
    commit({ put = [], remove = [], file }) {
      for (const id of remove) services.delete(id);
      for (const service of put) {
        services.set(service.id, service);
        places.add(service.id);
        for (const endpoint of service.endpoints) places.add(nameOf(service.id, endpoint));
      }
      if (file !== undefined) remember(file);
      changed();
    },
    drainedMembers: () => drained,
    setMemberDrained(member, drain) {
      if (drain) drained.add(member);
      else drained.delete(member);
      changed();
    },
    pins: () => pins,
    setPin(vip, member) {
      if (member === undefined) pins.delete(vip);
      else pins.set(vip, member);
      changed();
    },
    notes: () => notes,
    setNote(name, note) {
      if (note === undefined) {
        if (!notes.delete(name)) return;
      } else notes.set(name, note);
      changed();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
