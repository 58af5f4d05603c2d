// The interfaces that this member works on: what is configured, and what the system says about them now.
import type { Address } from "@holdfast/model";
import type { Configuration, InterfaceRole } from "../config/schema.ts";
import { type Prefix, parsePrefix } from "./prefix.ts";

export interface InterfaceAddress {
  readonly address: Address;
  readonly prefix: Prefix;
}

/** An address of the host, on whatever interface. */
export interface HostAddress {
  readonly address: Address;
  readonly prefixLength: number;
  readonly interface: string;
}

/** Where a default route goes. */
export interface HostGateway {
  readonly address: Address;
  readonly interface: string;
}

/** What the system says. An interface that is down, or has no carrier, is not there. */
export interface SystemInterface {
  readonly name: string;
  readonly index: number;
  readonly mac: Uint8Array;
  /** Without link-local ones, which name no host beyond the link. */
  readonly addresses: readonly InterfaceAddress[];
}

/** One interface that the member works on. */
export interface WorkingInterface {
  readonly name: string;
  readonly roles: readonly InterfaceRole[];
  /** Name of the network behind it. */
  readonly network: string;
  /** Prefixes of the VIPs that belong to this network; undefined: its own. */
  readonly vipPrefixes: readonly Prefix[] | undefined;
}

/** The configured interfaces; without any, every one that is up, as path and core. */
export function workingInterfaces(
  configuration: Configuration,
  system: ReadonlyMap<string, SystemInterface>,
): readonly WorkingInterface[] {
  if (configuration.interfaces.length === 0)
    return [...system.keys()].map((name) => ({
      name,
      roles: ["path", "core"],
      network: name,
      vipPrefixes: undefined,
    }));
  return configuration.interfaces.map(({ name, role, network, vips }) => ({
    name,
    roles: [role].flat(),
    network: network ?? name,
    vipPrefixes: vips?.map(parsePrefix).filter((prefix) => prefix !== undefined),
  }));
}

/** Interfaces on which clients and endpoints are met. */
export function servingInterfaces(interfaces: readonly WorkingInterface[]): readonly WorkingInterface[] {
  return interfaces.filter(({ roles }) => roles.includes("path") || roles.includes("core"));
}
