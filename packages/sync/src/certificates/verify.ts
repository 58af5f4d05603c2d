// Is this certificate fit for this member, now? Asked once at start, so that an expired certificate or a wrong clock
// is a sentence with a way out, not a TLS alert number at the far end. During the life of a link TLS itself checks.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { HoldfastError } from "@holdfast/model";
import { CERTIFICATE_BYTES_MAX, identityOfCertificate, type MemberIdentity } from "./identity.ts";

/** A certificate that ends sooner than this is worth a warning. */
export const RENEWAL_WARNING_DAYS = 30;
const DAY_MS = 86_400_000;

/** What a member needs for TLS; PEM texts. */
export interface MemberTls {
  readonly authorityPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface VerifiedCertificate extends MemberIdentity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Whole days until the end, rounded down. */
  readonly daysLeft: number;
  /** True when fewer than RENEWAL_WARNING_DAYS are left. */
  readonly renewSoon: boolean;
}

/**
 * Checks signature, time, identity and (when given) that the key belongs to it.
 * Errors: CERTIFICATE_UNREADABLE, CERTIFICATE_WRONG_AUTHORITY, CERTIFICATE_NOT_YET_VALID, CERTIFICATE_EXPIRED,
 * CERTIFICATE_WITHOUT_IDENTITY, CERTIFICATE_KEY_MISMATCH, CERTIFICATE_WRONG_CLUSTER.
 */
export function verifyMemberCertificate(
  tls: Omit<MemberTls, "keyPem"> & { readonly keyPem?: string },
  options: { readonly clusterId?: string; readonly wallMs?: number } = {},
): VerifiedCertificate {
  const certificate = read(tls.certificatePem, "member");
  const authority = read(tls.authorityPem, "authority");
  const wallMs = options.wallMs ?? Date.now();
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
    throw new HoldfastError("CERTIFICATE_WRONG_AUTHORITY", {
      subject: plain(certificate.subject),
      authority: plain(authority.subject),
    });
  }
  checkTime(authority, "authority", wallMs);
  checkTime(certificate, "member", wallMs);
  const identity = identityOfCertificate(tls.certificatePem);
  if (identity === undefined)
    throw new HoldfastError("CERTIFICATE_WITHOUT_IDENTITY", { subject: plain(certificate.subject) });
  if (options.clusterId !== undefined && identity.clusterId !== options.clusterId) {
    throw new HoldfastError("CERTIFICATE_WRONG_CLUSTER", {
      found: identity.clusterId,
      expected: options.clusterId,
    });
  }
  if (tls.keyPem !== undefined && !keyMatches(certificate, tls.keyPem))
    throw new HoldfastError("CERTIFICATE_KEY_MISMATCH", { member: identity.memberName });
  const notAfterMs = certificate.validToDate.getTime();
  const daysLeft = Math.floor((notAfterMs - wallMs) / DAY_MS);
  return {
    ...identity,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs,
    daysLeft,
    renewSoon: daysLeft < RENEWAL_WARNING_DAYS,
  };
}

function read(pem: string, what: string): X509Certificate {
  try {
    if (pem.length > CERTIFICATE_BYTES_MAX) throw new RangeError("too large");
    return new X509Certificate(pem);
  } catch (cause) {
    throw new HoldfastError("CERTIFICATE_UNREADABLE", { what }, { cause });
  }
}

function checkTime(certificate: X509Certificate, what: string, wallMs: number): void {
  const from = certificate.validFromDate;
  const to = certificate.validToDate;
  const now = new Date(wallMs).toISOString();
  if (wallMs < from.getTime())
    throw new HoldfastError("CERTIFICATE_NOT_YET_VALID", { what, from: from.toISOString(), now });
  if (wallMs > to.getTime())
    throw new HoldfastError("CERTIFICATE_EXPIRED", { what, to: to.toISOString(), now });
}

function keyMatches(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function plain(subject: string): string {
  return subject.replace(/\n/g, ", ");
}
