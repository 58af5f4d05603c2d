// The packet that an ICMP error quotes.
import { read16 } from "@holdfast/sctp";

/**
 * A view as long as the inner header says, so that the header's own checks hold; zeros where it was cut
 * off.
 */
export function padded(quoted: Uint8Array, version: 4 | 6): Uint8Array | undefined {
  if (quoted.length < (version === 4 ? 20 : 40)) return undefined;
  const total = version === 4 ? read16(quoted, 2) : 40 + read16(quoted, 4);
  if (total <= quoted.length) return quoted;
  const whole = new Uint8Array(total);
  whole.set(quoted);
  return whole;
}
