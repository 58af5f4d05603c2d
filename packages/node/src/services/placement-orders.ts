// What an operator orders of where VIPs are: drains of members, pins of VIPs.
import { type Address, HoldfastError, type Logger, type MemberName, parseAddress } from "@holdfast/model";
import type { EventBus } from "../events/bus.ts";
import type { ServiceRegistry } from "./registry.ts";
import type { ConfigurationStore } from "./store.ts";

export interface PlacementOrders {
  pinOf(vip: Address): MemberName | undefined;
  /** undefined takes the pin back. Throws ADDRESS_INVALID, VIP_NOT_FOUND, MEMBER_NOT_FOUND. */
  setPin(vip: string, member: MemberName | undefined): void;
  /** Throws MEMBER_NOT_FOUND. */
  setMemberDrained(name: MemberName, drained: boolean): void;
}

export interface PlacementParts {
  readonly store: ConfigurationStore;
  readonly registry: Pick<ServiceRegistry, "list">;
  readonly events: Pick<EventBus, "emit">;
  readonly logger: Logger;
  readonly isMember: (name: MemberName) => boolean;
}

export function createPlacementOrders(parts: PlacementParts): PlacementOrders {
  const { store, registry, events, logger } = parts;
  const mustBeMember = (member: MemberName) => {
    if (!parts.isMember(member)) throw new HoldfastError("MEMBER_NOT_FOUND", { member });
  };
  return {
    pinOf: (vip) => store.pins().get(vip),
    setPin(text, member) {
      const vip = parseAddress(text);
      const before = store.pins().get(vip);
      const isServed = registry.list().some(({ vips }) => vips.includes(vip));
      // A pin outlives its VIP's services, as a drain does its member: it can be taken back all the same.
      if (!isServed && (member !== undefined || before === undefined))
        throw new HoldfastError("VIP_NOT_FOUND", { vip });
      if (member !== undefined) mustBeMember(member);
      if (member === before) return;
      store.setPin(vip, member);
      logger.info({ vip, pin: member }, member === undefined ? "VIP is no longer pinned" : "VIP is pinned");
      events.emit({
        type: "ownership",
        vip,
        message:
          member === undefined ? `VIP ${vip} is no longer pinned.` : `VIP ${vip} is pinned to ${member}.`,
      });
    },
    setMemberDrained(name, drained) {
      mustBeMember(name);
      store.setMemberDrained(name, drained);
      logger.info({ peer: name, drained }, drained ? "member drains" : "member takes part again");
      events.emit({
        type: "membership",
        message: `Member ${name} ${drained ? "drains" : "takes part again"}.`,
      });
    },
  };
}
