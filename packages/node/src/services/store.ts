// Where services, member drains and pins are kept. One member keeps them in the process; a cluster in the replicated
// configuration document. The store converges; rules about what may be stored are the registry's.
import type { Address, MemberName, Service, ServiceId } from "@holdfast/model";

export type Note = Readonly<Record<string, unknown>>;

export interface ConfigurationStore {
  services(): readonly Service[];
  service(id: ServiceId): Service | undefined;
  /** Creates or replaces. */
  putService(service: Service): void;
  deleteService(id: ServiceId): void;
  /** Members that an operator drains. */
  drainedMembers(): ReadonlySet<MemberName>;
  setMemberDrained(member: MemberName, drained: boolean): void;
  /** VIP → member that an operator pinned it to. */
  pins(): ReadonlyMap<Address, MemberName>;
  setPin(vip: Address, member: MemberName | undefined): void;
  /** What a way in (LoxiLB's API) wants all members to know of a service beyond the service: small JSON objects. */
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
  const drained = new Set<MemberName>();
  const pins = new Map<Address, MemberName>();
  const notes = new Map<string, Note>();
  const listeners = new Set<() => void>();
  const changed = () => {
    for (const listener of [...listeners]) listener();
  };
  return {
    services: () => [...services.values()],
    service: (id) => services.get(id),
    putService(service) {
      services.set(service.id, service);
      changed();
    },
    deleteService(id) {
      if (services.delete(id)) changed();
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
