// Whether this member's certificate files are fit, for `holdfast diagnose`.
import { HoldfastError } from "@holdfast/model";
import { verifyMemberCertificate } from "@holdfast/sync/certificates";
import { ownMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { DiagnoseFinding } from "./findings.ts";
import type { Machine } from "./machine.ts";

const subject = "certificate";

/** Nothing where the configuration names none. */
export function checkCertificate(configuration: Configuration, machine: Machine): DiagnoseFinding[] {
  const files = configuration.cluster.certificates;
  if (files === undefined) return [];
  const texts = [files.authority, files.certificate, files.key].map((file) => machine.read(file));
  const unread = [files.authority, files.certificate, files.key].filter((_, n) => texts[n] === undefined);
  if (unread.length > 0)
    return [
      {
        subject,
        level: "fail",
        detail: `${unread.join(", ")} cannot be read.`,
        remedy: "Check the paths under cluster.certificates, and that the daemon's user may read them.",
      },
    ];
  const [authorityPem = "", certificatePem = "", keyPem = ""] = texts;
  try {
    const verified = verifyMemberCertificate(
      { authorityPem, certificatePem, keyPem },
      { clusterId: configuration.cluster.id, time: "tell" },
    );
    const own = ownMember(configuration);
    if (verified.memberName !== own.name || verified.memberNumber !== own.number)
      throw new HoldfastError("CERTIFICATE_OF_ANOTHER_MEMBER", {
        file: files.certificate,
        found: `${verified.memberName}, number ${verified.memberNumber}`,
        expected: `${own.name}, number ${own.number}`,
      });
    const { trouble, daysLeft, renewSoon } = verified;
    if (trouble !== undefined) throw trouble;
    const renew =
      "holdfast certificates issue NAME, then put certificate and key in their places: no restart.";
    return [
      {
        subject,
        level: renewSoon ? "warn" : "ok",
        detail: `${verified.memberName}, number ${verified.memberNumber}: it ends in ${daysLeft} days.`,
        ...(renewSoon && { remedy: renew }),
      },
    ];
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    return [{ subject, level: "fail", detail: error.message, remedy: error.remedy }];
  }
}
