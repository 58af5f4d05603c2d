// What an operator orders of the list of members.
import type { MemberListView, MemberSpec } from "@holdfast/api";
import type { Coordinator } from "@holdfast/coordinator";
import type { MemberName, Members } from "@holdfast/model";
import type { Topology } from "../cluster/topology.ts";
import type { Configuration } from "../config/schema.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import type { ConfigurationStore } from "../services/store.ts";
import type { Farewells, MembersKeeper } from "./keeper.ts";
import { listedMemberOf } from "./spec.ts";

export interface MembershipOrders {
  /** The list's version, and numbers that rest. */
  state(): Omit<MemberListView, "items">;
  /** Resolves when the member is on the list. Errors: see MembersKeeper and `listedMemberOf`. */
  add(spec: MemberSpec): Promise<void>;
  remove(name: MemberName, options: { readonly gone: boolean }): Promise<void>;
}

export function membershipOrders(
  keeper: Pick<MembersKeeper, "add" | "remove" | "resting">,
  members: Members,
  configuration: Configuration,
  registry: Pick<ServiceRegistry, "list">,
  topology: Pick<Topology, "interfaces">,
): MembershipOrders {
  return {
    state: () => ({
      version: members.current().version,
      resting: keeper
        .resting()
        .map(({ number, name, waitMs }) => ({ number, name, waitS: Math.ceil(waitMs / 1_000) })),
    }),
    async add(spec) {
      const services = registry.list();
      const networks = topology.interfaces.map(({ network }) => network);
      const context = { configuration, list: members.current(), services, networks };
      await keeper.add(listedMemberOf(spec, context));
    },
    remove: async (name, options) => void (await keeper.remove(name, options)),
  };
}

export function farewellsOf(
  store: Pick<ConfigurationStore, "setMemberDrained" | "drainedMembers">,
  coordinator: Pick<Coordinator, "view">,
): Farewells {
  return {
    // Also of one that is no member any longer: the drain is taken back when it has left.
    setDrained: (name, drained) => store.setMemberDrained(name, drained),
    isDrained: (name) => store.drainedMembers().has(name),
    announces: (name) =>
      coordinator.view().members.find((member) => member.name === name)?.claims.length ?? 0,
  };
}
