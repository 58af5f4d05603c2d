// String formats of the schemas. Written without node's modules: a console in a browser validates with them
// too.
import Format from "typebox/format";

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** The family of an address in text form without a zone or prefix length, or 0. */
export function addressFamily(text: string): 0 | 4 | 6 {
  if (IPV4.test(text)) return 4;
  return isIpv6(text) ? 6 : 0;
}

// RFC 4291 §2.2: eight groups, one `::` for at least one group of zeros, an IPv4 tail counts as two groups.
function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let count = 0;
  for (const [halfIndex, half] of halves.entries()) {
    if (half === "") continue;
    const groups = half.split(":");
    for (const [index, group] of groups.entries()) {
      const last = halfIndex === halves.length - 1 && index === groups.length - 1;
      if (last && IPV4.test(group)) count += 2;
      else if (/^[0-9a-fA-F]{1,4}$/.test(group)) count++;
      else return false;
    }
  }
  return halves.length === 2 ? count <= 7 : count === 8;
}

/** `ADDRESS/LENGTH`. */
export function isPrefix(text: string): boolean {
  const slash = text.lastIndexOf("/");
  const family = addressFamily(text.slice(0, Math.max(slash, 0)));
  const length = text.slice(slash + 1);
  return family !== 0 && /^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128);
}

/** One host, or many. */
export function isAddressOrPrefix(text: string): boolean {
  return addressFamily(text) !== 0 || isPrefix(text);
}

/** Where a server listens: `ADDRESS:PORT`, `[IPV6]:PORT` or `unix:/PATH`. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** Parses a listen address; undefined when it is none. Port 0 asks the kernel for a free one. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  if (text.startsWith("unix:"))
    return text.length > 6 && text[5] === "/" ? { path: text.slice(5) } : undefined;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) return undefined;
  const [six, four] = [match[1], match[2]];
  if (six !== undefined) return addressFamily(six) === 6 ? { host: six, port } : undefined;
  return four !== undefined && addressFamily(four) === 4 ? { host: four, port } : undefined;
}

/** In words, for messages: what a string of this format looks like. */
export const FORMAT_WORDS: Readonly<Record<string, string>> = {
  "ip-address": "an IP address such as 192.0.2.1 or 2001:db8::1, without a prefix length",
  "ip-prefix": "a prefix such as 10.0.0.0/8 or 2001:db8::/32",
  "address-or-prefix": "an IP address or a prefix such as 192.0.2.7 or 10.0.0.0/8",
  "listen-address": "ADDRESS:PORT, [IPV6]:PORT or unix:/PATH",
};

/** Makes the formats known to TypeBox; harmless when called again. */
export function registerFormats(): void {
  Format.Set("ip-address", (text) => addressFamily(text) !== 0);
  Format.Set("ip-prefix", isPrefix);
  Format.Set("address-or-prefix", isAddressOrPrefix);
  Format.Set("listen-address", (text) => parseListenAddress(text) !== undefined);
}
registerFormats();
