// The list of members as the parts of the daemon want it: for links, for probes, as the configuration file
// begins it.
import { ADDRESS_COUNT_MAX, type MemberAddress, type MemberConfiguration } from "@holdfast/coordinator";
import { type ListedMember, type MemberList, type Members, parseAddress } from "@holdfast/model";
import type { ConfiguredMember, JoinAddress, Listing } from "@holdfast/sync";
import { addressOf, type OwnMember, ownMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { ClusterLink } from "./link.ts";
import { networkOfAddress, type Topology } from "./topology.ts";

/** What the file says, this member included: when it is not listed, with the addresses of its interfaces. */
export function listedInFile(configuration: Configuration, topology: Topology): readonly ListedMember[] {
  const own = ownMember(configuration);
  const probePort = configuration.coordinator.probePort;
  const replicationPort = configuration.replication.port;
  const members = configuration.members.map((member): ListedMember => {
    const zone = member.name === own.name ? own.zone : (member.zone ?? "");
    return {
      name: member.name,
      number: member.number,
      ...(zone !== "" && { zone }),
      addresses: member.addresses.map((entry) => {
        const address = parseAddress(addressOf(entry));
        return typeof entry === "string" ? { address } : { network: entry.network, address };
      }),
      probePort: member.probePort ?? probePort,
      replicationPort: member.replicationPort ?? replicationPort,
    };
  });
  if (members.some((member) => member.name === own.name)) return members;
  // A network that nobody named has its interface's name, which may be another one at another machine: there the
  // address says which it is.
  const named = new Set(configuration.interfaces.map((each) => each.network));
  const addresses = topology.interfaces.flatMap(({ name, network }) => {
    const address = topology.system.get(name)?.addresses[0]?.address;
    if (address === undefined) return [];
    return [named.has(network) ? { network, address } : { address }];
  });
  const zone = own.zone === "" ? {} : { zone: own.zone };
  const self = { name: own.name, number: own.number, ...zone, addresses, probePort, replicationPort };
  return [...members, self];
}

/** As the coordinator wants them: each address on a network. */
export function placedMembers(
  members: readonly ListedMember[],
  topology: Topology,
): readonly MemberConfiguration[] {
  return members.map(({ name, number, zone, addresses, probePort: port }) => ({
    name,
    number,
    ...(zone !== undefined && { zone }),
    addresses: addresses.slice(0, ADDRESS_COUNT_MAX).map(
      ({ network, address }, index): MemberAddress => ({
        network: network ?? networkOfAddress(address, topology) ?? `network-${index}`,
        address,
        port,
      }),
    ),
  }));
}

/** As the rules of services want them: by name, and who is known to lack a capability. */
export function othersOf(members: Members, own: OwnMember, link: Pick<ClusterLink, "capabilitiesOf">) {
  return {
    members: (): readonly string[] => members.current().members.map(({ name }) => name),
    lacking: (capability: string): string | undefined =>
      members
        .current()
        .members.find(
          ({ name, number }) =>
            name !== own.name && link.capabilitiesOf(number)?.includes(capability) === false,
        )?.name,
  };
}

/** As replication wants them. */
export function linkedMembers(members: readonly ListedMember[]): readonly ConfiguredMember[] {
  return members.map(({ name, number, addresses, replicationPort: port }) => ({
    name,
    number,
    addresses: addresses.map(({ address: host }) => ({ host, port })),
  }));
}

/** How this member stands to the list. */
export interface Standing {
  readonly isMember: boolean;
  /** Not empty: the list is not known, whoever is there is asked. */
  readonly join: readonly JoinAddress[];
}

export function listingOf(
  { members, resting, former = [], version }: MemberList,
  { isMember, join }: Standing,
): Listing {
  const names = new Set(members.map(({ name }) => name));
  return {
    members: linkedMembers(members),
    removed: [...resting.map(({ name }) => name), ...former].filter((name) => !names.has(name)),
    join,
    // Who was taken out, or waits for the list, draws nobody to the one that it has.
    version: isMember ? version : 0,
  };
}

/** The list with networks, made anew when it changes. */
export function placing(members: Members, topology: Topology): () => readonly MemberConfiguration[] {
  let of: MemberList | undefined;
  let placed: readonly MemberConfiguration[] = [];
  return () => {
    const list = members.current();
    if (list !== of) {
      of = list;
      placed = placedMembers(list.members, topology);
    }
    return placed;
  };
}

/** How many others there are. */
export function otherCount({ members }: MemberList, own: Pick<OwnMember, "name">): number {
  return members.filter(({ name }) => name !== own.name).length;
}
