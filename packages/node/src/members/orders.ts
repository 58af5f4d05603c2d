// What an operator orders of the list of members.
import type { MemberListView, MemberSpec } from "@holdfast/api";
import type { Coordinator } from "@holdfast/coordinator";
import { type ListedMember, type MemberName, type Members, parseAddress } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";
import type { ConfigurationStore } from "../services/store.ts";
import type { Farewells, MembersKeeper } from "./keeper.ts";

export interface MembershipOrders {
  /** The list's version, and numbers that rest. */
  state(): Omit<MemberListView, "items">;
  /** Resolves when the member is on the list. Errors: see MembersKeeper. */
  add(spec: MemberSpec): Promise<void>;
  remove(name: MemberName, options: { readonly gone: boolean }): Promise<void>;
}

export function membershipOrders(
  keeper: Pick<MembersKeeper, "add" | "remove" | "resting">,
  members: Members,
  configuration: Configuration,
): MembershipOrders {
  return {
    state: () => ({
      version: members.current().version,
      resting: keeper
        .resting()
        .map(({ number, name, waitMs }) => ({ number, name, waitS: Math.ceil(waitMs / 1_000) })),
    }),
    add: async (spec) => void (await keeper.add(memberOfSpec(spec, configuration))),
    remove: async (name, options) => void (await keeper.remove(name, options)),
  };
}

function memberOfSpec(spec: MemberSpec, { coordinator, replication }: Configuration): ListedMember {
  const { name, number, zone = "", addresses, probePort, replicationPort } = spec;
  return {
    name,
    number,
    ...(zone !== "" && { zone }),
    addresses: addresses.map((entry) =>
      typeof entry === "string"
        ? { address: parseAddress(entry) }
        : { network: entry.network, address: parseAddress(entry.address) },
    ),
    probePort: probePort ?? coordinator.probePort,
    replicationPort: replicationPort ?? replication.port,
  };
}

export function farewellsOf(
  store: Pick<ConfigurationStore, "setMemberDrained">,
  coordinator: Pick<Coordinator, "view">,
): Farewells {
  return {
    // Also of one that is no member any longer: the drain is taken back when it has left.
    setDrained: (name, drained) => store.setMemberDrained(name, drained),
    announces: (name) =>
      coordinator.view().members.find((member) => member.name === name)?.claims.length ?? 0,
  };
}
