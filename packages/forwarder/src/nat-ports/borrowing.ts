// How this member asks for a client's own port, and gives it back; what it lends itself is in loans.ts.
//
// Votes count under the list of members that they were asked for under; when it changes they are asked for
// again. An answer to the question before may come after the one to the next, from the same member for the
// same tag: each question has a number, and what is given back of one leaves alone what another one got.
import { type Clock, type Place, placeKey, type Tag } from "@holdfast/model";
import type { Counters } from "../counters/counters.ts";
import {
  type LendAnswer,
  type Loan,
  type LoanAnswer,
  type LoanMessage,
  loanOf,
  noLoanOf,
  type PortLending,
  type PortWish,
} from "./lending.ts";

/** Votes that another list of members is in the way of are asked for again, so often, so much later. */
const STALE_TRY_COUNT_MAX = 4;
const STALE_PAUSE_MS = 20;

/** What this member lends to itself. */
export interface OwnBooks {
  /** Whose word a port takes: this member's, another one's, or all members'. */
  readonly lendersOf: (natPort: number) => readonly number[];
  readonly lend: (wish: PortWish, ask: number) => Exclude<LendAnswer, "stale">;
  readonly over: (loan: Loan) => void;
}

export interface BorrowingOptions {
  readonly memberNumber: number;
  readonly lending: PortLending | undefined;
  readonly counters: Counters;
  readonly clock: Pick<Clock, "after">;
}

export class Borrowing {
  readonly #options: BorrowingOptions;
  readonly #books: OwnBooks;
  /** Questions under way, by place and tag: no handshake has the port yet. */
  readonly #asking = new Map<string, number>();
  #askCount = 0;

  constructor(options: BorrowingOptions, books: OwnBooks) {
    this.#options = options;
    this.#books = books;
  }

  isAsking(place: Place, clientTag: Tag): boolean {
    return this.#asking.size > 0 && this.#asking.has(keyOf(place, clientTag));
  }

  /** The port, when nobody has to be asked for it. */
  own(wish: PortWish): LoanAnswer {
    const ask = this.#nextAsk();
    const answer = this.#books.lend(wish, ask);
    return answer === "yes" ? loanOf(wish, [this.#options.memberNumber], ask) : noLoanOf(answer);
  }

  /**
   * Asks whoever lends it, all at once: one exchange. The answer is there as soon as enough have said yes,
   * or so many have not that there never will be: a member that is dead, and is not known to be, keeps
   * nobody waiting.
   */
  async ask(wish: PortWish): Promise<LoanAnswer> {
    this.#options.counters.count("nat-ports-asked");
    const key = keyOf(wish, wish.clientTag);
    this.#asking.set(key, (this.#asking.get(key) ?? 0) + 1);
    try {
      return await this.#askUntilCounted(wish);
    } finally {
      const more = (this.#asking.get(key) ?? 1) - 1;
      if (more > 0) this.#asking.set(key, more);
      else this.#asking.delete(key);
    }
  }

  async #askUntilCounted(wish: PortWish): Promise<LoanAnswer> {
    for (let count = 1; ; count++) {
      const answer = await this.#askOnce(wish);
      if (answer !== "stale") return answer;
      if (count >= STALE_TRY_COUNT_MAX) return "unreachable";
      // Whoever is behind hears of the change in a moment.
      await new Promise<void>((resolve) => void this.#options.clock.after(STALE_PAUSE_MS, resolve));
    }
  }

  async #askOnce(wish: PortWish): Promise<LoanAnswer | "stale"> {
    const { counters, memberNumber, lending } = this.#options;
    const lenders = this.#books.lendersOf(wish.natPort);
    const listVersion = lending?.listVersion;
    const needed = lenders.length === 1 ? 1 : Math.floor(lenders.length / 2) + 1;
    const granted: number[] = [];
    const ask = this.#nextAsk();
    if (lenders.includes(memberNumber)) {
      const answer = this.#books.lend(wish, ask);
      if (answer !== "yes") return noLoanOf(answer);
      granted.push(memberNumber);
    }
    const others = lenders.filter((member) => member !== memberNumber);
    const refusals = await this.#askOthers(wish, ask, others, granted, needed);
    const loan = loanOf(wish, granted, ask);
    const isOfList = lenders.length <= 1 || lending?.listVersion === listVersion;
    if (granted.length >= needed && isOfList) {
      counters.count("nat-ports-borrowed");
      return loan;
    }
    this.giveBack(loan);
    if (refusals.includes("elsewhere")) return "elsewhere";
    if (!isOfList || refusals.includes("stale")) return "stale";
    return refusals.includes("no") ? "taken" : "unreachable";
  }

  /** Adds to `granted` until it has `needed`, or cannot; gives back what comes later. Returns the refusals. */
  #askOthers(
    wish: PortWish,
    ask: number,
    others: readonly number[],
    granted: number[],
    needed: number,
  ): Promise<(LendAnswer | undefined)[]> {
    const { lending } = this.#options;
    const message: LoanMessage = { kind: "lend", ...wish, ask };
    const refusals: (LendAnswer | undefined)[] = [];
    let isOver = false;
    return new Promise((resolve) => {
      const look = () => {
        const open = others.length - refusals.length - granted.filter((m) => others.includes(m)).length;
        if (granted.length < needed && granted.length + open >= needed) return;
        isOver = true;
        resolve(refusals);
      };
      const heard = (member: number, answer: LendAnswer | undefined) => {
        if (isOver) {
          if (answer === "yes") this.giveBack(loanOf(wish, [member], ask));
          return;
        }
        if (answer === "yes") granted.push(member);
        else refusals.push(answer);
        look();
      };
      look();
      if (isOver) return;
      for (const member of others)
        Promise.resolve(lending?.request(member, message)).then(
          (answer) => heard(member, answer),
          () => heard(member, undefined),
        );
    });
  }

  giveBack(loan: Loan): void {
    const { lending, memberNumber } = this.#options;
    const { endpoint, endpointPort, natPort, clientTag, ask } = loan;
    const message: LoanMessage = { kind: "back", endpoint, endpointPort, natPort, clientTag, ask };
    for (const lender of loan.lenders) {
      if (lender === memberNumber) this.#books.over(loan);
      // Whoever does not hear it asks some time later.
      else void lending?.request(lender, message);
    }
  }

  #nextAsk(): number {
    this.#askCount++;
    return this.#askCount;
  }
}

function keyOf(place: Place, clientTag: Tag): string {
  return `${placeKey(place)}|${clientTag}`;
}
