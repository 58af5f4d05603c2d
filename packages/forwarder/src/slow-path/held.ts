// Packets without state wait here while the other members are asked, a short and bounded time.
import type { Replication, SessionQuestion } from "@holdfast/model";
import type { Counters } from "../counters/counters.ts";
import { TokenBucket } from "../counters/token-bucket.ts";
import type { ForwarderLimits } from "../limits.ts";
import { ownInput, type SctpInput } from "../packet/input.ts";

export interface HeldOptions {
  readonly replication: Replication;
  readonly counters: Counters;
  readonly limits: ForwarderLimits;
  readonly nowMs: () => number;
  /** Takes the packet a second time; it is marked as asked. */
  readonly retry: (input: SctpInput) => void;
}

export class Held {
  readonly #options: HeldOptions;
  readonly #waiting = new Map<string, SctpInput[]>();
  readonly #rate: TokenBucket;
  #count = 0;

  constructor(options: HeldOptions) {
    this.#options = options;
    this.#rate = new TokenBucket(options.limits.questionsPerSecond);
  }

  get size(): number {
    return this.#count;
  }

  /** Holds a copy of the packet until the answer, or drops it: too many wait, or too many questions. */
  ask(input: SctpInput, question: SessionQuestion): undefined {
    const { counters, limits, replication } = this.#options;
    const key = textOf(question);
    const waiting = this.#waiting.get(key);
    if (
      this.#count >= limits.heldPacketCountMax ||
      (waiting !== undefined && waiting.length >= limits.heldPacketCountMaxPerQuestion)
    ) {
      counters.drop("held-too-many", input.bytes);
      return;
    }
    if (waiting !== undefined) {
      waiting.push(ownInput(input, { asked: true }));
      this.#count += 1;
      counters.count("held");
      return;
    }
    if (!this.#rate.take(this.#options.nowMs())) {
      counters.drop("question-rate", input.bytes);
      return;
    }
    this.#waiting.set(key, [ownInput(input, { asked: true })]);
    this.#count += 1;
    counters.count("held");
    counters.count("questions");
    const answered = () => this.#answered(key);
    replication.ask(question).then(answered, answered);
  }

  #answered(key: string): undefined {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    this.#count -= waiting.length;
    for (const input of waiting) this.#options.retry(input);
  }
}

function textOf(question: SessionQuestion): string {
  return question.kind === "client"
    ? `c|${question.serviceId}|${question.client}|${question.clientPort}`
    : `n|${question.endpoint}|${question.endpointPort}|${question.natPort}`;
}
