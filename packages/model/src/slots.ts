// The NAT port space of an endpoint is cut into slots, each one member's: NAT ports are unique by
// construction, also in a partition. A slot is never inherited because its member looks dead.

/** How many member numbers a cluster has room for; a power of two, the same at every member. */
export const MEMBER_NUMBER_COUNT_DEFAULT = 8;
export const MEMBER_NUMBER_COUNT_MAX = 64;

/**
 * The number (0 … count - 1) of the member that allocates `natPort`, and that is asked about it on a miss.
 */
export function memberNumberOfPort(natPort: number, memberNumberCount: number): number {
  return natPort & (memberNumberCount - 1);
}
