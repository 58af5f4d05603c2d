// Which VIPs one side is told (RFC 9260 §3.3.2.1): those of families in which both sides have addresses of
// their own. A host that supports a family (Supported Address Types) need not have an address of it: an
// AF_INET6 socket of an IPv6-only host supports both, and a path to an IPv4 VIP would never come up there.
import { type Address, familyOf } from "@holdfast/model";
import type { AddressFamilies } from "@holdfast/sctp";

export function familiesOf(addresses: Iterable<Address>): AddressFamilies {
  let ipv4 = false;
  let ipv6 = false;
  for (const address of addresses) {
    if (familyOf(address) === 4) ipv4 = true;
    else ipv6 = true;
  }
  return { ipv4, ipv6 };
}
