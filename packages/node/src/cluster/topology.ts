// From the configuration to what the coordinator places VIPs by: members with their addresses by network, and
// the networks of VIPs and endpoints. Pure.
import type { ServicePlacement } from "@holdfast/coordinator";
import { type Address, prefixContains, type Service } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";
import { type SystemInterface, type WorkingInterface, workingInterfaces } from "../network/interfaces.ts";

import type { NetworkWatch } from "../network/watch.ts";

export interface Topology {
  readonly interfaces: readonly WorkingInterface[];
  readonly system: ReadonlyMap<string, SystemInterface>;
}

/** What the system has at any time. */
export function liveTopology(
  configuration: Configuration,
  network: Pick<NetworkWatch, "interfaces" | "usable" | "version">,
): Topology {
  let version = -1;
  let system: ReadonlyMap<string, SystemInterface> = new Map();
  let interfaces: readonly WorkingInterface[] = [];
  /** Had carrier once: without any configured, one that never had is nothing to miss. */
  const seen = new Set<string>();
  const look = () => {
    if (network.version === version) return;
    version = network.version;
    system = network.interfaces();
    const usable = network.usable();
    for (const name of seen) if (!usable.includes(name)) seen.delete(name);
    for (const name of usable) if (system.has(name)) seen.add(name);
    const isOpen = configuration.interfaces.length === 0;
    interfaces = workingInterfaces(configuration, isOpen ? usable.filter((name) => seen.has(name)) : usable);
  };
  return {
    get interfaces() {
      look();
      return interfaces;
    },
    get system() {
      look();
      return system;
    },
  };
}

/** The network of a local interface whose prefix contains the address. */
export function networkOfAddress(address: Address, { interfaces, system }: Topology): string | undefined {
  for (const { name, network } of interfaces)
    if (system.get(name)?.addresses.some(({ prefix }) => prefixContains(prefix, address)) === true)
      return network;
  return undefined;
}

/** The network on which a VIP is announced; undefined: on every one of clients and endpoints. */
export function networkOfVip(vip: Address, { interfaces, system }: Topology): string | undefined {
  const paths = interfaces.filter(({ roles }) => roles.includes("path"));
  for (const { network, vipPrefixes } of paths)
    if (vipPrefixes?.some((prefix) => prefixContains(prefix, vip)) === true) return network;
  for (const { name, network, vipPrefixes } of paths)
    if (
      vipPrefixes === undefined &&
      system.get(name)?.addresses.some(({ prefix }) => prefixContains(prefix, vip)) === true
    )
      return network;
  return paths.length === 1 ? paths[0]?.network : undefined;
}

/**
 * The network of a service's endpoints: the one core network, or the one that contains the first endpoint.
 */
export function endpointsNetwork(service: Service, topology: Topology): string | undefined {
  const cores = topology.interfaces.filter(({ roles }) => roles.includes("core"));
  if (cores.length === 1) return cores[0]?.network;
  const [first] = [...service.endpoints, ...(service.leaving ?? [])];
  if (first === undefined) return undefined;
  const network = networkOfAddress(first.address, topology);
  return cores.some((core) => core.network === network) ? network : undefined;
}

export function placementOf(
  service: Service,
  topology: Topology,
  withdrawn: string | undefined,
): ServicePlacement {
  const network = endpointsNetwork(service, topology);
  return {
    id: service.id,
    vips: service.vips.map((vip) => {
      const vipNetwork = networkOfVip(vip, topology);
      return { vip, ...(vipNetwork !== undefined && { network: vipNetwork }) };
    }),
    ...(network !== undefined && { endpointsNetwork: network }),
    ...(withdrawn !== undefined && { withdrawn }),
  };
}

/** Networks that never carry VIPs. */
export function clusterNetworks(interfaces: readonly WorkingInterface[]): readonly string[] {
  return interfaces
    .filter(({ roles }) => roles.every((role) => role === "cluster"))
    .map(({ network }) => network);
}
