// Ports of a slot that nobody has, lent by votes, while the list of members changes: the product's loans, its
// exchange, its keepers of the list, over a medium in which every word may be late, lost, or overtaken by
// another one. At no time may two clients have one port.

import { type LendAnswer, LIMITS_DEFAULT, type LoanMessage } from "@holdfast/forwarder";
import { Counters, type Loan, Loans, NatPorts } from "@holdfast/forwarder/testing";
import {
  type Address,
  type ListedMember,
  MemberBook,
  type Random,
  SessionView,
  seededRandom,
  silentLogger,
} from "@holdfast/model";
import {
  type ClusterLink,
  createLocalConfigurationStore,
  MembersKeeper,
  markOf,
  portLending,
  type RequestHandler,
  serveLending,
} from "@holdfast/node/testing";
import { CAPABILITIES } from "@holdfast/sync";
import { SimulatedClock, SimulatedTime } from "../clock.ts";

export interface VoteFault {
  readonly name: string;
  /** Who votes takes no notice of the asker's list. */
  readonly isUnmarked?: boolean;
  /** The list changes whatever is lent under the one before. */
  readonly isUnsettled?: boolean;
}

export interface VotesResult {
  readonly violations: readonly string[];
  readonly totals: { readonly lent: number; readonly refused: number; readonly changes: number };
  readonly story: readonly string[];
}

const MEMBER_NUMBER_COUNT = 8;
const FIRST_COUNT = 3;
const LAST_COUNT = 7;
const RUN_MS = 5_000;
const LIMITS = {
  ...LIMITS_DEFAULT,
  initTimeoutMs: 300,
  // Shorter than a run, so that votes for who is not listed at the voter run out within it.
  handshakeTimeoutMs: 1_200,
  natPortRestEvictedMs: 200,
};
/** Of slot 7, which no member gets. */
const PORTS = [36_415, 36_407];
const ENDPOINT: Address = "10.3.2.1";
const SERVICE = "sctp/203.0.113.2:38412";
const NEWS_MAX_MS = 2_500;
const REQUEST_LIMIT_MS = 1_000;
/** An INIT waits for so long: shorter than any time-out of a handshake. */
const WISH_LIMIT_MS = 150;

class Member {
  readonly number: number;
  readonly book: MemberBook;
  readonly loans: Loans;
  readonly keeper: MembersKeeper;
  readonly handlers = new Map<string, RequestHandler>();
  readonly store = createLocalConfigurationStore();
  /** Handshakes with a lent port. */
  readonly held = new Map<Loan, string>();
  lenderGone: (member: number) => void = () => {};

  constructor(number: number, first: readonly number[], votes: Votes) {
    this.number = number;
    const { clock, fault } = votes;
    this.book = new MemberBook(first.map(listed));
    const link = votes.linkOf(this) as ClusterLink;
    this.keeper = new MembersKeeper({
      own: { name: nameOf(number), number, zone: "" },
      book: this.book,
      link,
      join: first.includes(number) && first.length > 1 ? [] : [{ host: "192.0.2.1", port: 7_081 }],
      admitsCertified: false,
      ports: { probePort: 7_082, replicationPort: 7_081 },
      settleMs: LIMITS.initTimeoutMs,
      clock,
      logger: silentLogger,
      events: { emit: () => {} },
      onStanding: () => {},
    });
    const lending = portLending(link, this.book, MEMBER_NUMBER_COUNT, () => this.keeper.reservedNumbers);
    const natPorts = new NatPorts({
      memberNumber: number,
      memberNumberCount: MEMBER_NUMBER_COUNT,
      random: seededRandom(number + 1),
      limits: LIMITS,
      memberNumbers: () => lending.listedNumbers ?? [],
    });
    this.loans = new Loans({
      memberNumber: number,
      memberNumberCount: MEMBER_NUMBER_COUNT,
      lending,
      natPorts,
      table: new SessionView(),
      counters: new Counters(),
      limits: LIMITS,
      clock,
      sharingPorts: () => [],
      isUsedHere: ({ natPort }, tag) =>
        [...this.held.keys()].some((loan) => loan.natPort === natPort && loan.clientTag === tag),
    });
    serveLending(
      link,
      {
        heardLoan: (from: number, message: LoanMessage): LendAnswer => this.loans.heard(from, message),
        lenderGone: (member: number) => this.lenderGone(member),
      },
      this.book,
      { number, memberNumberCount: MEMBER_NUMBER_COUNT },
    );
    this.keeper.attach({
      rest: { of: () => undefined },
      farewells: { setDrained: () => {}, isDrained: () => false, announces: () => 0 },
      loans: fault?.isUnsettled === true ? { borrowersBefore: () => new Set() } : this.loans,
    });
  }

  get isListed(): boolean {
    return this.keeper.isMember;
  }
}

export class Votes {
  readonly time = new SimulatedTime();
  readonly clock = new SimulatedClock(this.time);
  readonly fault: VoteFault | undefined;
  readonly #random: Random;
  readonly #members: Member[] = [];
  readonly #violations: string[] = [];
  readonly #story: string[] = [];
  readonly #cuts = new Set<string>();
  readonly #gone: ((a: number, b: number) => void)[] = [];
  /** News of one member reach another in their order. */
  readonly #newsAtMs = new Map<string, number>();
  readonly #wordsAtMs = new Map<string, number>();
  readonly #cutCounts = new Map<string, number>();
  #tag = 1;
  /** Of so many news one is late: lists that follow each other slowly, or fast. */
  readonly #lateShare: number;
  #lent = 0;
  #refused = 0;
  #changes = 0;

  constructor(seed: number, fault?: VoteFault) {
    this.fault = fault;
    this.#random = seededRandom(seed ^ 0x70_7e5);
    this.#lateShare = seed % 2 === 0 ? 4 : 64;
    const first = Array.from({ length: FIRST_COUNT }, (_, number) => number);
    for (let number = 0; number < LAST_COUNT; number++)
      this.#members.push(new Member(number, number < FIRST_COUNT ? first : [number], this));
  }

  async run(): Promise<VotesResult> {
    const { time } = this;
    const every = (periodMs: number, action: () => void) => {
      const again = () => {
        if (time.nowMs >= RUN_MS) return;
        action();
        time.at(time.nowMs + periodMs / 2 + this.#random.below(periodMs), again);
      };
      time.at(LIMITS.initTimeoutMs + this.#random.below(periodMs), again);
    };
    every(40, () => this.#open());
    every(120, () => this.#change());
    every(400, () => this.#cut());
    every(100, () => {
      for (const { loans } of this.#members) loans.tick(this.clock.nowMs());
    });
    await time.run(RUN_MS);
    const totals = { lent: this.#lent, refused: this.#refused, changes: this.#changes };
    return { violations: this.#violations, totals, story: this.#story };
  }

  /** What one member sees of the others. */
  linkOf(
    self: Member,
  ): Pick<
    ClusterLink,
    | "store"
    | "storeKept"
    | "connected"
    | "capabilitiesOf"
    | "request"
    | "onRequest"
    | "onExcluded"
    | "onApplied"
    | "onDisconnect"
  > {
    this.#gone.push((a, b) => {
      if (a === self.number) self.lenderGone(b);
    });
    return {
      store: {
        ...self.store,
        setNote: (name, note) =>
          this.#note(
            self,
            () => self.store.setNote(name, note),
            (other) => other.store.setNote(name, note),
          ),
      },
      storeKept: async () => {},
      connected: () =>
        this.#members.filter((each) => this.#reaches(self.number, each.number)).map(({ number }) => number),
      capabilitiesOf: () => CAPABILITIES,
      request: (member, topic, body) => this.#request(self.number, member, topic, body),
      onRequest: (topic, handler) => void self.handlers.set(topic, handler),
      onExcluded: () => {},
      onApplied: () => {},
      onDisconnect: (listener) =>
        void this.#gone.push((a, b) => {
          if (a === self.number) listener(b);
        }),
    };
  }

  #reaches(a: number, b: number): boolean {
    return a !== b && !this.#cuts.has(pair(a, b));
  }

  #note(self: Member, here: () => void, there: (other: Member) => void): void {
    here();
    for (const other of this.#members) {
      if (other === self) continue;
      const key = `${self.number}>${other.number}`;
      const late =
        this.#random.below(this.#lateShare) === 0 ? this.#random.below(NEWS_MAX_MS) : this.#random.below(20);
      const atMs = Math.max(this.#newsAtMs.get(key) ?? 0, this.time.nowMs + late);
      this.#newsAtMs.set(key, atMs);
      this.time.at(atMs, () => there(other));
    }
  }

  #request(from: number, to: number, topic: string, body: Uint8Array): Promise<Uint8Array | undefined> {
    return new Promise((resolve) => {
      this.time.at(this.time.nowMs + REQUEST_LIMIT_MS, () => resolve(undefined));
      this.#carry(from, to, () => {
        const member = this.#members[to];
        const handler = member?.handlers.get(topic);
        if (member === undefined || handler === undefined) return;
        const asked = this.fault?.isUnmarked === true && topic === "nat-port" ? remarked(body, member) : body;
        void Promise.resolve(handler(from, asked)).then((answer) =>
          this.#carry(to, from, () => resolve(answer)),
        );
      });
    });
  }

  /** Over the link between two members, which keeps its order; what is on its way when it is cut is lost. */
  #carry(from: number, to: number, arrived: () => void): void {
    const key = `${from}>${to}`;
    const delayMs = this.#random.below(8) === 0 ? this.#random.below(300) : 1 + this.#random.below(10);
    const atMs = Math.max(this.#wordsAtMs.get(key) ?? 0, this.time.nowMs + delayMs);
    this.#wordsAtMs.set(key, atMs);
    const cuts = this.#cutCounts.get(pair(from, to)) ?? 0;
    this.time.at(atMs, () => {
      if (this.#reaches(from, to) && (this.#cutCounts.get(pair(from, to)) ?? 0) === cuts) arrived();
    });
  }

  /** A client wants its own port, at any member. */
  #open(): void {
    const member = this.#any(this.#members.filter(({ isListed }) => isListed));
    const natPort = this.#any(PORTS);
    if (member === undefined || natPort === undefined) return;
    const client: Address = `10.1.1.${1 + this.#random.below(6)}`;
    const clientTag = this.#tag++;
    const wish = {
      endpoint: ENDPOINT,
      endpointPort: 9_999,
      natPort,
      serviceId: SERVICE,
      source: client,
      listed: [],
      clientTag,
      isRequired: true,
    };
    const untilMs = this.time.nowMs + WISH_LIMIT_MS;
    void member.loans.ask(wish).then((loan) => {
      if (typeof loan === "string" || this.time.nowMs > untilMs) {
        this.#refused++;
        if (typeof loan !== "string") member.loans.giveBack(loan);
        return;
      }
      this.#lent++;
      this.#hold(member, loan, client);
    });
  }

  #hold(member: Member, loan: Loan, client: Address): void {
    for (const other of this.#members)
      for (const [held, by] of other.held)
        if (held.natPort === loan.natPort && by !== client)
          this.#violations.push(
            `${Math.round(this.time.nowMs)} ms: port ${loan.natPort} is ${client}'s at m${member.number} (list ${member.book.current().version}) and ${by}'s at m${other.number} (list ${other.book.current().version})`,
          );
    member.held.set(loan, client);
    const over = () => {
      if (member.held.delete(loan)) member.loans.giveBack(loan);
    };
    // Unanswered, a handshake lasts for as long as its client repeats its INIT, up to four time-outs.
    this.time.at(this.time.nowMs + 20 + this.#random.below(4 * LIMITS.initTimeoutMs), over);
    const before = member.lenderGone;
    member.lenderGone = (lender) => {
      before(lender);
      if (loan.lenders.includes(lender)) over();
    };
  }

  /** An operator changes the list at any member. */
  #change(): void {
    const member = this.#any(this.#members.filter(({ isListed }) => isListed));
    if (member === undefined) return;
    const { members } = member.book.current();
    const next =
      LAST_COUNT > members.length
        ? this.#any(this.#members.filter((each) => !members.some(({ number }) => number === each.number)))
        : undefined;
    if (next === undefined) return;
    member.keeper.add(listed(next.number)).then(
      () => {
        this.#changes++;
        this.#story.push(
          `${Math.round(this.time.nowMs)} ms: m${next.number} is on the list, said at m${member.number}`,
        );
      },
      () => {},
    );
  }

  #cut(): void {
    const [a, b] = [this.#random.below(LAST_COUNT), this.#random.below(LAST_COUNT)];
    if (a === b || this.#cuts.has(pair(a, b))) return;
    this.#cuts.add(pair(a, b));
    this.#cutCounts.set(pair(a, b), (this.#cutCounts.get(pair(a, b)) ?? 0) + 1);
    for (const tell of this.#gone) {
      tell(a, b);
      tell(b, a);
    }
    this.time.at(this.time.nowMs + 100 + this.#random.below(1_500), () => this.#cuts.delete(pair(a, b)));
  }

  #any<Item>(items: readonly Item[]): Item | undefined {
    return items[this.#random.below(Math.max(1, items.length))];
  }
}

/** As if the question came from one with the voter's own list. */
function remarked(body: Uint8Array, { book }: Member): Uint8Array {
  const message = JSON.parse(new TextDecoder().decode(body)) as object;
  return new TextEncoder().encode(
    JSON.stringify({ ...message, ...("list" in message && { list: markOf(book.current()) }) }),
  );
}

const nameOf = (number: number) => `m${number}`;
const listed = (number: number): ListedMember => ({
  name: nameOf(number),
  number,
  addresses: [{ address: `192.0.2.${number + 1}` }],
  probePort: 7_082,
  replicationPort: 7_081,
});
const pair = (a: number, b: number) => (a < b ? `${a}-${b}` : `${b}-${a}`);
