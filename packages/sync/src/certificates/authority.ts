// The cluster's own certificate authority. Members trust nothing else: no system roots, no public authority.
// ECDSA on P-256, because TLS 1.3 must support it everywhere and signing costs about 50 µs a handshake.
import "reflect-metadata";
import type { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import { type Address, HoldfastError } from "@holdfast/model";
import * as x509 from "@peculiar/x509";
import { CLOCK_SKEW_ALLOWANCE_MS, identityUri, isPlainName, type MemberIdentity } from "./identity.ts";

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;
export const AUTHORITY_VALID_DAYS = 3_650;
export const MEMBER_VALID_DAYS = 825;
/**
 * Members that are made on one day do not end on one day: each number's certificate ends so much before the
 * one below.
 */
const STAGGER_DAYS = 14;
const STAGGER_COUNT = 16;
const REQUEST_LENGTH_MAX = 8_192;

/** How long a member's certificate is valid when nobody says otherwise. */
export function memberValidDays(memberNumber: number): number {
  return MEMBER_VALID_DAYS - STAGGER_DAYS * (memberNumber % STAGGER_COUNT);
}

export interface KeyPair {
  readonly certificatePem: string;
  /** PKCS #8, unencrypted: whoever keeps it in a file uses mode 0600. */
  readonly keyPem: string;
}

export interface AuthorityOptions {
  readonly clusterId: string;
  /** Wall-clock ms; the process's own by default. */
  readonly wallMs?: number;
  /** Days of validity, default 3,650. */
  readonly validDays?: number;
}

export interface MemberOptions extends MemberIdentity {
  /** Addresses other members dial; they enter the certificate for tools, identity is what counts. */
  readonly addresses: readonly Address[];
  /** Names by which its API is found, beside its own. */
  readonly dnsNames?: readonly string[];
  readonly wallMs?: number;
  /** Days of validity, default `memberValidDays`; never beyond the authority's own end. */
  readonly validDays?: number;
}

/** A new authority for a cluster: a self-signed certificate and its key. Errors: CERTIFICATE_NAME_INVALID. */
export async function createAuthority(options: AuthorityOptions): Promise<KeyPair> {
  const { clusterId } = options;
  if (!isPlainName(clusterId)) throw new HoldfastError("CERTIFICATE_NAME_INVALID", { name: clusterId });
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Holdfast authority ${clusterId}`,
    ...validity(options.wallMs, options.validDays ?? AUTHORITY_VALID_DAYS),
    keys,
    signingAlgorithm: KEY_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: pemOf(certificate), keyPem: await exportKey(keys.privateKey) };
}

/**
 * A certificate for one member, signed by `authority`, with a new key. Errors: CERTIFICATE_NAME_INVALID,
 * CERTIFICATE_NUMBER_INVALID, CERTIFICATE_AUTHORITY_UNUSABLE (no authority, wrong key, another cluster's,
 * expired).
 */
export async function issueMemberCertificate(authority: KeyPair, member: MemberOptions): Promise<KeyPair> {
  const keys = await newKeys();
  const certificatePem = await certify(authority, member, keys.publicKey);
  return { certificatePem, keyPem: await exportKey(keys.privateKey) };
}

/** A new key, and the request (PKCS #10, RFC 2986) by which an authority elsewhere certifies it. */
export async function createMemberRequest(
  memberName: string,
): Promise<{ requestPem: string; keyPem: string }> {
  if (!isPlainName(memberName)) throw new HoldfastError("CERTIFICATE_NAME_INVALID", { name: memberName });
  const keys = await newKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${memberName}`,
    keys,
    signingAlgorithm: KEY_ALGORITHM,
  });
  return {
    requestPem: `${request.toString("pem").trimEnd()}\n`,
    keyPem: await exportKey(keys.privateKey),
  };
}

/**
 * Certifies the key of a request. Who it is for says `member` alone: what the request says of itself counts
 * for nothing. Errors: CERTIFICATE_REQUEST_INVALID (no request, or not signed with its own key) and those of
 * `issueMemberCertificate`.
 */
export async function certifyRequest(
  authority: KeyPair,
  requestPem: string,
  member: MemberOptions,
): Promise<string> {
  const invalid = (reason: string, cause?: unknown) =>
    new HoldfastError("CERTIFICATE_REQUEST_INVALID", { reason }, { cause });
  if (requestPem.length > REQUEST_LENGTH_MAX) throw invalid("it is too long");
  let key: webcrypto.CryptoKey;
  try {
    const request = new x509.Pkcs10CertificateRequest(requestPem);
    if (!(await request.verify())) throw new Error("it is not signed with its own key");
    // Of this kind and no other: everything else throws.
    key = await request.publicKey.export(KEY_ALGORITHM, ["verify"]);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error), error);
  }
  return certify(authority, member, key);
}

async function certify(
  authority: KeyPair,
  member: MemberOptions,
  publicKey: webcrypto.CryptoKey,
): Promise<string> {
  const uri = identityUri(member);
  const issuer = readAuthority(authority.certificatePem, member.clusterId);
  const wallMs = member.wallMs ?? Date.now();
  if (issuer.notAfter.getTime() <= wallMs) {
    throw new HoldfastError("CERTIFICATE_AUTHORITY_UNUSABLE", {
      reason: `it expired at ${issuer.notAfter.toISOString()}`,
    });
  }
  const signingKey = await importKey(authority.keyPem);
  const dates = validity(wallMs, member.validDays ?? memberValidDays(member.memberNumber));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${member.memberName}`,
    issuer: issuer.subject,
    notBefore: new Date(Math.max(+dates.notBefore, +issuer.notBefore)),
    notAfter: new Date(Math.min(+dates.notAfter, +issuer.notAfter)),
    publicKey,
    signingKey,
    signingAlgorithm: KEY_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      // A member dials and is dialled.
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: uri },
        ...[member.memberName, ...(member.dnsNames ?? [])].map((value) => ({ type: "dns" as const, value })),
        ...member.addresses
          .filter((address) => isIP(address) !== 0)
          .map((value) => ({ type: "ip" as const, value: value as string })),
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  if (!(await certificate.verify({ publicKey: issuer.publicKey, signatureOnly: true }))) {
    throw new HoldfastError("CERTIFICATE_AUTHORITY_UNUSABLE", {
      reason: "its key is not the key of its certificate",
    });
  }
  return pemOf(certificate);
}

function readAuthority(pem: string, clusterId: string): x509.X509Certificate {
  let issuer: x509.X509Certificate;
  try {
    issuer = new x509.X509Certificate(pem);
  } catch (cause) {
    throw new HoldfastError(
      "CERTIFICATE_AUTHORITY_UNUSABLE",
      { reason: "its certificate cannot be read" },
      { cause },
    );
  }
  if (issuer.subject !== `CN=Holdfast authority ${clusterId}`) {
    throw new HoldfastError("CERTIFICATE_AUTHORITY_UNUSABLE", {
      reason: `it is '${issuer.subject}', not the authority of cluster ${clusterId}`,
    });
  }
  return issuer;
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await crypto.subtle.generateKey(KEY_ALGORITHM, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
}

function validity(wallMs: number | undefined, days: number): { notBefore: Date; notAfter: Date } {
  const now = wallMs ?? Date.now();
  return { notBefore: new Date(now - CLOCK_SKEW_ALLOWANCE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** 127 random bits: RFC 5280 §4.1.2.2 wants it positive and at most 20 octets. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString("pem").trimEnd()}\n`;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const body = Buffer.from(await crypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${body.replace(/.{64}/g, "$&\n").trimEnd()}\n-----END PRIVATE KEY-----\n`;
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  try {
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
    return await crypto.subtle.importKey("pkcs8", der, KEY_ALGORITHM, false, ["sign"]);
  } catch (cause) {
    throw new HoldfastError(
      "CERTIFICATE_AUTHORITY_UNUSABLE",
      { reason: "its key cannot be read" },
      { cause },
    );
  }
}
