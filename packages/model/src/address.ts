// IP addresses as the domain sees them: canonical text, so that maps and sets can key on them.
//
// IPv4 is dotted decimal without leading zeros; IPv6 is RFC 5952 text. An IPv4-mapped IPv6 address
// (::ffff:a.b.c.d) is never canonical: `parseAddress` refuses it, since a packet carries one family.

/** A canonical IPv4 or IPv6 address in text form. Made by `parseAddress` or `addressFromBytes` only. */
export type Address = string & { readonly __brand?: "Address" };

export type AddressFamily = 4 | 6;

/** The family of a canonical address. */
export function familyOf(address: Address): AddressFamily {
  return address.includes(":") ? 6 : 4;
}
