// A client's own port as its NAT port, whoever's slot it is in. A port that is in a slot of this member is
// simply taken. One in another member's slot is lent by that member; one in a slot that no member has, by a
// majority of all members. So a port is never out twice, also across a partition: whoever lends it
// remembers, and two majorities share a member.
//
// A loan is *used* by handshakes, by the members' numbers and the clients' tags. It ends when a session in
// the table holds the port (from then on the table says whether it is free), or when whoever asked for it
// gives it back or says that it is over. While a borrower cannot be asked the port stays out; one that was
// taken off the list of members may have handshakes under way, and is waited for as long as they may take,
// but no longer: nobody will answer for it.
//
// Toward one endpoint only: an INIT that two members see may not go to two endpoints from one port, not
// even one after the other, or a late INIT-ACK would not say whose it is.
import {
  type Address,
  type Clock,
  isLiving,
  memberNumberOfPort,
  type Place,
  placeKey,
  type SessionTable,
  type Tag,
} from "@holdfast/model";
import type { Counters } from "../counters/counters.ts";
import { TokenBucket } from "../counters/token-bucket.ts";
import type { ForwarderLimits } from "../limits.ts";
import type { NatPorts } from "./allocator.ts";
import { Borrowing } from "./borrowing.ts";
import { isHeldBy, type PortHolder } from "./holder.ts";
import { LeftPorts } from "./left-ports.ts";
import type { LendAnswer, Loan, LoanAnswer, LoanMessage, PortLending, PortWish } from "./lending.ts";

interface Use {
  readonly member: number;
  readonly clientTag: Tag;
  /** The member's last question; undefined: it does not say. */
  ask: number | undefined;
  /** Of the list of members here when it was lent. */
  listVersion: number;
  /** When the member was last asked, or asked for it. */
  sinceMs: number;
  asking: boolean;
  /** Since when the member is seen to be off the list. */
  unlistedMs?: number | undefined;
}

interface Lent {
  readonly place: Place;
  readonly holder: PortHolder;
  readonly uses: Use[];
}

/** Handshakes of one client that share its port; further ones are refused. */
const USE_COUNT_MAX = 8;
/** Ports that are lent and not in the table; beyond, none is. */
const LENT_COUNT_MAX = 4_096;
/** Loans looked at in one turn. */
const VISIT_COUNT_MAX = 64;

export interface LoansOptions {
  readonly memberNumber: number;
  readonly memberNumberCount: number;
  readonly lending: PortLending | undefined;
  readonly natPorts: NatPorts;
  readonly table: SessionTable;
  readonly counters: Counters;
  readonly limits: ForwarderLimits;
  readonly clock: Pick<Clock, "nowMs" | "after">;
  /** Identities of endpoints whose NAT ports must differ from this one's. */
  readonly sharingPorts: (endpoint: Address, port: number) => readonly Address[];
  /** A handshake of this member that has the port: not in the table yet. */
  readonly isUsedHere: (place: Place, clientTag: Tag) => boolean;
}

export class Loans {
  readonly #options: LoansOptions;
  readonly #lent = new Map<string, Lent>();
  readonly #byPort = new Map<number, Set<Lent>>();
  readonly #left: LeftPorts;
  readonly #borrowing: Borrowing;
  readonly #rate: TokenBucket;
  #visit: Iterator<Lent> | undefined;

  constructor(options: LoansOptions) {
    this.#options = options;
    this.#left = new LeftPorts(LENT_COUNT_MAX);
    const { memberNumber } = options;
    this.#borrowing = new Borrowing(options, {
      lendersOf: (natPort) => this.#lendersOf(natPort),
      lend: (wish, ask) => this.lend(wish, memberNumber, ask),
      over: (loan) => this.#over(loan, memberNumber, loan.clientTag, loan.ask),
    });
    this.#rate = new TokenBucket(options.limits.questionsPerSecond);
  }

  get lentCount(): number {
    return this.#lent.size;
  }

  /** Ports of the slot of this number that handshakes have. */
  lentOf(memberNumber: number): number {
    let count = 0;
    for (const { place } of this.#lent.values())
      if (memberNumberOfPort(place.natPort, this.#options.memberNumberCount) === memberNumber) count++;
    return count;
  }

  /** Members with handshakes whose port this one voted for under a list before this version. */
  borrowersBefore(listVersion: number): ReadonlySet<number> {
    const borrowers = new Set<number>();
    const { memberNumber, memberNumberCount } = this.#options;
    for (const { place, uses } of this.#lent.values()) {
      if (memberNumberOfPort(place.natPort, memberNumberCount) === memberNumber) continue;
      for (const use of uses) if (use.listVersion < listVersion) borrowers.add(use.member);
    }
    return borrowers;
  }

  get isFull(): boolean {
    return this.#lent.size >= LENT_COUNT_MAX;
  }

  /** Another question may be asked of the members. */
  mayAsk(): boolean {
    return this.#rate.take(this.#options.clock.nowMs());
  }

  /** Who lends the port: this member, others that must be asked, or nobody. */
  lenderOf(natPort: number): "self" | "others" | "nobody" {
    const [first, ...more] = this.#lendersOf(natPort);
    if (first === undefined) return "nobody";
    return first === this.#options.memberNumber && more.length === 0 ? "self" : "others";
  }

  /** The port, when nobody has to be asked for it. */
  own(wish: PortWish): LoanAnswer {
    return this.#borrowing.own(wish);
  }

  /** The port of whoever lends it: this member, another one, or a majority. */
  ask(wish: PortWish): Promise<LoanAnswer> {
    return this.#borrowing.ask(wish);
  }

  giveBack(loan: Loan): void {
    this.#borrowing.giveBack(loan);
  }

  /** Another member says something about a port. */
  heard(from: number, message: LoanMessage): LendAnswer {
    switch (message.kind) {
      case "lend":
        return this.lend(message, from, message.ask);
      case "back":
        this.#over(message, from, message.clientTag, message.ask);
        return "yes";
      case "still":
        return this.#isNeeded(message, message.clientTag) ? "yes" : "no";
    }
  }

  /** This member lends a port that is its own to lend, or its vote. */
  lend(wish: PortWish, borrower: number, ask: number | undefined): Exclude<LendAnswer, "stale"> {
    const { natPorts, counters, table, clock, lending } = this.#options;
    const { endpoint, endpointPort, natPort, serviceId, source, clientTag } = wish;
    // Somebody else is about to get the slot, or has it.
    if (!natPorts.tracks(natPort) || this.lenderOf(natPort) === "nobody") return "no";
    const key = placeKey(wish);
    let lent = this.#lent.get(key);
    if (lent === undefined && this.isFull) return "no";
    if (this.#isElsewhere(wish)) return "elsewhere";
    const living = table.byNatPort(endpoint, endpointPort, natPort).filter(isLiving);
    // The same client that begins anew before its handshake was done: at the endpoint, too, that is one
    // client. Another association of its host, which got the port for want of its own, is another client.
    const isOneClient =
      (lent === undefined || isHeldBy(lent.holder, serviceId, source)) &&
      living.every(
        (record) =>
          record.commit === undefined &&
          record.serviceId === serviceId &&
          record.clientPort === natPort &&
          record.clients.has(source),
      );
    if (!isOneClient) return "no";
    const holder: PortHolder = { serviceId, addresses: [source, ...wish.listed] };
    const isShared = lent !== undefined || living.length > 0;
    const never = isShared ? [] : this.#options.sharingPorts(endpoint, endpointPort);
    if (!isShared && !natPorts.take(wish, holder, source, clock.nowMs(), never)) return "no";
    if (lent === undefined) {
      lent = { place: { endpoint, endpointPort, natPort }, holder, uses: [] };
      this.#add(key, lent);
    }
    const known = lent.uses.find((use) => use.member === borrower && use.clientTag === clientTag);
    const under = { ask, sinceMs: clock.nowMs(), listVersion: lending?.listVersion ?? 0 };
    if (known !== undefined) Object.assign(known, under);
    else if (lent.uses.length >= USE_COUNT_MAX) return "no";
    else lent.uses.push({ member: borrower, clientTag, ...under, asking: false });
    if (borrower !== this.#options.memberNumber) counters.count("nat-ports-lent");
    return "yes";
  }

  /** This INIT has the port toward another endpoint, in a handshake or in the table. */
  #isElsewhere(wish: PortWish): boolean {
    const { natPort, clientTag, serviceId, source } = wish;
    const key = placeKey(wish);
    if (!wish.isRequired && this.#left.isElsewhere(natPort, clientTag, key, this.#options.clock.nowMs()))
      return true;
    for (const other of this.#byPort.get(natPort) ?? [])
      if (placeKey(other.place) !== key && other.uses.some((use) => use.clientTag === clientTag)) return true;
    for (const record of this.#options.table.byClient(serviceId, source, natPort)) {
      if (!isLiving(record)) continue;
      for (const candidate of record.generations.get(clientTag)?.candidates.values() ?? [])
        if (candidate.natPort === natPort && placeKey(candidate) !== key) return true;
    }
    return false;
  }

  #add(key: string, lent: Lent): void {
    const { natPort } = lent.place;
    this.#lent.set(key, lent);
    const ofPort = this.#byPort.get(natPort);
    if (ofPort === undefined) this.#byPort.set(natPort, new Set([lent]));
    else ofPort.add(lent);
  }

  #remove(key: string, lent: Lent): void {
    const { natPort } = lent.place;
    this.#lent.delete(key);
    const ofPort = this.#byPort.get(natPort);
    ofPort?.delete(lent);
    if (ofPort?.size === 0) this.#byPort.delete(natPort);
  }

  /** Whether a handshake has it that no session in the table stands for. */
  isLent(place: Place): boolean {
    return this.#lent.size > 0 && this.#lent.has(placeKey(place));
  }

  /** A session in the table holds the place now, with these tags: it says from here on whether the port is free. */
  settled(place: Place, clientTags: readonly Tag[]): void {
    const key = placeKey(place);
    const lent = this.#lent.get(key);
    if (lent === undefined) return;
    for (let i = lent.uses.length - 1; i >= 0; i--)
      if (clientTags.includes((lent.uses[i] as Use).clientTag)) lent.uses.splice(i, 1);
    if (lent.uses.length === 0) this.#remove(key, lent);
  }

  /** Housekeeping: of uses that have lasted for longer than any unanswered handshake, their members are asked. */
  tick(nowMs: number): void {
    if (this.#lent.size === 0) return;
    const iterator = this.#visit ?? this.#lent.values();
    for (let i = 0; i < VISIT_COUNT_MAX; i++) {
      const next = iterator.next();
      if (next.done === true) {
        this.#visit = undefined;
        return;
      }
      this.#check(next.value, nowMs);
    }
    this.#visit = iterator;
  }

  #check({ place, uses }: Lent, nowMs: number): void {
    const { limits, memberNumber, lending } = this.#options;
    for (const use of [...uses]) {
      if (use.asking || nowMs - use.sinceMs < limits.initTimeoutMs) continue;
      if (use.member === memberNumber) {
        if (this.#isNeeded(place, use.clientTag)) use.sinceMs = nowMs;
        else this.#over(place, use.member, use.clientTag, use.ask);
        continue;
      }
      if (lending === undefined || this.#isAbandoned(place, use, nowMs)) continue;
      use.asking = true;
      const { member, clientTag, ask } = use;
      void lending.request(member, { kind: "still", ...place, clientTag }).then((answer) => {
        use.asking = false;
        use.sinceMs = this.#options.clock.nowMs();
        if (answer === "no") this.#over(place, member, clientTag, ask);
      });
    }
  }

  /** Its borrower has been off the list for longer than any handshake: the use is over. */
  #isAbandoned(place: Place, use: Use, nowMs: number): boolean {
    const { lending, limits } = this.#options;
    const isListed = lending?.memberNumbers.includes(use.member) !== false;
    use.unlistedMs = isListed ? undefined : (use.unlistedMs ?? nowMs);
    if (use.unlistedMs === undefined) return false;
    if (nowMs - use.unlistedMs < limits.initTimeoutMs + limits.handshakeTimeoutMs) return false;
    this.#over(place, use.member, use.clientTag, use.ask);
    return true;
  }

  #isNeeded(place: Place, clientTag: Tag): boolean {
    const { isUsedHere, table } = this.#options;
    if (this.#borrowing.isAsking(place, clientTag) || isUsedHere(place, clientTag)) return true;
    const { endpoint, endpointPort, natPort } = place;
    return table.byNatPort(endpoint, endpointPort, natPort).some(isLiving);
  }

  /**
   * One use less, unless its member has asked again since; without any the port is given back, unless the
   * table holds it.
   */
  #over(place: Place, member: number, clientTag: Tag, ask: number | undefined): void {
    const key = placeKey(place);
    const lent = this.#lent.get(key);
    const index = lent?.uses.findIndex((use) => use.member === member && use.clientTag === clientTag) ?? -1;
    if (lent === undefined || index < 0) return;
    const lastAsk = lent.uses[index]?.ask;
    if (ask !== undefined && lastAsk !== undefined && ask !== lastAsk) return;
    lent.uses.splice(index, 1);
    const { endpoint, endpointPort, natPort } = place;
    const { table, natPorts, clock, limits } = this.#options;
    this.#left.add(natPort, clientTag, key, clock.nowMs() + limits.initTimeoutMs);
    if (lent.uses.length > 0) return;
    this.#remove(key, lent);
    if (table.byNatPort(endpoint, endpointPort, natPort).some(isLiving)) return;
    natPorts.release(endpoint, endpointPort, natPort, "evicted", clock.nowMs(), lent.holder);
  }

  /** Whose word it takes: the member that has the slot, or all when none has it. */
  #lendersOf(natPort: number): readonly number[] {
    const { lending, memberNumber, memberNumberCount } = this.#options;
    const number = memberNumberOfPort(natPort, memberNumberCount);
    if (number === memberNumber) return [memberNumber];
    const all = lending?.memberNumbers;
    // Without a list it is not known whether somebody has the slot.
    if (all === undefined) return [];
    if (all.includes(number)) return [number];
    return lending?.takenNumbers?.includes(number) === true ? [] : all;
  }
}
