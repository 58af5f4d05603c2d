// Packets of associations that nobody knows (RFC 9260 §8.4). An ABORT spares the sender minutes of
// retransmissions, and a wrong one kills a healthy association: it is sent from knowledge alone
// (docs/decisions/0253).
import { type Address, isLiving } from "@holdfast/model";
import { type Core, drop } from "../../core.ts";
import { TokenBucket } from "../../counters/token-bucket.ts";
import { sourcePrefix } from "../../embryos/nursery.ts";
import type { SctpInput } from "../../packet/input.ts";
import { answerOutOfTheBlue } from "./answers.ts";

/**
 * Sources are told apart by their prefix (/24, /48), by a hash of it: strangers who share a bucket share its
 * rate.
 */
const BUCKET_COUNT = 1_024;

/** Answers to packets of dead and unknown associations: rated as a whole and for each source prefix. */
export class AnswerRates {
  readonly #all: TokenBucket;
  readonly #buckets: (TokenBucket | undefined)[] = new Array(BUCKET_COUNT).fill(undefined);
  readonly #perPrefix: number;

  constructor(perSecond: number, perSecondAndPrefix: number) {
    this.#all = new TokenBucket(perSecond);
    this.#perPrefix = perSecondAndPrefix;
  }

  take(source: Address, nowMs: number): boolean {
    const prefix = sourcePrefix(source);
    let hash = 0;
    for (let i = 0; i < prefix.length; i++) hash = (Math.imul(hash, 31) + prefix.charCodeAt(i)) >>> 0;
    const at = hash % BUCKET_COUNT;
    const bucket = this.#buckets[at] ?? new TokenBucket(this.#perPrefix);
    this.#buckets[at] = bucket;
    return bucket.take(nowMs) && this.#all.take(nowMs);
  }
}

/**
 * Whether this member has known every session of the cluster for a while: all members are there, and it has
 * caught up with them. A member that is missing may serve, in another half of a partition, what is unknown
 * here.
 */
export class Certainty {
  readonly #knowsAll: () => boolean;
  readonly #forMs: number;
  #sinceMs: number | undefined;

  constructor(knowsAll: () => boolean, forMs: number) {
    this.#knowsAll = knowsAll;
    this.#forMs = forMs;
  }

  /** Housekeeping, too: what was in doubt for a moment begins anew. */
  holds(nowMs: number): boolean {
    if (!this.#knowsAll()) {
      this.#sinceMs = undefined;
      return false;
    }
    this.#sinceMs ??= nowMs;
    return nowMs - this.#sinceMs >= this.#forMs;
  }
}

/** All members were asked, and nobody who answered knows the packet's association. One that is late may. */
export function handleUnknown(core: Core, input: SctpInput): undefined {
  drop(core, "no-session", input.bytes);
  if (!input.allAnswered || !core.certainty.holds(core.clock.nowMs())) return;
  // A client may speak from an address that it never listed: its association lives all the same.
  const { verificationTag } = input.packet;
  if (core.table.byEndpointTag(verificationTag).some(isLiving)) return;
  if (core.nursery.byEndpointTag(verificationTag) !== undefined) return;
  answerOutOfTheBlue(core, input);
}
