// pair[j]: the client address to which packets that probe or carry a path go from VIP j (docs/sctp.md §6).
// Fixed at INIT.
import { type Address, familyOf } from "@holdfast/model";
import { bytesOf } from "../packet/translate.ts";

/**
 * The arrival VIP gets the source, which has just shown that it is reachable. The other VIPs get the
 * remaining addresses of their family: the one with the longest common prefix first (same subnet, same
 * network behind it), then in the client's order; each once while there are enough, then again, the source
 * first. A VIP of a family that the client does not have gets the source, and is never used.
 */
export function pairAddresses(
  vips: readonly Address[],
  arrivalVip: number,
  source: Address,
  listed: readonly Address[],
): Address[] {
  if (listed.length === 0 || vips.length === 1) return vips.map(() => source);
  const pairing: Address[] = new Array(vips.length).fill(source);
  const left = new Set(listed);
  const waiting: number[] = [];
  for (let j = 0; j < vips.length; j++) if (j !== arrivalVip) waiting.push(j);
  // Closest pairs first, so that a VIP early in the list does not take what fits a later one better.
  const candidates: { vip: number; address: Address; order: number; common: number }[] = [];
  for (const vip of waiting) {
    listed.forEach((address, order) => {
      if (familyOf(address) !== familyOf(vips[vip] as Address)) return;
      candidates.push({ vip, address, order, common: sharedPrefix(vips[vip] as Address, address) });
    });
  }
  candidates.sort((a, b) => b.common - a.common || a.order - b.order || a.vip - b.vip);
  const done = new Set<number>();
  for (const { vip, address } of candidates) {
    if (done.has(vip) || !left.has(address)) continue;
    pairing[vip] = address;
    left.delete(address);
    done.add(vip);
  }
  for (const vip of waiting) {
    if (done.has(vip)) continue;
    const family = familyOf(vips[vip] as Address);
    pairing[vip] =
      familyOf(source) === family
        ? source
        : (listed.find((address) => familyOf(address) === family) ?? source);
  }
  return pairing;
}

/** Only networks that operators really make count: whole bytes of common prefix, 2 at least (IPv6: 6). */
function sharedPrefix(a: Address, b: Address): number {
  const x = bytesOf(a);
  const y = bytesOf(b);
  let count = 0;
  while (count < x.length && x[count] === y[count]) count++;
  return count >= (x.length === 4 ? 2 : 6) ? count : 0;
}
