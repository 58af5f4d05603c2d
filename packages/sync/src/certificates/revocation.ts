// Certificates that are not believed any more, before their time is over. The list stands in the shared
// configuration, so that every member has it; each entry names one certificate, or all of a member that were
// issued up to a moment.
import { X509Certificate } from "node:crypto";
import { CLOCK_SKEW_ALLOWANCE_MS, identityOfCertificate } from "./identity.ts";

export type Revocation =
  /** Serial number, hexadecimal, lower case, without leading zeros. */
  | { readonly kind: "serial"; readonly serial: string }
  /** All certificates of the member that were issued until then (wall clock of whoever issued them). */
  | { readonly kind: "member"; readonly memberName: string; readonly untilMs: number };

/** Entries of the list; more are refused. */
export const REVOCATION_COUNT_MAX = 1_024;
const SERIAL = /^[0-9a-f]{1,40}$/;

/** The serial number as the list has it; undefined: it is none. */
export function serialOf(text: string): string | undefined {
  const serial = text
    .toLowerCase()
    .replace(/[:\s]/g, "")
    .replace(/^0+(?=.)/, "");
  return SERIAL.test(serial) ? serial : undefined;
}

/** Whether the certificate (PEM or DER) is on the list. What is no certificate is on none. Never throws. */
export function isRevoked(certificate: string | Uint8Array, list: readonly Revocation[]): boolean {
  if (list.length === 0) return false;
  let read: X509Certificate;
  try {
    read = new X509Certificate(certificate);
  } catch {
    return false;
  }
  const serial = serialOf(read.serialNumber);
  const name = identityOfCertificate(certificate)?.memberName;
  // It begins so long before it was made.
  const issuedMs = read.validFromDate.getTime() + CLOCK_SKEW_ALLOWANCE_MS;
  return list.some((entry) =>
    entry.kind === "serial"
      ? entry.serial === serial
      : entry.memberName === name && issuedMs <= entry.untilMs,
  );
}
