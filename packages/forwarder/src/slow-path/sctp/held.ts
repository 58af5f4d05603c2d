// Packets without state wait here while the other members are asked, a short and bounded time.
import type { Replication, SessionQuestion } from "@holdfast/model";
import type { Counters } from "../../counters/counters.ts";
import { FairBucket } from "../../counters/fair-bucket.ts";
import { TokenBucket } from "../../counters/token-bucket.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import type { ForwarderLimits } from "../../limits.ts";
import { ownInput, type SctpInput } from "../../packet/input.ts";

/** Of the packets that are held, those about clients: what endpoints send has the rest. */
const CLIENT_SHARE = 0.75;

export interface HeldOptions {
  readonly replication: Replication;
  readonly counters: Counters;
  readonly limits: ForwarderLimits;
  readonly nowMs: () => number;
  /** Secret. */
  readonly seed: number;
  /** Takes the packet a second time; it is marked as asked. */
  readonly retry: (input: SctpInput) => void;
}

export class Held {
  readonly #options: HeldOptions;
  readonly #waiting = new Map<string, SctpInput[]>();
  /** About clients, whom anybody can name, and about NAT ports, which an endpoint's packets name. */
  readonly #clientRate: FairBucket;
  readonly #natPortRate: TokenBucket;
  #count = 0;
  #clientCount = 0;

  constructor(options: HeldOptions) {
    this.#options = options;
    this.#clientRate = new FairBucket(options.limits.questionsPerSecond, options.seed);
    this.#natPortRate = new TokenBucket(options.limits.questionsPerSecond);
  }

  get size(): number {
    return this.#count;
  }

  /** Holds a copy of the packet until the answer, or drops it: too many wait, or too many questions. */
  ask(input: SctpInput, question: SessionQuestion): undefined {
    const { counters, limits, replication } = this.#options;
    const key = textOf(question);
    const waiting = this.#waiting.get(key);
    const isClients = question.kind === "client";
    if (
      this.#count >= limits.heldPacketCountMax ||
      (isClients && this.#clientCount >= limits.heldPacketCountMax * CLIENT_SHARE) ||
      (waiting !== undefined && waiting.length >= limits.heldPacketCountMaxPerQuestion)
    ) {
      counters.drop("held-too-many", input.bytes);
      return;
    }
    if (waiting !== undefined) {
      waiting.push(ownInput(input, { asked: true }));
      this.#held(isClients, 1);
      return;
    }
    const nowMs = this.#options.nowMs();
    const mayAsk = isClients
      ? this.#clientRate.take(nowMs, sourcePrefix(input.source))
      : this.#natPortRate.take(nowMs);
    if (!mayAsk) {
      counters.drop("question-rate", input.bytes);
      return;
    }
    this.#waiting.set(key, [ownInput(input, { asked: true })]);
    this.#held(isClients, 1);
    counters.count("questions");
    replication.ask(question).then(
      (complete) => this.#answered(key, isClients, complete),
      () => this.#answered(key, isClients, false),
    );
  }

  #held(isClients: boolean, by: number): undefined {
    this.#count += by;
    if (isClients) this.#clientCount += by;
    if (by > 0) this.#options.counters.count("held");
  }

  #answered(key: string, isClients: boolean, complete: boolean): undefined {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    this.#held(isClients, -waiting.length);
    for (const input of waiting) this.#options.retry({ ...input, allAnswered: complete });
  }
}

function textOf(question: SessionQuestion): string {
  return question.kind === "client"
    ? `c|${question.serviceId}|${question.client}|${question.clientPort}`
    : `n|${question.endpoint}|${question.endpointPort}|${question.natPort}`;
}
