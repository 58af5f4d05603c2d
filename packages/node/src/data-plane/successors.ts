// While a daemon is dead its data plane sends newcomers to the VIP's successor: over which interface, to
// which MAC.
import type { MemberConfiguration } from "@holdfast/coordinator";
import type { Address, MemberName } from "@holdfast/model";
import { networkOfVip, type Topology } from "../cluster/topology.ts";
import type { DataPlane } from "./data-plane.ts";

export interface Hop {
  readonly interfaceIndex: number;
  readonly mac: Uint8Array;
}

export class SuccessorHops {
  readonly #dataPlane: Pick<DataPlane, "nextHop">;
  readonly #members: () => readonly MemberConfiguration[];
  readonly #topology: Topology;
  readonly #given = new Map<string, { member: MemberName; vip: Address; text: string }>();

  constructor(
    dataPlane: Pick<DataPlane, "nextHop">,
    members: () => readonly MemberConfiguration[],
    topology: Topology,
  ) {
    this.#dataPlane = dataPlane;
    this.#members = members;
    this.#topology = topology;
  }

  /**
   * On the VIP's own network when the successor can be reached there, else on any but the cluster's, else on
   * any.
   */
  towards(member: MemberName, vip: Address): Hop | undefined {
    const hop = this.#resolve(member, vip);
    this.#given.set(`${member} ${vip}`, { member, vip, text: textOf(hop) });
    return hop;
  }

  /** true: one that was given out would be another now. */
  changed(): boolean {
    for (const { member, vip, text } of this.#given.values())
      if (textOf(this.#resolve(member, vip)) !== text) return true;
    return false;
  }

  #resolve(member: MemberName, vip: Address): Hop | undefined {
    const vipNetwork = networkOfVip(vip, this.#topology);
    const serving = new Set(
      this.#topology.interfaces
        .filter(({ roles }) => roles.includes("path") || roles.includes("core"))
        .map(({ network }) => network),
    );
    const rank = (network: string) => (network === vipNetwork ? 0 : serving.has(network) ? 1 : 2);
    const addresses = this.#members().find(({ name }) => name === member)?.addresses ?? [];
    for (const { address } of [...addresses].sort((a, b) => rank(a.network) - rank(b.network))) {
      const hop = this.#dataPlane.nextHop(address);
      if (hop !== undefined) return hop;
    }
    return undefined;
  }
}

function textOf(hop: Hop | undefined): string {
  return hop === undefined ? "none" : `${hop.interfaceIndex} ${Buffer.from(hop.mac).toString("hex")}`;
}
