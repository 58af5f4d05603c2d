// When the number of a member that left may be given again: not while sessions with NAT ports of its slots
// live, and not before the last of those ports, and the journals of whoever had it, have rested
// (docs/decisions/0311).
import type { ForwarderLimits } from "@holdfast/forwarder";
import { type Clock, type MemberList, memberNumberOfPort, type SessionEnvelope } from "@holdfast/model";
import { JOURNAL_MEMORY_MS } from "@holdfast/sync";
import type { AnyTable } from "../sessions/tables.ts";

/** Journals of a member that is gone are written again within this many of a journal's memory. */
const MEMORY_COUNT = 4;

/** The longest that a NAT port or a journal rests, ms. */
export function numberRestMs(
  limits: Pick<ForwarderLimits, "natPortRestVerifiedMs" | "natPortRestUnseenMs" | "natPortRestEvictedMs">,
): number {
  const { natPortRestVerifiedMs, natPortRestUnseenMs, natPortRestEvictedMs } = limits;
  const ports = Math.max(natPortRestVerifiedMs, natPortRestUnseenMs, natPortRestEvictedMs);
  return Math.max(ports, MEMORY_COUNT * JOURNAL_MEMORY_MS);
}

/** Sessions are looked at in turns: so many, so often. */
const LOOK_COUNT_MAX = 2_000;
const LOOK_PERIOD_MS = 500;

export interface NumberRestPorts {
  readonly list: () => MemberList;
  /** Of every kind of session. */
  readonly tables: readonly Pick<AnyTable, "kind" | "values">[];
  readonly memberNumberCount: number;
  /** The longest that a NAT port or a journal rests, ms. */
  readonly restMs: number;
  /** Of a slot that nobody has: what was lent of it, and rests. */
  readonly slot: (number: number) => { readonly lentCount: number; readonly restMs: number };
  readonly clock: Clock;
}

export interface Rest {
  readonly waitMs: number;
  readonly reason: string;
}

export class NumberRest {
  readonly #ports: NumberRestPorts;
  /** Monotonic ms: when a living session with a port of the slot was last seen. */
  readonly #livingAtMs = new Map<number, number>();
  /** Numbers that were looked at from the first session to the last. */
  #looked: ReadonlySet<number> = new Set();
  #looking: Set<number> = new Set();
  #visit: Iterator<readonly number[]> | undefined;
  #passBegunMs = 0;
  #passMs = 0;
  readonly #startedAtMs: number;
  readonly #timer: { cancel(): void };

  constructor(ports: NumberRestPorts) {
    this.#ports = ports;
    this.#startedAtMs = ports.clock.nowMs();
    this.#timer = ports.clock.every(LOOK_PERIOD_MS, () => this.#look());
  }

  close(): void {
    this.#timer.cancel();
  }

  /** undefined: the number may be given. */
  of(number: number): Rest | undefined {
    const { list, restMs, clock, slot } = this.#ports;
    const resting = list().resting.find((left) => left.number === number);
    if (resting === undefined) {
      const { lentCount, restMs: ports } = slot(number);
      if (lentCount > 0)
        return { waitMs: 1_000, reason: `${lentCount} of its NAT ports are lent to handshakes` };
      return ports > 0 ? { waitMs: ports, reason: "NAT ports of it that were lent rest" } : undefined;
    }
    const sinceMs = clock.wallMs() - resting.sinceMs;
    const living = this.#livingAtMs.get(number);
    // A session that ended while this member did not run may have been seen by nobody who is asked.
    const isOlder = clock.nowMs() - this.#startedAtMs < sinceMs;
    const latest = Math.max(
      living ?? Number.NEGATIVE_INFINITY,
      isOlder ? this.#startedAtMs : Number.NEGATIVE_INFINITY,
    );
    const waitMs = Math.max(restMs - sinceMs, restMs - (clock.nowMs() - latest));
    if (!this.#looked.has(number))
      return { waitMs: Math.max(waitMs, 1_000), reason: `sessions of ${resting.name} are looked for` };
    if (waitMs <= 0) return undefined;
    const lives = living !== undefined && clock.nowMs() - living < 2 * this.#roundMs();
    return {
      waitMs,
      reason: lives
        ? `sessions with NAT ports of ${resting.name} live, and the ports rest when they have ended`
        : `NAT ports and journals of ${resting.name} rest`,
    };
  }

  #roundMs(): number {
    return Math.max(this.#passMs, LOOK_PERIOD_MS) + LOOK_PERIOD_MS;
  }

  #look(): void {
    const { list, tables, memberNumberCount, clock } = this.#ports;
    const numbers = new Set(list().resting.map(({ number }) => number));
    for (const number of this.#livingAtMs.keys()) if (!numbers.has(number)) this.#livingAtMs.delete(number);
    if (numbers.size === 0) {
      this.#visit = undefined;
      this.#looked = new Set();
      return;
    }
    if (this.#visit === undefined) {
      this.#visit = portsOf(tables);
      this.#looking = numbers;
      this.#passBegunMs = clock.nowMs();
    }
    for (let i = 0; i < LOOK_COUNT_MAX; i++) {
      const next = this.#visit.next();
      if (next.done === true) {
        this.#visit = undefined;
        this.#looked = this.#looking;
        this.#passMs = clock.nowMs() - this.#passBegunMs;
        return;
      }
      for (const port of next.value) {
        const number = memberNumberOfPort(port, memberNumberCount);
        if (numbers.has(number)) this.#livingAtMs.set(number, clock.nowMs());
      }
    }
  }
}

/** NAT ports of each session that has not ended. */
function* portsOf(tables: NumberRestPorts["tables"]): Generator<readonly number[]> {
  for (const { kind, values } of tables.map((table) => ({ kind: table.kind, values: table.values() })))
    for (const record of values as Iterable<SessionEnvelope>)
      yield record.end === undefined ? kind.natPortsOf(record).map(({ natPort }) => natPort) : [];
}
