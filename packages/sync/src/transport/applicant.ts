// What is told of somebody with a certificate of the cluster whom the list of members does not have.
import { canonicalAddress } from "@holdfast/model";
import { addressesOfCertificate } from "../certificates/identity.ts";
import type { Link } from "./link.ts";
import type { Applicant } from "./settings.ts";
import { plainAddress } from "./waiting-room.ts";

/**
 * undefined: nobody vouches for its name, or no address of it is known. `listVersion`: it has a later list
 * than this member, and this member is on it.
 */
export function applicantOf(
  { certified, remote }: Pick<Link, "certified" | "remote">,
  listVersion: number | undefined,
): Applicant | undefined {
  if (certified === undefined) return undefined;
  const listed = addressesOfCertificate(certified.certificate);
  const from = canonicalAddress(plainAddress(remote.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")));
  if (listed.length === 0 && from === undefined) return undefined;
  return {
    name: certified.memberName,
    number: certified.memberNumber,
    addresses: listed.length > 0 || from === undefined ? listed : [from],
    ...(from !== undefined && { from }),
    ...(listVersion !== undefined && { listVersion }),
  };
}
