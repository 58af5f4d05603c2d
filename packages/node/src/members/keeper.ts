// The list of members of a running cluster: what the shared configuration says goes into the book that
// everybody reads, what operators and applicants want goes to the other members for their votes.
import type { PortBooks } from "@holdfast/forwarder";
import {
  type Clock,
  HoldfastError,
  type ListedMember,
  type Logger,
  type MemberBook,
  type MemberList,
  type MemberName,
  majorityOf,
} from "@holdfast/model";
import type { Applicant, JoinAddress } from "@holdfast/sync";
import type { ClusterLink } from "../cluster/link.ts";
import type { OwnMember } from "../config/check.ts";
import type { EventBus } from "../events/bus.ts";
import { Agreement, type Answer, errorOf, type Problem, type Question } from "./agreement.ts";
import { Applicants } from "./applicants.ts";
import { applied, checkChange, type MemberChange } from "./change.ts";
import { LaterLists } from "./later-lists.ts";
import { mustAllTakeLists } from "./list-takers.ts";
import type { NumberRest } from "./number-rest.ts";
import { answerOf, decode, encode, questionOf } from "./questions.ts";
import { storedList, storedVote, storeList, storeVote } from "./stored-list.ts";

const TOPIC = "members";
/** Each waits a second for its answer. */
const ASK_COUNT_MAX = 3;
/** The links to who was removed stay for two seconds; nobody of this name comes back. */
const FORGET_DRAIN_MS = 5_000;
/** How long a member that is taken out has to hand its VIPs over. */
const HAND_OVER_MS = 5_000;
const HAND_OVER_LOOK_MS = 100;

export interface KeeperPorts {
  readonly own: OwnMember;
  readonly book: MemberBook;
  readonly link: Pick<
    ClusterLink,
    | "store"
    | "storeKept"
    | "request"
    | "onRequest"
    | "connected"
    | "onExcluded"
    | "onApplied"
    | "capabilitiesOf"
  >;
  readonly join: readonly JoinAddress[];
  /** Whoever has a certificate of the cluster's authority is added. */
  readonly admitsCertified: boolean;
  /** Ports of a member that comes as an applicant. */
  readonly ports: Pick<ListedMember, "probePort" | "replicationPort">;
  /**
   * After a change the next one waits so long: what was lent under the old list is in the table by then, or
   * given back.
   */
  readonly settleMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: Pick<EventBus, "emit">;
  /** This member is one of the cluster, or not (yet, any longer), with one sentence. */
  readonly onStanding: (isMember: boolean, detail: string) => void;
}

/** What it takes to take a member out, beside votes. */
export interface Farewells {
  setDrained(name: MemberName, drained: boolean): void;
  isDrained(name: MemberName): boolean;
  /** VIPs that it announces. */
  announces(name: MemberName): number;
}

export class MembersKeeper {
  readonly #ports: KeeperPorts;
  readonly #agreement: Agreement;
  readonly #closers: (() => void)[] = [];
  readonly #applicants: Applicants;
  #rest: Pick<NumberRest, "of"> | undefined;
  #loans: Pick<PortBooks, "borrowersBefore"> | undefined;
  #farewells: Farewells | undefined;
  #changedAtMs: number;
  #reserved: readonly number[] = [];
  #removed = false;
  /** Not empty: the list is not known, whoever is there is asked. */
  #join: readonly JoinAddress[];
  readonly #later = new LaterLists();

  constructor(ports: KeeperPorts) {
    this.#ports = ports;
    const { link, own, book, clock } = ports;
    this.#join = ports.join;
    this.#applicants = new Applicants(clock);
    // As if it had changed now: a vote that an earlier life gave and lost is settled, or was never chosen.
    this.#changedAtMs = storedList(link.store) === undefined ? clock.nowMs() - ports.settleMs : clock.nowMs();
    this.#agreement = new Agreement({
      self: { name: own.name, number: own.number },
      list: () => book.current(),
      ask: (member, question) => this.#ask(member, question),
      vote: () => storedVote(link.store, own.name),
      keepVote: (vote) => {
        storeVote(link.store, own.name, vote);
        return link.storeKept();
      },
      mustBeTaken: (change) => this.#mustAllTake(change.kind === "remove" ? change.name : undefined),
      problemOf: (change) => this.#problemOf(change),
      chosen: async (before, list, change) => {
        if (list.version > book.current().version) storeList(link.store, before, list, change);
        await link.storeKept();
      },
    });
    link.onRequest(TOPIC, async (from, body) => {
      const question = questionOf(decode(body));
      const answer: Answer =
        question === undefined
          ? { ok: false, reason: "it does not understand the question" }
          : await this.#agreement.answer(from, question);
      return encode(answer);
    });
    link.onExcluded((by) => this.#excluded(`${by} says so`));
    link.onApplied((applicant) => this.#applied(applicant));
    this.#closers.push(link.store.subscribe(() => this.#read()));
    if (this.#join.length > 0) ports.onStanding(false, "this member does not know the list of members yet");
    this.#read();
  }

  /** What is only there when more of the daemon is. */
  attach(parts: {
    readonly rest: Pick<NumberRest, "of">;
    readonly farewells: Farewells;
    readonly loans: Pick<PortBooks, "borrowersBefore">;
  }): void {
    this.#rest = parts.rest;
    this.#loans = parts.loans;
    this.#farewells = parts.farewells;
  }

  /** One of the cluster: it may own VIPs and give NAT ports out. */
  get isMember(): boolean {
    return !this.#removed && this.#join.length === 0;
  }

  /** Numbers that this member has voted for, and that nobody has yet: it lends no port of their slots. */
  get reservedNumbers(): readonly number[] {
    return this.#reserved;
  }

  /** Not empty: the list is not known, whoever is there is asked. */
  get join(): readonly JoinAddress[] {
    return this.#join;
  }

  /**
   * Resolves when the member is on the list. Errors: see `Agreement.propose`, MEMBER_NUMBER_RESTS,
   * MEMBER_NUMBER_DIFFERS, MEMBER_ADDRESS_DIFFERS, MEMBER_UNHEARD.
   */
  async add(member: ListedMember): Promise<MemberList> {
    this.#mustBeMember();
    const change: MemberChange = { kind: "add", member };
    const before = this.#ports.book.current();
    checkChange(before, change);
    this.#applicants.mustFit(member, before);
    this.#mustAllTake();
    const list = await this.#agreement.propose(change);
    this.#tell(`Member ${member.name}, number ${member.number}, was added.`);
    return list;
  }

  /**
   * `gone`: the operator says that its machine does not run and will not; without that word it must be there
   * to hand its VIPs over, which it does only for a change that can come about, and keeps them, as a drain that
   * it had, when it did not. Errors: see `Agreement.propose`, MEMBER_IS_SELF, MEMBER_NOT_THERE.
   */
  async remove(name: MemberName, options: { readonly gone: boolean }): Promise<MemberList> {
    this.#mustBeMember();
    const { own, book, link, clock } = this.#ports;
    const change: MemberChange = { kind: "remove", name, atMs: Math.floor(clock.wallMs()) };
    checkChange(book.current(), change);
    if (name === own.name) throw new HoldfastError("MEMBER_IS_SELF", { member: name });
    this.#mustAllTake(name);
    const number = book.current().members.find((each) => each.name === name)?.number ?? -1;
    const remove = async () => {
      const list = await this.#agreement.propose(change);
      this.#tell(`Member ${name} was removed; its number ${number} rests.`);
      return list;
    };
    if (options.gone) return remove();
    if (!link.connected().includes(number)) throw new HoldfastError("MEMBER_NOT_THERE", { member: name });
    const problem = this.#problemOf(change);
    if (problem !== undefined) throw errorOf(problem);
    const wasDrained = this.#farewells?.isDrained(name) === true;
    let removed = false;
    try {
      // Without majorities in reach it would hand over for nothing; who is asked says how many agree.
      if (this.#reachesMajorities(change)) await this.#handOver(name);
      const list = await remove();
      removed = true;
      return list;
    } finally {
      if (removed) this.#forgetDrain(name);
      else this.#farewells?.setDrained(name, wasDrained);
    }
  }

  /** Later: who hears that it is drained no more before it hears that it was removed takes its VIPs back. */
  #forgetDrain(name: MemberName): void {
    const timer = this.#ports.clock.after(FORGET_DRAIN_MS, () => this.#farewells?.setDrained(name, false));
    this.#closers.push(() => timer.cancel());
  }

  /** Numbers that are nobody's and not to be given yet. */
  resting(): readonly { readonly number: number; readonly name: MemberName; readonly waitMs: number }[] {
    return this.#ports.book
      .current()
      .resting.map(({ number, name }) => ({ number, name, waitMs: this.#rest?.of(number)?.waitMs ?? 0 }));
  }

  close(): void {
    for (const close of this.#closers.splice(0)) close();
  }

  #mustBeMember(): void {
    if (!this.isMember) throw new HoldfastError("MEMBER_NOT_LISTED", { member: this.#ports.own.name });
  }

  /** Asked before a change is proposed, and again when members have voted: by then they have been heard. */
  #mustAllTake(except?: MemberName): void {
    const others = this.#others().filter(({ name }) => name !== except);
    mustAllTakeLists(others, this.#ports.link);
  }

  #others(): ListedMember[] {
    const { own, book } = this.#ports;
    return book.current().members.filter((member) => member.name !== own.name);
  }

  /** A vote is on a disk before it is given, and disks may be slow; asked twice a member says the same. */
  async #ask(member: number, question: Question): Promise<Answer | undefined> {
    const { link } = this.#ports;
    for (let i = 0; i < ASK_COUNT_MAX && link.connected().includes(member); i++) {
      const answer = await link.request(member, TOPIC, encode(question));
      if (answer !== undefined) return answerOf(decode(answer));
    }
    return undefined;
  }

  async #handOver(name: MemberName): Promise<void> {
    const farewells = this.#farewells;
    if (farewells === undefined) return;
    const { clock } = this.#ports;
    farewells.setDrained(name, true);
    const untilMs = clock.nowMs() + HAND_OVER_MS;
    // What nobody else could take stays with it until it is gone.
    while (farewells.announces(name) > 0 && clock.nowMs() < untilMs)
      await new Promise<void>((resolve) => void clock.after(HAND_OVER_LOOK_MS, resolve));
  }

  #problemOf(change: MemberChange): Problem | undefined {
    const { clock, settleMs } = this.#ports;
    const waitMs = this.#changedAtMs + settleMs - clock.nowMs();
    if (waitMs > 0 || this.#hasOldLoans(change))
      return { code: "MEMBERS_SETTLING", details: { seconds: Math.max(1, secondsOf(waitMs)) } };
    if (change.kind === "remove") return undefined;
    const { number } = change.member;
    const rest = this.#rest?.of(number);
    if (rest === undefined) return undefined;
    const details = { number, seconds: secondsOf(rest.waitMs), reason: rest.reason };
    return { code: "MEMBER_NUMBER_RESTS", details };
  }

  /**
   * Majorities of this list and of the next share a member, those of the list before and of the next may not:
   * what this member voted for under that list must be in the table, or given back. A borrower that cannot be
   * asked has dropped what it lent (`lenderGone`).
   */
  #hasOldLoans(change: MemberChange): boolean {
    const { book, link, own } = this.#ports;
    const { version, members } = book.current();
    const connected = [own.number, ...link.connected()];
    const leaving = change.kind === "remove" && members.find(({ name }) => name === change.name)?.number;
    for (const number of this.#loans?.borrowersBefore(version) ?? [])
      if (connected.includes(number) && number !== leaving) return true;
    return false;
  }

  /** Of the list as it is, and of the one that the change makes. */
  #reachesMajorities(change: MemberChange): boolean {
    const { book, link, own } = this.#ports;
    const reached = new Set([own.number, ...link.connected()]);
    return [book.current(), applied(book.current(), change)].every(
      (list) => list.members.filter(({ number }) => reached.has(number)).length >= majorityOf(list),
    );
  }

  #reserve(): void {
    const { link, own, book } = this.#ports;
    const vote = storedVote(link.store, own.name);
    const change = vote?.version === book.current().version ? vote.accepted?.change : undefined;
    const reserved = change?.kind === "add" ? [change.member.number] : [];
    if (reserved.join() !== this.#reserved.join()) this.#reserved = reserved;
  }

  #read(): void {
    this.#readList();
    this.#reserve();
  }

  #readList(): void {
    const { book, own, link, clock, logger, onStanding } = this.#ports;
    const list = storedList(link.store);
    const before = book.current();
    if (list === undefined || list.version < Math.max(before.version, this.#later.awaited)) return;
    if (!list.members.some(({ name, number }) => name === own.name && number === own.number)) {
      if (isRemoved(list, own.name)) this.#excluded("the list says so");
      return;
    }
    if (list.version === before.version) {
      // No change, but what rests may have come later than the list.
      book.set(list);
      return;
    }
    this.#changedAtMs = clock.nowMs();
    const wasMember = this.isMember;
    this.#join = [];
    this.#removed = false;
    this.#later.found();
    logger.info(
      { version: list.version, members: list.members.map(({ name }) => name).join() },
      "the list of members has changed",
    );
    book.set(list);
    if (!wasMember) onStanding(true, "this member is on the list");
  }

  #excluded(how: string): void {
    if (this.#removed) return;
    this.#removed = true;
    const { own, logger, onStanding } = this.#ports;
    const detail = `${own.name} was removed from the cluster (${how}): stop it; it comes back under another name`;
    logger.error({}, detail);
    this.#tell(detail);
    onStanding(false, detail);
  }

  #applied(applicant: Applicant): void {
    const { name, number, addresses, listVersion } = applicant;
    if (listVersion !== undefined) {
      this.#isListedLater(applicant, listVersion);
      return;
    }
    const { admitsCertified, logger, ports } = this.#ports;
    if (!this.#applicants.heard(applicant) || !admitsCertified || !this.isMember) return;
    const member = { name, number, addresses: addresses.map((address) => ({ address })), ...ports };
    this.add(member).catch((error: unknown) => {
      const told =
        error instanceof HoldfastError ? { code: error.code, remedy: error.remedy } : { err: error };
      logger.warn({ peer: name, ...told }, `an applicant is not taken: ${String(error)}`);
    });
  }

  /** The stranger is one of today's members, and this one's list is old: it stands by until it has theirs. */
  #isListedLater({ name, addresses }: Applicant, version: number): void {
    const { own, book, link, ports, logger, events, onStanding } = this.#ports;
    const list = book.current();
    if (!this.isMember || !this.#later.believes(version, list, own.number, link.connected())) return;
    this.#join = addresses.map((host) => ({ host, port: ports.replicationPort }));
    const detail =
      `the list of members here (version ${list.version}) is old: ${name}, which is not on it, has version ` +
      `${version} with ${own.name}; ${own.name} takes no part until it has that list`;
    logger.warn({ peer: name, version }, detail);
    events.emit({ type: "membership", message: detail });
    // Before it is alone on its list, or it would take what the others have.
    onStanding(false, detail);
    // As one that joins: majorities of the old list are none.
    book.set({ ...list, members: list.members.filter((member) => member.name === own.name) });
  }

  #tell(message: string): void {
    this.#ports.events.emit({ type: "membership", message });
    this.#ports.logger.info({}, message);
  }
}

const isRemoved = ({ resting, former = [] }: MemberList, own: MemberName) =>
  former.includes(own) || resting.some(({ name }) => name === own);

const secondsOf = (ms: number) => Math.ceil(ms / 1_000);
