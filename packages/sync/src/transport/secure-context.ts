// What TLS between members is set up with.
import { constants } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { HoldfastError, type MemberName } from "@holdfast/model";
import type { MemberTls } from "../certificates/verify.ts";

export function contextOf(tls: MemberTls): SecureContextOptions {
  return {
    ca: tls.authorityPem,
    cert: tls.certificatePem,
    key: tls.keyPem,
    minVersion: "TLSv1.3",
    // A resumed session carries no certificate to check.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * OpenSSL has rules of its own, such as how short a key may be: asked here, where it is an operator's
 * mistake, since replication's thread would end with it. Throws CERTIFICATE_NOT_USABLE.
 */
export function checkContext(member: MemberName, tls: MemberTls): void {
  try {
    createSecureContext(contextOf(tls));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/^error:[0-9A-F]+:/, "") : String(cause);
    throw new HoldfastError("CERTIFICATE_NOT_USABLE", { member, reason }, { cause });
  }
}
