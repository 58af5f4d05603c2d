// Members of the first release read the list of members in their files and carry the shared one without a
// look at it, and vote without a look at the list that votes are counted under: as long as one of them is
// there, the list stays as it is.
import { HoldfastError, type ListedMember } from "@holdfast/model";
import { LIST_VOTES, MEMBER_LISTS } from "@holdfast/sync";
import type { ClusterLink } from "../cluster/link.ts";

/**
 * Errors: MEMBER_TOO_OLD. A member that has not been heard since the start is not asked about: it may be the
 * dead one for which another one comes.
 */
export function mustAllTakeLists(
  others: readonly ListedMember[],
  link: Pick<ClusterLink, "capabilitiesOf">,
): void {
  const old = others.find(({ number }) => {
    const offers = link.capabilitiesOf(number);
    return offers !== undefined && !(offers.includes(MEMBER_LISTS) && offers.includes(LIST_VOTES));
  });
  if (old !== undefined) throw new HoldfastError("MEMBER_TOO_OLD", { member: old.name });
}
