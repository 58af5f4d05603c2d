// Keepers of several members over one medium: notes of one are notes of all that are connected, and requests
// are answered.
import {
  type Clock,
  type ListedMember,
  MemberBook,
  type Members,
  SessionView,
  silentLogger,
  type Timer,
} from "@holdfast/model";
import type { Applicant } from "@holdfast/sync";
import type { RequestHandler } from "../../cluster/link.ts";
import { createLocalConfigurationStore } from "../../services/store.ts";
import { type KeeperPorts, MembersKeeper } from "../keeper.ts";
import { NumberRest } from "../number-rest.ts";

export const SETTLE_MS = 15_000;
export const REST_MS = 600_000;

/** Runs timers when it is told to. */
class HandClock implements Clock {
  #nowMs = 1_000;
  #timers: { atMs: number; readonly everyMs: number | undefined; readonly action: () => void }[] = [];
  nowMs = () => this.#nowMs;
  wallMs = () => 1_800_000_000_000 + this.#nowMs;
  after(delayMs: number, action: () => void): Timer {
    return this.#add(delayMs, undefined, action);
  }
  every(periodMs: number, action: () => void): Timer {
    return this.#add(periodMs, periodMs, action);
  }
  #add(delayMs: number, everyMs: number | undefined, action: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, everyMs, action };
    this.#timers.push(timer);
    const cancel = () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
    return { cancel };
  }
  pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#timers.filter((t) => t.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (next.everyMs === undefined) this.#timers = this.#timers.filter((other) => other !== next);
      else next.atMs += next.everyMs;
      next.action();
    }
    this.#nowMs = untilMs;
  }
}

export const listed = (number: number): ListedMember => ({
  name: `m${number}`,
  number,
  addresses: [{ address: `192.0.2.${number + 1}` }],
  probePort: 7082,
  replicationPort: 7081,
});

export class Medium {
  readonly clock = new HandClock();
  readonly machines = new Map<number, Machine>();

  start(numbers: readonly number[]): Machine[] {
    return numbers.map((number) => new Machine(this, number, numbers));
  }
}

export class Machine {
  readonly number: number;
  readonly store = createLocalConfigurationStore();
  readonly book: MemberBook;
  readonly keeper: MembersKeeper;
  readonly rest: NumberRest;
  readonly view = new SessionView();
  isUp = true;
  /** Members with ports that it voted for under the list before. */
  borrowers: readonly number[] = [];
  standing: boolean | undefined;
  readonly drains: string[] = [];
  readonly #handlers = new Map<string, RequestHandler>();
  #excluded: (by: string) => void = () => {};
  #applied: (applicant: Applicant) => void = () => {};

  constructor(
    medium: Medium,
    number: number,
    numbers: readonly number[],
    options: { join?: boolean; admits?: boolean } = {},
  ) {
    this.number = number;
    medium.machines.set(number, this);
    this.book = new MemberBook(numbers.map(listed));
    const own = { name: `m${number}`, number, zone: "" };
    const others = () => [...medium.machines.values()].filter((m) => m !== this && m.isUp && this.isUp);
    const link: KeeperPorts["link"] = {
      store: {
        ...this.store,
        setNote: (name, note) => {
          for (const machine of [this, ...others()]) machine.store.setNote(name, note);
        },
      },
      storeKept: async () => {},
      connected: () => others().map((machine) => machine.number),
      capabilitiesOf: () => undefined,
      request: async (member, topic, body) =>
        others()
          .find((machine) => machine.number === member)
          ?.answer(topic, number, body),
      onRequest: (topic, handler) => void this.#handlers.set(topic, handler),
      onExcluded: (listener) => {
        this.#excluded = listener;
      },
      onApplied: (listener) => {
        this.#applied = listener;
      },
    };
    this.rest = new NumberRest({
      list: () => this.book.current(),
      tables: [this.view],
      memberNumberCount: 8,
      restMs: REST_MS,
      slot: () => ({ lentCount: 0, restMs: 0 }),
      clock: medium.clock,
    });
    this.keeper = new MembersKeeper({
      own,
      book: this.book,
      link,
      join: options.join === true ? [{ host: "192.0.2.1", port: 7081 }] : [],
      admitsCertified: options.admits === true,
      ports: { probePort: 7082, replicationPort: 7081 },
      settleMs: SETTLE_MS,
      clock: medium.clock,
      logger: silentLogger,
      events: { emit: () => {} },
      onStanding: (isMember) => {
        this.standing = isMember;
      },
    });
    this.keeper.attach({
      rest: this.rest,
      loans: { borrowersBefore: () => new Set(this.borrowers) },
      farewells: {
        setDrained: (name, drained) => {
          this.drains.push(`${name} ${drained}`);
          this.store.setMemberDrained(name, drained);
        },
        isDrained: (name) => this.store.drainedMembers().has(name),
        announces: () => 0,
      },
    });
  }

  answer(topic: string, from: number, body: Uint8Array): ReturnType<RequestHandler> | undefined {
    return this.#handlers.get(topic)?.(from, body);
  }

  excludedBy(name: string): void {
    this.#excluded(name);
  }

  applies(applicant: Applicant): void {
    this.#applied(applicant);
  }

  /** A stranger to it that has it on its list, `version`. */
  isListedBy(number: number, version: number): void {
    const { name, addresses } = listed(number);
    this.#applied({ name, number, addresses: addresses.map(({ address }) => address), listVersion: version });
  }

  /** What it would hold after a link came up. */
  learn(from: Machine): void {
    for (const [name, note] of from.store.notes()) this.store.setNote(name, note);
  }
}

export const names = (members: Members) =>
  members
    .current()
    .members.map(({ name }) => name)
    .join();
