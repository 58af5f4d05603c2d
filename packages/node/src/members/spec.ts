// A member as an operator names it: what no member can be is said before anybody votes.
import type { MemberSpec } from "@holdfast/api";
import {
  type Address,
  HoldfastError,
  type ListedAddress,
  type ListedMember,
  type MemberList,
  parseAddress,
  type Service,
  unusableKind,
} from "@holdfast/model";
import { isPlainName } from "@holdfast/sync";
import type { Configuration } from "../config/schema.ts";

export interface SpecContext {
  readonly configuration: Configuration;
  readonly list: Pick<MemberList, "members">;
  readonly services: readonly Pick<Service, "id" | "vips">[];
  /** Of this member's interfaces. */
  readonly networks: readonly string[];
}

/**
 * Throws CERTIFICATE_NAME_INVALID, SYNC_NUMBER_OUT_OF_RANGE, ADDRESS_INVALID, MEMBER_ADDRESS_UNUSABLE, and
 * CONFIG_CERTIFICATES_MISSING or CONFIG_SECRET_MISSING where nobody could come to this member.
 */
export function listedMemberOf(spec: MemberSpec, context: SpecContext): ListedMember {
  const { cluster, coordinator, replication } = context.configuration;
  const { name, number, zone = "", probePort, replicationPort } = spec;
  const where = "this member's own configuration";
  if (cluster.certificates === undefined) throw new HoldfastError("CONFIG_CERTIFICATES_MISSING", { where });
  if (cluster.secret === undefined && cluster.secretFile === undefined)
    throw new HoldfastError("CONFIG_SECRET_MISSING", { where });
  if (!isPlainName(name)) throw new HoldfastError("CERTIFICATE_NAME_INVALID", { name });
  if (number >= cluster.memberNumberCount)
    throw new HoldfastError("SYNC_NUMBER_OUT_OF_RANGE", { number, count: cluster.memberNumberCount });
  const addresses = spec.addresses.map(
    (entry): ListedAddress =>
      typeof entry === "string"
        ? { address: parseAddress(entry) }
        : { network: entry.network, address: parseAddress(entry.address) },
  );
  for (const [at, entry] of addresses.entries()) {
    const { address } = entry;
    const reason = addresses.slice(0, at).some((other) => other.address === address)
      ? "it is there twice"
      : (problemOf(address, context) ?? networkProblem(entry, context));
    if (reason !== undefined) throw new HoldfastError("MEMBER_ADDRESS_UNUSABLE", { address, reason });
  }
  return {
    name,
    number,
    ...(zone !== "" && { zone }),
    addresses,
    probePort: probePort ?? coordinator.probePort,
    replicationPort: replicationPort ?? replication.port,
  };
}

function problemOf(address: Address, { list, services }: SpecContext): string | undefined {
  const service = services.find(({ vips }) => vips.includes(address));
  if (service !== undefined) return `it is a VIP of service ${service.id}`;
  const kind = unusableKind(address);
  // Members on one machine may all be at its loopback.
  const isUsual = list.members.some((member) =>
    member.addresses.some((known) => unusableKind(known.address) === kind),
  );
  return kind === undefined || isUsual ? undefined : `it is ${kind}`;
}

/** On a network that nobody else is on it would be probed by nobody. */
function networkProblem({ network }: ListedAddress, { list, networks }: SpecContext): string | undefined {
  if (network === undefined) return undefined;
  const listed = list.members.flatMap(({ addresses }) => addresses.map((known) => known.network));
  const known = [...new Set([...networks, ...listed])].filter((name) => name !== undefined).sort();
  return known.includes(network) ? undefined : `nobody is on network ${network}, but on ${known.join(", ")}`;
}
