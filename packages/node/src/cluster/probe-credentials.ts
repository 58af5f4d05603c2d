// Who members are to each other's probes: their certificates. Loaded by the probe thread, so that the
// coordinator knows none.
//
// Time is not looked at: a certificate that has ended still says who has its key, and members that took each
// other for dead on the day when all certificates end would each announce every VIP. Who is not to be
// believed any more is revoked.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { Credentials, Proof } from "@holdfast/coordinator";
import { HoldfastError } from "@holdfast/model";
// The probe thread has no use for the rest of that package, which is large.
import {
  isRevoked,
  type MemberTls,
  type Revocation,
  verifyMemberCertificate,
} from "@holdfast/sync/certificates";

export interface CredentialsData extends MemberTls {
  readonly clusterId: string;
}

/** Certificates that have been looked at; beyond, all are looked at anew. */
const KNOWN_COUNT_MAX = 256;
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/**
 * Of the certificate and those between it and the authority, PEM. A longer chain is cut: it leads nowhere
 * then.
 */
const SHOWN_LENGTH_MAX = 16_000;

/** For the coordinator's option: this module, and what it opens with. */
export function credentialsOf(data: CredentialsData): {
  readonly moduleUrl: string;
  readonly data: CredentialsData;
} {
  return { moduleUrl: import.meta.url, data };
}

export function open(data: unknown): Credentials {
  const { certificatePem, keyPem, authorityPem, clusterId } = data as CredentialsData;
  const key = createPrivateKey(keyPem);
  const shown = shownOf(certificatePem);
  /** By digest of what was shown: the authority has signed it, for this cluster. */
  const known = new Map<string, { readonly number: number; readonly key: KeyObject }>();
  let revoked: readonly Revocation[] = [];

  /** Throws a coded error when it is no certificate of a member. */
  function member(theirs: Uint8Array, pem: string) {
    const digest = createHash("sha256").update(theirs).digest("hex");
    const found = known.get(digest);
    if (found !== undefined) return found;
    const checked = { authorityPem, certificatePem: pem };
    const { memberNumber } = verifyMemberCertificate(checked, { clusterId, time: "tell" });
    const judged = { number: memberNumber, key: createPublicKey(pem) };
    if (known.size >= KNOWN_COUNT_MAX) known.clear();
    known.set(digest, judged);
    return judged;
  }

  return {
    shown,
    sign: (bytes) => new Uint8Array(sign("sha256", bytes, key)),
    verify(theirs, bytes, signature): Proof {
      const pem = Buffer.from(theirs).toString("latin1");
      try {
        const { number, key: theirKey } = member(theirs, pem);
        if (isRevoked(pem, revoked))
          return { ok: false, reason: "its certificate is revoked", revoked: true };
        if (!verify("sha256", bytes, theirKey, signature))
          return { ok: false, reason: "it does not have the key of the certificate", revoked: false };
        return { ok: true, number };
      } catch (error) {
        const reason = error instanceof HoldfastError ? error.message : "it shows no certificate";
        return { ok: false, reason, revoked: false };
      }
    },
    revoke(list) {
      revoked = list as readonly Revocation[];
    },
    isRevoked: (theirs) => isRevoked(Buffer.from(theirs).toString("latin1"), revoked),
  };
}

function shownOf(certificatePem: string): Uint8Array {
  let shown = "";
  for (const [block] of certificatePem.matchAll(BLOCK)) {
    if (shown.length + block.length + 1 > SHOWN_LENGTH_MAX) break;
    shown += `${block}\n`;
  }
  return new Uint8Array(Buffer.from(shown, "latin1"));
}
