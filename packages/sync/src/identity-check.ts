// Whether a member may be who its options say.
import { HoldfastError } from "@holdfast/model";
import { type MemberTls, verifyMemberCertificate } from "./certificates/verify.ts";
import type { SyncOptions } from "./sync.ts";
import { checkContext } from "./transport/secure-context.ts";

/** Throws SYNC_NUMBER_OUT_OF_RANGE and what `checkCertificate` throws. */
export function checkIdentity(options: SyncOptions): void {
  const { memberNumber, memberNumberCount, tls } = options;
  if (memberNumber >= memberNumberCount)
    throw new HoldfastError("SYNC_NUMBER_OUT_OF_RANGE", { number: memberNumber, count: memberNumberCount });
  if (tls !== "plain") checkCertificate(options, tls);
}

/**
 * Throws what `verifyMemberCertificate` throws, SYNC_NUMBER_MISMATCH and CERTIFICATE_NOT_USABLE. A certificate
 * that is not valid now is no obstacle: links that are up stay, and a member alone serves as well as it can.
 */
export function checkCertificate(
  { memberName, memberNumber, clusterId, clock }: SyncOptions,
  tls: MemberTls,
): void {
  const verified = verifyMemberCertificate(tls, { clusterId, wallMs: clock.wallMs(), time: "tell" });
  if (verified.memberName !== memberName || verified.memberNumber !== memberNumber) {
    throw new HoldfastError("SYNC_NUMBER_MISMATCH", {
      member: memberName,
      number: memberNumber,
      certifiedMember: verified.memberName,
      certifiedNumber: verified.memberNumber,
    });
  }
  checkContext(memberName, tls);
}
