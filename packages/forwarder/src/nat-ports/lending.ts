// What members say to each other about clients' own ports (loans.ts).
import type { Address, Place, Tag } from "@holdfast/model";

/** A client's wish for its own port. */
export interface PortWish extends Place {
  readonly serviceId: string;
  readonly source: Address;
  /** What the client lists beside its source. */
  readonly listed: readonly Address[];
  readonly clientTag: Tag;
  /** No other port will do: an endpoint that did not answer may be left for another one. */
  readonly isRequired: boolean;
}

/**
 * What members say to each other about ports. `ask` tells questions of one member apart that are about one
 * port and one tag: what it gives back of an earlier one, whose answer came late, is not what a later one
 * got. Members of releases before 0.3.0 neither say nor read it.
 */
export type LoanMessage =
  | ({ readonly kind: "lend"; readonly ask?: number } & PortWish)
  /** The handshake did not come to anything. */
  | ({ readonly kind: "back"; readonly ask?: number; readonly clientTag: Tag } & Place)
  /** Does the handshake with this tag still need it? */
  | ({ readonly kind: "still"; readonly clientTag: Tag } & Place);

/** How members are asked; absent where there are none. */
export interface PortLending {
  /** Numbers of all members of the cluster, alive or not, this one included. */
  readonly memberNumbers: readonly number[];
  /**
   * These, and numbers that rest or are about to be given: ports of their slots are lent by nobody. Default:
   * memberNumbers.
   */
  readonly takenNumbers?: readonly number[];
  /**
   * These, and numbers that rest: nobody but their bearer keeps books of their slots. Default: takenNumbers.
   */
  readonly listedNumbers?: readonly number[];
  /** Of the list of members: each change of it is one more. Default: 0, it never changes. */
  readonly listVersion?: number;
  /** The answer; undefined when none came. */
  request(member: number, message: LoanMessage): Promise<LendAnswer | undefined>;
}

/** A port that a handshake has. */
export interface Loan extends Place {
  readonly clientTag: Tag;
  readonly lenders: readonly number[];
  /** The question that got it. */
  readonly ask: number;
}

/** Why there is none: another client's; nobody can be asked; the same INIT has it toward another endpoint. */
export type NoLoan = "taken" | "unreachable" | "elsewhere";
export type LoanAnswer = Loan | NoLoan;
/** One member's word; `stale`: it has another list of members, and does not vote. */
export type LendAnswer = "yes" | "no" | "elsewhere" | "stale";

export function noLoanOf(answer: "no" | "elsewhere"): NoLoan {
  return answer === "elsewhere" ? answer : "taken";
}

export function loanOf(
  { endpoint, endpointPort, natPort, clientTag }: PortWish,
  lenders: readonly number[],
  ask: number,
): Loan {
  return { endpoint, endpointPort, natPort, clientTag, lenders, ask };
}
