// Pull on miss: a packet without state waits while everybody is asked. A NAT port may be lent, so that its
// slot does not say who forwarded the INIT.
import type { Clock, SessionQuestion, Timer } from "@holdfast/model";
import { ANSWER_RECORD_COUNT_MAX } from "../ports/limits.ts";
import type { ToView } from "../ports/link.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { type ReplicationSettings, WAITING_COUNT_MAX } from "./settings.ts";

interface Asked {
  readonly token: number;
  readonly timer: Timer;
  readonly left: Set<number>;
  /** Members that have answered. */
  count: number;
}

interface Lookup {
  readonly peer: number;
  readonly question: number;
}

export class Questions {
  readonly #clock: Clock;
  readonly #settings: ReplicationSettings;
  readonly #post: (message: ToView) => void;
  readonly #send: (peer: number, message: PeerMessage) => boolean;
  readonly #deliver: (records: readonly Uint8Array[]) => void;
  readonly #asked = new Map<number, Asked>();
  readonly #lookups = new Map<number, Lookup>();
  #next = 1;
  readonly totals = { misses: 0, pulls: 0, pullTimeouts: 0, answered: 0 };

  constructor(ports: {
    readonly clock: Clock;
    readonly settings: ReplicationSettings;
    readonly post: (message: ToView) => void;
    readonly send: (peer: number, message: PeerMessage) => boolean;
    readonly deliver: (records: readonly Uint8Array[]) => void;
  }) {
    this.#clock = ports.clock;
    this.#settings = ports.settings;
    this.#post = ports.post;
    this.#send = ports.send;
    this.#deliver = ports.deliver;
  }

  /** Asks all that are there; who has it answers first. */
  ask(token: number, about: SessionQuestion, peers: readonly number[]): void {
    this.totals.misses++;
    const question = this.#next++;
    const left = new Set<number>();
    if (this.#asked.size < WAITING_COUNT_MAX) {
      for (const peer of peers) if (this.#send(peer, { kind: "ask", question, about })) left.add(peer);
    }
    if (left.size === 0) {
      this.#post({ kind: "answered", token, complete: this.#settings.members.length <= 1 });
      return;
    }
    const timer = this.#clock.after(this.#settings.askLimitMs, () => {
      this.totals.pullTimeouts++;
      this.#settle(question);
    });
    this.#asked.set(question, { token, timer, left, count: 0 });
  }

  answer(peer: number, question: number, records: readonly Uint8Array[]): void {
    const asked = this.#asked.get(question);
    if (asked === undefined || !asked.left.delete(peer)) return;
    asked.count += 1;
    if (records.length > 0) {
      this.totals.pulls++;
      this.#deliver(records.slice(0, ANSWER_RECORD_COUNT_MAX));
    }
    if (records.length > 0 || asked.left.size === 0) this.#settle(question);
  }

  disconnected(peer: number): void {
    for (const [question, asked] of this.#asked) {
      if (asked.left.delete(peer) && asked.left.size === 0) this.#settle(question);
    }
  }

  /** Another member asks: the view looks it up. */
  asked(peer: number, question: number, about: SessionQuestion): void {
    if (this.#lookups.size >= WAITING_COUNT_MAX) return;
    const request = this.#next++;
    this.#lookups.set(request, { peer, question });
    this.#post({ kind: "lookup", request, about });
  }

  found(request: number, records: readonly Uint8Array[]): void {
    const lookup = this.#lookups.get(request);
    if (lookup === undefined) return;
    this.#lookups.delete(request);
    this.totals.answered++;
    this.#send(lookup.peer, {
      kind: "answer",
      question: lookup.question,
      records: records.slice(0, ANSWER_RECORD_COUNT_MAX),
    });
  }

  stop(): void {
    for (const question of [...this.#asked.keys()]) this.#settle(question);
    this.#lookups.clear();
  }

  #settle(question: number): void {
    const asked = this.#asked.get(question);
    if (asked === undefined) return;
    this.#asked.delete(question);
    asked.timer.cancel();
    const complete = asked.count >= this.#settings.members.length - 1;
    this.#post({ kind: "answered", token: asked.token, complete });
  }
}
