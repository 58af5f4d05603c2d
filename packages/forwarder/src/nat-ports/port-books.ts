// What this member's books say of NAT ports to those who change the list of members.
import type { Clock } from "@holdfast/model";
import type { NatPorts } from "./allocator.ts";
import type { Loans } from "./loans.ts";

export interface PortBooks {
  /**
   * Of the slot of a number that no member has: NAT ports lent to handshakes, and how long the last one
   * rests.
   */
  slot(memberNumber: number): { readonly lentCount: number; readonly restMs: number };
  /** Numbers of members with handshakes whose port this one voted for under a list before this version. */
  borrowersBefore(listVersion: number): ReadonlySet<number>;
}

interface PortParts {
  readonly loans: Loans;
  readonly natPorts: NatPorts;
  readonly clock: Pick<Clock, "nowMs">;
}

export function portBooksOf({ loans, natPorts, clock }: PortParts): PortBooks {
  return {
    slot: (number) => ({ lentCount: loans.lentOf(number), restMs: natPorts.restMs(number, clock.nowMs()) }),
    borrowersBefore: (listVersion) => loans.borrowersBefore(listVersion),
  };
}
