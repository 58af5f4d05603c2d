// What a member can read beyond the messages that every member of its protocol version reads, by name: each
// says so in its greeting, and a writer uses what a name stands for only when every member of the cluster
// says it. A name never changes its meaning and is never used again for another one.
import { isPlain, PROTOCOL_TCP, type Service } from "@holdfast/model";
import type { MessageReader, MessageWriter } from "./bytes.ts";

/**
 * Carries what it does not know: journal entries and session facts (journal/payload.ts), keys and values of
 * the configuration (configuration/entries.ts), message kinds and fields. Without it a member refuses them,
 * and the peer with them.
 */
export const CARRIES_UNKNOWN = "carries-unknown";

/**
 * Takes the list of members from the shared configuration: without it a member goes on with the list of its
 * file.
 */
export const MEMBER_LISTS = "member-lists";

/** Serves TCP and UDP: reads their services in the configuration, and their flows in the journals. */
export const TCP_UDP = "tcp-udp";

/**
 * Reads under which list of members a vote is asked for (NAT ports that are lent, deletions), and gives it
 * under no other: without it a member votes for whoever asks, so that the list may not change while it is
 * there.
 */
export const LIST_VOTES = "list-votes";

/**
 * Knows `allowedSources` of a service. A member without it carries such a service and does not serve it,
 * rather than serve it to everybody.
 */
export const ALLOWED_SOURCES = "allowed-sources";

/** Begins connections with PROXY protocol's header where a service says so; without it a member begins none. */
export const PROXY_PROTOCOL = "proxy-protocol";

/** Reads `status` of a health check. A member without it carries such a service, and does not serve it. */
export const HEALTH_STATUS = "health-status";

/** Serves UDP without sessions where a service says `stateless`. */
export const STATELESS_UDP = "stateless-udp";

/** Begins connections of TCP in the fast path where a service says `stateless`. */
export const STATELESS_TCP = "stateless-tcp";

/**
 * Has `sourceAddresses` of services, and reads records whose endpoint sees one of them. A member without it
 * answers for none.
 */
export const SOURCE_ADDRESSES = "source-addresses";

/**
 * What services of each of these names say first, from the oldest to the newest: who knows one of TCP's and
 * UDP's knows those before it.
 */
export function capabilitiesOf(service: Partial<Service>): readonly string[] {
  const { protocol, allowedSources, proxyProtocol, stateless, sourceAddresses, endpoints = [] } = service;
  const checks = [service, ...endpoints].map(({ healthCheck }) => healthCheck);
  return [
    ...(allowedSources === undefined ? [] : [ALLOWED_SOURCES]),
    ...(protocol !== undefined && isPlain(protocol) ? [TCP_UDP] : []),
    ...(proxyProtocol === true ? [PROXY_PROTOCOL] : []),
    ...(checks.some((check) => check?.status !== undefined) ? [HEALTH_STATUS] : []),
    ...(stateless === true && protocol !== PROTOCOL_TCP ? [STATELESS_UDP] : []),
    ...(sourceAddresses === undefined ? [] : [SOURCE_ADDRESSES]),
    ...(stateless === true && protocol === PROTOCOL_TCP ? [STATELESS_TCP] : []),
  ];
}

/** What this build offers. */
export const CAPABILITIES: readonly string[] = [
  CARRIES_UNKNOWN,
  MEMBER_LISTS,
  TCP_UDP,
  LIST_VOTES,
  ALLOWED_SOURCES,
  PROXY_PROTOCOL,
  HEALTH_STATUS,
  STATELESS_UDP,
  SOURCE_ADDRESSES,
  STATELESS_TCP,
];

export const CAPABILITY_COUNT_MAX = 64;
export const CAPABILITY_LENGTH_MAX = 32;
const NAME = /^[a-z][a-z0-9.-]*$/;

export function isCapability(name: unknown): name is string {
  return typeof name === "string" && name.length <= CAPABILITY_LENGTH_MAX && NAME.test(name);
}

export function writeCapabilities(writer: MessageWriter, names: readonly string[]): void {
  writer.varint(names.length);
  for (const name of names) writer.text(name);
}

export function readCapabilities(reader: MessageReader): string[] {
  return reader.list(CAPABILITY_COUNT_MAX, () => {
    const name = reader.text(CAPABILITY_LENGTH_MAX);
    if (reader.failure === undefined && !isCapability(name)) reader.fail("capability-malformed");
    return name;
  });
}
