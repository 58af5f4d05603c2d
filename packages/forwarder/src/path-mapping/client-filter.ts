// Which addresses that an INIT names are believed (sctp-rules §1.4). What is listed becomes a place to which packets may
// be sent, so a lie here is a reflection, and one of our own addresses is a loop.
import { type Address, addressFromBytes, CLIENT_ADDRESS_COUNT_MAX } from "@holdfast/model";
import { type Prefix, parsePrefix, prefixContains } from "../services/prefix.ts";
import type { ServiceEntry } from "../services/registry.ts";

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

/** Private ranges (RFC 1918, RFC 4193, RFC 6598): only where the network reaches them. */
const PRIVATE: readonly Prefix[] = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "fc00::/7",
].map((text) => parsePrefix(text) as Prefix);

export interface ClientFilterOptions {
  /** VIPs and addresses of members. */
  readonly isOwn: (address: Address) => boolean;
  /** Whether a route other than the default leads to a private address. Absent: every private address is reachable. */
  readonly isRoutable?: (address: Address) => boolean;
}

/** Unicast, and not of a kind that can never come from a network. */
export function isUnicast(bytes: Uint8Array): boolean {
  return !NEVER.some((prefix) => prefixContains(prefix, bytes)) && !prefixContains(MAPPED, bytes);
}

/**
 * The believed ones of the addresses that an INIT lists, in their order, without duplicates and without the source;
 * with the source at most CLIENT_ADDRESS_COUNT_MAX. Not those of the service's own endpoints; an endpoint of another
 * service may be this one's client, by any of its addresses.
 */
export function filterListed(
  listed: readonly Uint8Array[],
  source: Address,
  entry: ServiceEntry,
  options: ClientFilterOptions,
): Address[] {
  const kept: Address[] = [];
  for (const bytes of listed) {
    if (kept.length + 1 >= CLIENT_ADDRESS_COUNT_MAX) break;
    if (bytes.length === 4 ? !entry.hasIpv4 : !entry.hasIpv6) continue;
    if (!isUnicast(bytes)) continue;
    const address = addressFromBytes(bytes);
    if (address === source || kept.includes(address) || options.isOwn(address)) continue;
    if (entry.service.endpoints.some((endpoint) => endpoint.address === address)) continue;
    if (
      options.isRoutable !== undefined &&
      PRIVATE.some((prefix) => prefixContains(prefix, bytes)) &&
      !entry.clientPrefixes.some((prefix) => prefixContains(prefix, bytes)) &&
      !options.isRoutable(address)
    ) {
      continue;
    }
    kept.push(address);
  }
  return kept;
}
