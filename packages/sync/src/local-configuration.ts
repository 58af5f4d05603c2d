// A configuration that one member keeps to itself, until the replicated document takes its place.
import type { Address, MemberName, Service, ServiceId } from "@holdfast/model";
import type { SharedConfiguration } from "./sync.ts";

export function createLocalConfiguration(): SharedConfiguration {
  const services = new Map<ServiceId, Service>();
  const drained = new Set<MemberName>();
  const pins = new Map<Address, MemberName>();
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
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
