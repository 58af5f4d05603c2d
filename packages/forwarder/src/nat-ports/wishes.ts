// INITs that wait while other members are asked for their client's own port, a short and bounded time.
import type { Clock, Endpoint } from "@holdfast/model";
import { ownInput, type SctpInput } from "../packet/input.ts";
import type { LoanAnswer, PortWish } from "./lending.ts";
import type { Loans } from "./loans.ts";

export interface GrantedWish {
  readonly endpoint: Endpoint;
  readonly answer: LoanAnswer;
  /** Endpoints toward which it was refused before. */
  readonly refused: readonly Endpoint[];
}

export interface WishesOptions {
  readonly loans: Loans;
  readonly clock: Clock;
  readonly countMax: number;
  /** Takes the INIT a second time; it takes the answer along. */
  readonly retry: (input: SctpInput) => void;
}

export class Wishes {
  readonly #options: WishesOptions;
  readonly #asking = new Set<string>();
  readonly #answers = new Map<string, GrantedWish>();

  constructor(options: WishesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#asking.size;
  }

  get isFull(): boolean {
    return this.#asking.size >= this.#options.countMax;
  }

  /** An INIT of this client waits: copies of it are not needed. */
  isAsking(key: string): boolean {
    return this.#asking.has(key);
  }

  /** Holds the INIT until the members have answered, at most `limitMs`. */
  ask(
    key: string,
    to: Pick<GrantedWish, "endpoint" | "refused">,
    wish: PortWish,
    input: SctpInput,
    limitMs: number,
  ): void {
    const { loans, clock, retry } = this.#options;
    const own = ownInput(input, { asked: input.asked });
    this.#asking.add(key);
    let isOver = false;
    const over = (answer: LoanAnswer) => {
      isOver = true;
      timer.cancel();
      this.#asking.delete(key);
      this.#answers.set(key, { ...to, answer });
      retry(own);
      // Whatever became of the INIT, what it did not take is nobody's.
      const left = this.take(key);
      if (left !== undefined) this.giveBack(left);
    };
    const timer = clock.after(limitMs, () => over("unreachable"));
    const answered = (answer: LoanAnswer) => {
      if (!isOver) over(answer);
      else this.giveBack({ answer });
    };
    loans.ask(wish).then(answered, () => answered("unreachable"));
  }

  /** The answer that this INIT waited for. */
  take(key: string): GrantedWish | undefined {
    const answer = this.#answers.get(key);
    if (answer !== undefined) this.#answers.delete(key);
    return answer;
  }

  giveBack({ answer }: Pick<GrantedWish, "answer">): void {
    if (typeof answer !== "string") this.#options.loans.giveBack(answer);
  }
}
