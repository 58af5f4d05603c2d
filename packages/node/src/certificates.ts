// `holdfast certificates`: the authority's directory, plus the cluster's shared secret beside it.
import { randomBytes, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { canonicalAddress, HoldfastError, parseAddress } from "@holdfast/model";
import {
  certifyRequest as certify,
  initAuthority,
  issueMember,
  type KeyPair,
  listMembers,
  type MemberOptions,
  verifyMemberCertificate,
  writeSafely,
} from "@holdfast/sync";

export {
  createAuthority,
  createMemberRequest,
  verifyMemberCertificate,
} from "@holdfast/sync";

/**
 * The certificate that a member's request asks for. Of `addresses`, which are text, those that are none do not
 * enter it. Errors: those of the authority, CERTIFICATE_REQUEST_INVALID.
 */
export function certifyRequest(
  authority: KeyPair,
  requestPem: string,
  member: Omit<MemberOptions, "addresses"> & { readonly addresses: readonly string[] },
): Promise<string> {
  const addresses = member.addresses.flatMap((text) => canonicalAddress(text) ?? []);
  return certify(authority, requestPem, { ...member, addresses });
}

/** What keeps strangers from costing members a signature. */
export function newClusterSecret(): string {
  return randomBytes(32).toString("base64url");
}

export interface CertificateRow {
  readonly memberName: string;
  readonly memberNumber: number;
  readonly validUntil: string;
  /** "valid", "renew soon", or what is wrong in words. */
  readonly state: string;
}

/** Makes the authority and the secret. Errors: those of the authority. */
export async function initCertificates(
  directory: string,
  options: { readonly clusterId: string; readonly validDays?: number },
): Promise<{ readonly certificateFile: string; readonly keyFile: string; readonly secretFile: string }> {
  const made = await initAuthority(directory, options);
  const secretFile = join(directory, "cluster.secret");
  // One that is there may be in use.
  if (!existsSync(secretFile)) await writeSafely(secretFile, `${newClusterSecret()}\n`, 0o600);
  return { ...made, secretFile };
}

export async function issueCertificate(
  directory: string,
  request: {
    readonly memberName: string;
    readonly memberNumber?: number;
    readonly addresses?: readonly string[];
    readonly validDays?: number;
  },
): Promise<
  CertificateRow & {
    readonly certificateFile: string;
    readonly keyFile: string;
    readonly authorityFile: string;
  }
> {
  const { addresses, ...rest } = request;
  const made = await issueMember(directory, {
    ...rest,
    ...(addresses !== undefined && { addresses: addresses.map(parseAddress) }),
  });
  return {
    memberName: made.memberName,
    memberNumber: made.memberNumber,
    validUntil: new Date(made.notAfterMs).toISOString(),
    state: made.renewSoon ? "renew soon" : "valid",
    certificateFile: made.certificateFile,
    keyFile: made.keyFile,
    authorityFile: made.authorityFile,
  };
}

/** What a certificate file says; with the authority's, whether it is good. */
export async function showCertificate(
  certificateFile: string,
  keyFile: string | undefined,
  authorityFile: string | undefined,
): Promise<CertificateRow> {
  const verified = verifyMemberCertificate({
    certificatePem: read(certificateFile),
    authorityPem: read(authorityFile ?? join(certificateFile, "..", "authority.crt")),
    ...(keyFile !== undefined && { keyPem: read(keyFile) }),
  });
  return {
    memberName: verified.memberName,
    memberNumber: verified.memberNumber,
    validUntil: new Date(verified.notAfterMs).toISOString(),
    state: verified.renewSoon ? `renew soon: ${verified.daysLeft} days left` : "valid",
  };
}

/**
 * The serial number of a certificate file, hexadecimal. Errors: CERTIFICATE_FILE_UNREADABLE,
 * CERTIFICATE_UNREADABLE.
 */
export function serialOfFile(file: string): string {
  const pem = read(file);
  try {
    return new X509Certificate(pem).serialNumber.toLowerCase();
  } catch (cause) {
    throw new HoldfastError("CERTIFICATE_UNREADABLE", { what: "named" }, { cause });
  }
}

/** Every member of an authority's directory; one that is not good has the reason as its state. */
export async function listCertificates(directory: string): Promise<readonly CertificateRow[]> {
  const { members } = await listMembers(directory);
  return Promise.all(
    members.map(async ({ memberName, memberNumber }) => {
      try {
        return await showCertificate(
          join(directory, `${memberName}.crt`),
          undefined,
          join(directory, "authority.crt"),
        );
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        return { memberName, memberNumber, validUntil: "-", state: error.message };
      }
    }),
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new HoldfastError("CERTIFICATE_FILE_UNREADABLE", { file, reason }, { cause });
  }
}
