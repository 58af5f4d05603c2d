// The configuration of a simulated member: the product's own schema with its defaults, and the world's addresses.
import { validate } from "@holdfast/api";
import { ENDPOINT_REMOVAL_DEFAULT } from "@holdfast/model";
import { type Configuration, ConfigurationSchema } from "@holdfast/node/testing";
import {
  FORWARDER_LIMITS,
  MEMBER_NUMBER_COUNT,
  memberAddress,
  NETWORKS,
  type Network,
  SERVICES,
  VIP_PREFIXES,
} from "./world.ts";

export const INTERFACES: readonly {
  readonly name: string;
  readonly index: number;
  readonly network: Network;
}[] = [
  { name: "pa", index: 1, network: "path-a" },
  { name: "pb", index: 2, network: "path-b" },
  { name: "co", index: 3, network: "core" },
  { name: "cl", index: 4, network: "cluster" },
];

const ROLES: Readonly<Record<Network, "path" | "core" | "cluster">> = {
  "path-a": "path",
  "path-b": "path",
  core: "core",
  cluster: "cluster",
};

export const memberName = (number: number) => `m${number}`;

let defaults: Configuration | undefined;

/** What a member's file has; `endpoints`: by their numbers, all of them when absent. */
export function fileSpecs(endpoints?: readonly number[]): Configuration["services"] {
  const isListed = (_: unknown, number: number) => endpoints?.includes(number) !== false;
  return SERVICES.map((service) => ({
    ...service,
    vips: [...service.vips],
    peers: [],
    allowedSources: [],
    sourceAddresses: [],
    clientPrefixes: [],
    endpoints: service.endpoints.filter(isListed).map(({ addresses, ...endpoint }) => ({
      ...endpoint,
      ...(addresses !== undefined && { addresses: [...addresses] }),
    })),
    endpointRemoval: { ...ENDPOINT_REMOVAL_DEFAULT },
    protocol: "sctp" as const,
  }));
}

/** A member of the cluster: by the place of its machine, with name and number. */
export interface MemberSpec {
  readonly index: number;
  readonly name: string;
  readonly number: number;
}

export const addressesOf = ({ index }: Pick<MemberSpec, "index">) =>
  NETWORKS.map((network) => ({ network, address: memberAddress(network, index) }));

/** `listed`: the members in its file; none: it has to join. */
export function configurationOf(
  own: MemberSpec,
  listed: readonly MemberSpec[],
  endpoints?: readonly number[],
): Configuration {
  defaults ??= validate(ConfigurationSchema, {}).value;
  return {
    ...defaults,
    cluster: { ...defaults.cluster, memberNumberCount: MEMBER_NUMBER_COUNT, secret: "a simulated cluster" },
    member: { ...defaults.member, name: own.name, number: own.number },
    members: listed.map((each) => ({ name: each.name, number: each.number, addresses: addressesOf(each) })),
    interfaces: INTERFACES.map(({ name, network }) => {
      const prefix = VIP_PREFIXES[network];
      return { name, role: ROLES[network], network, ...(prefix !== undefined && { vips: [prefix] }) };
    }),
    health: { ...defaults.health, intervalMs: 150, timeoutMs: 100 },
    dataPlane: {
      ...defaults.dataPlane,
      embryoCountMaxPerService: FORWARDER_LIMITS.embryoCountMaxPerService,
      embryoCountMaxPerPrefix: FORWARDER_LIMITS.embryoCountMaxPerPrefix,
    },
    services: fileSpecs(endpoints),
  };
}
