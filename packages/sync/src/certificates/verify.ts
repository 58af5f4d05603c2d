// Is this certificate fit for this member, now? Asked at the start, when files change and now and then, so
// that an expired certificate or a wrong clock is a sentence with a way out, not a TLS alert number at the
// far end. When a link begins TLS itself checks.
import { createPrivateKey, type X509Certificate } from "node:crypto";
import { HoldfastError } from "@holdfast/model";
import { authorityOf, readBundle } from "./bundle.ts";
import { identityOfCertificate, type MemberIdentity } from "./identity.ts";

/** A certificate that ends sooner than this is worth a warning. */
export const RENEWAL_WARNING_DAYS = 30;
const DAY_MS = 86_400_000;

/** What a member needs for TLS; PEM texts, each of which may hold several certificates (bundle.ts). */
export interface MemberTls {
  readonly authorityPem: string;
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface VerifiedCertificate extends MemberIdentity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** End of the authority that signed it. */
  readonly authorityNotAfterMs: number;
  /** Why it is no good at this time, and neither is any link that would begin now; undefined: it is good. */
  readonly trouble: HoldfastError | undefined;
  /** Whole days until the end of the certificate or its authority, whichever comes first; rounded down. */
  readonly daysLeft: number;
  /** True when fewer than RENEWAL_WARNING_DAYS are left. */
  readonly renewSoon: boolean;
}

/**
 * Checks signature, time, identity and (when given) that the key belongs to it.
 * Errors: CERTIFICATE_UNREADABLE, CERTIFICATE_WRONG_AUTHORITY, CERTIFICATE_NOT_YET_VALID,
 * CERTIFICATE_EXPIRED, CERTIFICATE_WITHOUT_IDENTITY, CERTIFICATE_KEY_MISMATCH, CERTIFICATE_WRONG_CLUSTER.
 */
export function verifyMemberCertificate(
  tls: Omit<MemberTls, "keyPem"> & { readonly keyPem?: string },
  options: {
    readonly clusterId?: string;
    readonly wallMs?: number;
    /** "tell": one that is not valid now is no error but has its `trouble`. Default "throw". */
    readonly time?: "throw" | "tell";
  } = {},
): VerifiedCertificate {
  const [certificate, ...between] = readBundle(tls.certificatePem, "member");
  const authorities = readBundle(tls.authorityPem, "authority");
  const wallMs = options.wallMs ?? Date.now();
  const authority = authorityOf(certificate, between, authorities, wallMs);
  if (authority === undefined) {
    throw new HoldfastError("CERTIFICATE_WRONG_AUTHORITY", {
      subject: plain(certificate.subject),
      authority: authorities.map(({ subject }) => plain(subject)).join("', '"),
    });
  }
  const trouble = troubleOf(authority, "authority", wallMs) ?? troubleOf(certificate, "member", wallMs);
  if (trouble !== undefined && options.time !== "tell") throw trouble;
  const identity = identityOfCertificate(new Uint8Array(certificate.raw));
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
  const authorityNotAfterMs = authority.validToDate.getTime();
  const daysLeft = Math.floor((Math.min(notAfterMs, authorityNotAfterMs) - wallMs) / DAY_MS);
  return {
    ...identity,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs,
    authorityNotAfterMs,
    trouble,
    daysLeft,
    renewSoon: daysLeft < RENEWAL_WARNING_DAYS,
  };
}

function troubleOf(certificate: X509Certificate, what: string, wallMs: number): HoldfastError | undefined {
  const from = certificate.validFromDate;
  const to = certificate.validToDate;
  const now = new Date(wallMs).toISOString();
  if (wallMs < from.getTime())
    return new HoldfastError("CERTIFICATE_NOT_YET_VALID", { what, from: from.toISOString(), now });
  if (wallMs > to.getTime())
    return new HoldfastError("CERTIFICATE_EXPIRED", { what, to: to.toISOString(), now });
  return undefined;
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
