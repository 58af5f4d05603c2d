// The interfaces that this member works on: what is configured, and what the system says about them now.

import type { Link } from "@holdfast/forwarder";
import { isPattern, patternOf } from "@holdfast/forwarder/interface-patterns";
import type { Address } from "@holdfast/model";
import { type Prefix, parsePrefix } from "@holdfast/model";
import type { Configuration, InterfaceRole } from "../config/schema.ts";

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

/**
 * The configured interfaces, a pattern as all of `names` that fit and that no entry before it has; without
 * any, every one of `names`, as path and core.
 */
export function workingInterfaces(
  configuration: Configuration,
  names: readonly string[],
): readonly WorkingInterface[] {
  if (configuration.interfaces.length === 0)
    return names.map((name) => ({ name, roles: ["path", "core"], network: name, vipPrefixes: undefined }));
  // Whoever has a name of its own is meant by it, wherever the pattern stands.
  const taken = new Set(configuration.interfaces.map(({ name }) => name));
  return configuration.interfaces.flatMap(({ name, role, network, vips }) => {
    const fitting = isPattern(name)
      ? names.filter((each) => patternOf(name).test(each) && !taken.has(each))
      : [name];
    for (const each of fitting) taken.add(each);
    return fitting.map((each) => ({
      name: each,
      roles: [role].flat(),
      network: network ?? each,
      vipPrefixes: vips?.map(parsePrefix).filter((prefix) => prefix !== undefined),
    }));
  });
}

/**
 * What the fast path is told: names and patterns of the interfaces of any of the roles; empty: every usable
 * one.
 */
export function wantedInterfaces(
  { interfaces }: Configuration,
  ...roles: readonly InterfaceRole[]
): readonly string[] {
  return interfaces
    .filter(({ role }) => [role].flat().some((each) => roles.includes(each)))
    .map(({ name }) => name);
}

/** Interfaces on which clients and endpoints are met. */
export function servingInterfaces(interfaces: readonly WorkingInterface[]): readonly WorkingInterface[] {
  return interfaces.filter(({ roles }) => roles.includes("path") || roles.includes("core"));
}

/** Tunnels of a CNI, and devices that lead nowhere. */
const NO_WAY_OUT: ReadonlySet<string> = new Set([
  ...["vxlan", "geneve", "ipip", "ip6tnl", "sit", "gre", "gretap", "ip6gre", "ip6gretap"],
  ...["wireguard", "dummy", "ifb", "nlmon"],
]);
/** What the other end of a bridge's port is when it is a pod or a guest. */
const GUESTS: ReadonlySet<string> = new Set(["veth", "tun"]);

/**
 * Whether an interface is the node's own, and not its pods'. With a loop, pods' packets go through the host's
 * stack in both directions; a program on their interfaces would hide one of them from it. `addresses`: of the
 * interface; `ports`: of the bridge that it is.
 */
export function isNodesOwn(
  link: Pick<Link, "kind">,
  addresses: readonly Address[],
  ports: readonly Pick<Link, "kind">[],
): boolean {
  if (NO_WAY_OUT.has(link.kind ?? "")) return false;
  // A pod's end has none of the host's, or what answers for its gateway.
  if (!addresses.some((address) => !/^(fe80:|169\.254\.)/.test(address))) return false;
  return link.kind !== "bridge" || ports.some(({ kind }) => !GUESTS.has(kind ?? ""));
}
