// Members of the first release read the list of members in their files and carry the shared one without a look at it: as long as
// one of them is there, the list stays as it is.
import { HoldfastError, type ListedMember } from "@holdfast/model";
import { MEMBER_LISTS } from "@holdfast/sync";
import type { ClusterLink } from "../cluster/link.ts";

/**
 * Errors: MEMBER_TOO_OLD. A member that has not been heard since the start is not asked about: it may be the dead one for
 * which another one comes.
 */
export function mustAllTakeLists(
  others: readonly ListedMember[],
  link: Pick<ClusterLink, "capabilitiesOf">,
): void {
  const old = others.find(({ number }) => link.capabilitiesOf(number)?.includes(MEMBER_LISTS) === false);
  if (old !== undefined) throw new HoldfastError("MEMBER_TOO_OLD", { member: old.name });
}
