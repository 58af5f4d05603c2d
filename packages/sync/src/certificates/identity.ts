// What a member certificate says: which cluster, which member, which number. It travels as one SAN URI,
//
//   holdfast://CLUSTER/members/NAME?number=N
//
// so that any X.509 tool shows it. The number decides the member's NAT port slots; that is why it is
// certified rather than configured: two members cannot talk themselves into the same slots.
import { X509Certificate } from "node:crypto";
import { type Address, HoldfastError, MEMBER_NUMBER_COUNT_MAX, parseAddress } from "@holdfast/model";

/**
 * Cluster ids and member names: DNS-label-like, so that they need no escaping in a URI, a file name or a log.
 */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const IDENTITY = /^holdfast:\/\/([a-z0-9-]{1,63})\/members\/([a-z0-9-]{1,63})\?number=(\d{1,3})$/;
/** Certificates start this long before they were made, so that a member with a slow clock accepts them. */
export const CLOCK_SKEW_ALLOWANCE_MS = 3_600_000;
/** A certificate larger than this (DER bytes) is not one of ours. */
export const CERTIFICATE_BYTES_MAX = 16_384;

export interface MemberIdentity {
  readonly clusterId: string;
  readonly memberName: string;
  /** 0 … MEMBER_NUMBER_COUNT_MAX - 1. */
  readonly memberNumber: number;
}

/** A member as its certificate names it, with the certificate itself. */
export interface CertifiedMember extends MemberIdentity {
  /** DER. */
  readonly certificate: Uint8Array;
}

/** True for a cluster id or member name: a-z, 0-9 and inner hyphens, 1 … 63 characters. */
export function isPlainName(text: string): boolean {
  return NAME.test(text);
}

/** Throws CERTIFICATE_NAME_INVALID or CERTIFICATE_NUMBER_INVALID for what no certificate may carry. */
export function identityUri(identity: MemberIdentity): string {
  for (const name of [identity.clusterId, identity.memberName]) {
    if (!isPlainName(name)) throw new HoldfastError("CERTIFICATE_NAME_INVALID", { name });
  }
  const { memberNumber } = identity;
  if (!Number.isInteger(memberNumber) || memberNumber < 0 || memberNumber >= MEMBER_NUMBER_COUNT_MAX) {
    throw new HoldfastError("CERTIFICATE_NUMBER_INVALID", {
      number: memberNumber,
      highest: MEMBER_NUMBER_COUNT_MAX - 1,
    });
  }
  return `holdfast://${identity.clusterId}/members/${identity.memberName}?number=${memberNumber}`;
}

/** Reads a SAN URI; undefined when it is not a member identity. Total: never throws. */
export function parseIdentityUri(uri: string): MemberIdentity | undefined {
  const match = IDENTITY.exec(uri);
  if (match === null) return undefined;
  const [, clusterId = "", memberName = "", number = ""] = match;
  const memberNumber = Number(number);
  if (!isPlainName(clusterId) || !isPlainName(memberName) || memberNumber >= MEMBER_NUMBER_COUNT_MAX)
    return undefined;
  return { clusterId, memberName, memberNumber };
}

/**
 * The identity in a certificate, PEM or DER. It says nothing about who signed it: see
 * `verifyMemberCertificate`, or TLS. Undefined when the bytes are no certificate or carry no identity, or
 * more than one. Never throws.
 */
export function identityOfCertificate(certificate: string | Uint8Array): MemberIdentity | undefined {
  if (certificate.length > CERTIFICATE_BYTES_MAX) return undefined;
  let names: string | undefined;
  try {
    names = new X509Certificate(certificate).subjectAltName;
  } catch {
    return undefined;
  }
  if (names === undefined) return undefined;
  // Node quotes whatever holds a comma or a quote; our URIs hold neither, so a plain split cannot be tricked.
  const found = names
    .split(", ")
    .filter((name) => name.startsWith("URI:"))
    .map((name) => parseIdentityUri(name.slice(4)));
  return found.length === 1 ? found[0] : undefined;
}

/** The IP addresses in a certificate, in its order. Never throws. */
export function addressesOfCertificate(certificate: string | Uint8Array): readonly Address[] {
  if (certificate.length > CERTIFICATE_BYTES_MAX) return [];
  try {
    const names = new X509Certificate(certificate).subjectAltName ?? "";
    return names
      .split(", ")
      .filter((name) => name.startsWith("IP Address:"))
      .map((name) => parseAddress(name.slice("IP Address:".length).toLowerCase()));
  } catch {
    return [];
  }
}

/** The same with the certificate, DER. */
export function certifiedMember(certificate: Uint8Array): CertifiedMember | undefined {
  const identity = identityOfCertificate(certificate);
  return identity && { ...identity, certificate };
}
