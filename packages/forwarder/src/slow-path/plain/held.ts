// Packets of flows that this member does not know wait here while the other members are asked, a short and
// bounded time.
import type { Replication, SessionQuestion } from "@holdfast/model";
import type { Counters } from "../../counters/counters.ts";
import { FairBucket } from "../../counters/fair-bucket.ts";
import { TokenBucket } from "../../counters/token-bucket.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import type { ForwarderLimits } from "../../limits.ts";
import { ownPlain, type PlainInput } from "./input.ts";

export interface PlainHeldOptions {
  readonly replication: Replication;
  readonly counters: Counters;
  readonly limits: ForwarderLimits;
  readonly nowMs: () => number;
  /** Secret. */
  readonly seed: number;
  /** Takes the packet a second time; it is marked as asked. */
  readonly retry: (input: PlainInput) => void;
}

export class PlainHeld {
  readonly #options: PlainHeldOptions;
  readonly #waiting = new Map<string, PlainInput[]>();
  readonly #clientRate: FairBucket;
  readonly #natPortRate: TokenBucket;
  #count = 0;

  constructor(options: PlainHeldOptions) {
    this.#options = options;
    this.#clientRate = new FairBucket(options.limits.questionsPerSecond, options.seed);
    this.#natPortRate = new TokenBucket(options.limits.questionsPerSecond);
  }

  get size(): number {
    return this.#count;
  }

  /**
   * Holds a copy of the packet until the answer, or drops it: too many wait, or too many questions; of the
   * latter `orElse` may make something else.
   */
  ask(input: PlainInput, question: SessionQuestion, orElse?: () => void): undefined {
    const { counters, limits, replication } = this.#options;
    const key = JSON.stringify(question);
    const waiting = this.#waiting.get(key);
    const isFull = waiting !== undefined && waiting.length >= limits.heldPacketCountMaxPerQuestion;
    if (this.#count >= limits.heldPacketCountMax || isFull) {
      counters.drop("held-too-many", input.bytes);
      return;
    }
    if (waiting === undefined) {
      const nowMs = this.#options.nowMs();
      const mayAsk =
        question.kind === "client"
          ? this.#clientRate.take(nowMs, sourcePrefix(input.source))
          : this.#natPortRate.take(nowMs);
      if (!mayAsk) {
        if (orElse !== undefined) return void orElse();
        counters.drop("question-rate", input.bytes);
        return;
      }
    }
    counters.count("held");
    this.#count += 1;
    const own = ownPlain(input, { asked: true });
    if (waiting !== undefined) {
      waiting.push(own);
      return;
    }
    this.#waiting.set(key, [own]);
    counters.count("questions");
    replication.ask(question).then(
      (complete) => this.#answered(key, complete),
      () => this.#answered(key, false),
    );
  }

  #answered(key: string, allAnswered: boolean): undefined {
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    this.#count -= waiting.length;
    for (const input of waiting) this.#options.retry({ ...input, allAnswered });
  }
}
