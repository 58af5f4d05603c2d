// A PEM file may hold several certificates: a member's own first and those between it and the authority
// behind it, or the old authority and the new one while members change over.
import { X509Certificate } from "node:crypto";
import { HoldfastError } from "@holdfast/model";
import { CERTIFICATE_BYTES_MAX } from "./identity.ts";

/** Certificates of one file; a file with more is refused. */
export const BUNDLE_COUNT_MAX = 32;
const BEGIN = "-----BEGIN CERTIFICATE-----";
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Every certificate of a file, in its order. Throws CERTIFICATE_UNREADABLE; `what` names the file. */
export function readBundle(pem: string, what: string): [X509Certificate, ...X509Certificate[]] {
  try {
    if (pem.length > BUNDLE_COUNT_MAX * CERTIFICATE_BYTES_MAX) throw new RangeError("too large");
    const blocks = pem.match(BLOCK) ?? [];
    if (blocks.length > BUNDLE_COUNT_MAX) throw new RangeError("too many");
    // A file that is half written: whoever took what is there would trust half of the authorities.
    if (pem.split(BEGIN).length - 1 !== blocks.length) throw new RangeError("one has no end");
    const [first, ...rest] = blocks.map((block) => {
      if (block.length > CERTIFICATE_BYTES_MAX) throw new RangeError("too large");
      return new X509Certificate(block);
    });
    if (first === undefined) throw new RangeError("none");
    return [first, ...rest];
  } catch (cause) {
    throw new HoldfastError("CERTIFICATE_UNREADABLE", { what }, { cause });
  }
}

/**
 * The authority of `authorities` that `certificate` leads to, straight or over `between`; undefined: none. Of
 * several one that is valid at `wallMs`.
 */
export function authorityOf(
  certificate: X509Certificate,
  between: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
  wallMs: number,
): X509Certificate | undefined {
  const found: X509Certificate[] = [];
  let reached = [certificate];
  let left = [...between];
  // Each round uses up at least one of those between, or is the last.
  while (reached.length > 0) {
    found.push(...authorities.filter((authority) => reached.some((one) => isIssued(one, authority))));
    const next = left.filter((issuer) => issuer.ca && reached.some((one) => isIssued(one, issuer)));
    left = left.filter((issuer) => !next.includes(issuer));
    reached = next;
  }
  const isValid = ({ validFromDate, validToDate }: X509Certificate) =>
    validFromDate.getTime() <= wallMs && wallMs <= validToDate.getTime();
  return found.find(isValid) ?? found[0];
}

function isIssued(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
