// Which addresses that an INIT names are believed (docs/sctp.md §4). What is listed becomes a place to which
// packets may be sent, so a lie here is a reflection, and one of our own addresses is a loop.
import {
  type Address,
  addressesOfEndpoint,
  addressFromBytes,
  CLIENT_ADDRESS_COUNT_MAX,
  type Prefix,
  parsePrefix,
  prefixContains,
} from "@holdfast/model";
import { isAllowedSource, placesOf, type ServiceEntry } from "../services/registry.ts";

/** Never a client: unspecified, loopback, multicast, broadcast, link-local. */
const NEVER: readonly Prefix[] = [
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/128",
  "::1/128",
  "fe80::/10",
  "ff00::/8",
].map((text) => parsePrefix(text) as Prefix);

const MAPPED: Prefix = {
  bytes: Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]),
  bitCount: 96,
};

/**
 * Private ranges (RFC 1918, RFC 4193): only where the network reaches them. Not 100.64.0.0/10 (RFC 6598):
 * Linux counts that as global (`sctp_v4_scope`), lists it to everybody, and operators' transport networks
 * have it behind default routes.
 */
const PRIVATE: readonly Prefix[] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].map(
  (text) => parsePrefix(text) as Prefix,
);

/** Questions to the kernel that one INIT may cost; a packet of 64 KiB lists about 8,000 addresses. */
export const ROUTE_QUESTION_COUNT_MAX = 4 * CLIENT_ADDRESS_COUNT_MAX;

export interface ClientFilterOptions {
  /** VIPs and addresses of members. */
  readonly isOwn: (address: Address) => boolean;
  /**
   * Whether a route other than the default leads to an address. Absent: every private address is reachable.
   */
  readonly isRoutable?: (address: Address) => boolean;
  /** This host's own processes as clients: only their packets come in by its loop. Absent: it has none. */
  readonly ownHost?: OwnHost | undefined;
}

export interface OwnHost {
  readonly isLoop: (interfaceIndex: number) => boolean;
  /** Whether an interface of this host has it. */
  readonly has: (address: Address) => boolean;
}

/**
 * The filter for what came in by an interface. By the loop an address of this host is a client's: nobody else
 * sends there. On any other it stays forged.
 */
export function filterFor(
  options: ClientFilterOptions,
  source: Address,
  interfaceIndex: number,
): ClientFilterOptions {
  const { ownHost, isOwn, ...rest } = options;
  if (ownHost === undefined || !isOwn(source) || !ownHost.isLoop(interfaceIndex)) return options;
  return { ...rest, isOwn: (address) => isOwn(address) && !ownHost.has(address) };
}

/** Unicast, and not of a kind that can never come from a network. */
export function isUnicast(bytes: Uint8Array): boolean {
  return !NEVER.some((prefix) => prefixContains(prefix, bytes)) && !prefixContains(MAPPED, bytes);
}

/**
 * What is made of the addresses that an INIT lists: the first CLIENT_ADDRESS_COUNT_MAX, the source included.
 */
export interface ListedAddresses {
  /** Believed: packets may go there, HEARTBEATs first. In the client's order. */
  readonly listed: readonly Address[];
  /**
   * Private, and no route but the default one leads there: nothing is ever sent to them unless they speak. As
   * sources they are the client's, who named them.
   */
  readonly unrouted: readonly Address[];
}

/**
 * Without duplicates and without the source. Not those that the service allows no client, nor those of
 * its own endpoints; an endpoint of another service may be this one's client, by any of its addresses.
 */
export function filterListed(
  addresses: readonly Uint8Array[],
  source: Address,
  entry: ServiceEntry,
  options: ClientFilterOptions,
): ListedAddresses {
  const listed: Address[] = [];
  const unrouted: Address[] = [];
  let questionCount = 0;
  const isReached = (bytes: Uint8Array, address: Address): boolean => {
    if (options.isRoutable === undefined || !PRIVATE.some((prefix) => prefixContains(prefix, bytes)))
      return true;
    if (entry.clientPrefixes.some((prefix) => prefixContains(prefix, bytes))) return true;
    return questionCount++ < ROUTE_QUESTION_COUNT_MAX && options.isRoutable(address);
  };
  for (const bytes of addresses) {
    if (listed.length + 1 >= CLIENT_ADDRESS_COUNT_MAX) break;
    if (bytes.length === 4 ? !entry.hasIpv4 : !entry.hasIpv6) continue;
    if (!isUnicast(bytes) || !isAllowedSource(entry, bytes)) continue;
    const address = addressFromBytes(bytes);
    if (address === source || listed.includes(address) || unrouted.includes(address)) continue;
    if (options.isOwn(address)) continue;
    if (placesOf(entry.service).some((endpoint) => addressesOfEndpoint(endpoint).includes(address))) continue;
    if (isReached(bytes, address)) listed.push(address);
    else if (unrouted.length < CLIENT_ADDRESS_COUNT_MAX) unrouted.push(address);
  }
  return { listed, unrouted: unrouted.slice(0, CLIENT_ADDRESS_COUNT_MAX - 1 - listed.length) };
}
