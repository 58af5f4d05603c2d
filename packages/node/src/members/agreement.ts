// How the list of members changes: one change at a time, each agreed on before it is in force, so that no two
// majorities, of whatever lists are in use, are disjoint (docs/decisions/0310).
//
// The list of version n decides what version n + 1 is, by single-decree Paxos: a member promises a ballot,
// accepts a change, and both are on its disk before it says so. A change is chosen when a majority of the old
// list and a majority of the new one have accepted it. Lists that follow one another differ by one member, so
// that their majorities share one; and nobody votes on the next change before it has the list that the last
// one made.
import { HoldfastError, type MemberList, type MemberName, majorityOf } from "@holdfast/model";
import { applied, checkChange, digestOf, type MemberChange } from "./change.ts";

/** Later rounds win; of one round the greater number. */
export interface Ballot {
  readonly round: number;
  readonly by: number;
}

/** What a member has promised and accepted about the list that follows `version`. */
export interface Vote {
  readonly version: number;
  readonly promised: Ballot;
  readonly accepted?: Accepted;
}

interface Accepted {
  readonly ballot: Ballot;
  readonly change: MemberChange;
}

export interface Question {
  readonly kind: "prepare" | "accept";
  /** Of the list that the change is made of, and whose members it has. */
  readonly version: number;
  readonly digest: string;
  readonly ballot: Ballot;
  readonly change: MemberChange;
}

export type Answer =
  | { readonly ok: true; readonly accepted?: Accepted }
  | {
      readonly ok: false;
      readonly reason: string;
      /** What stands against it, as an error for the operator. */
      readonly problem?: Problem;
      /** A ballot must have a greater round. */
      readonly round?: number;
    };

/** Reasons that members name to each other. */
export type Problem =
  | { readonly code: "MEMBERS_SETTLING"; readonly details: { readonly seconds: number } }
  | {
      readonly code: "MEMBER_NUMBER_RESTS";
      readonly details: { readonly number: number; readonly seconds: number; readonly reason: string };
    };

export interface AgreementPorts {
  readonly self: { readonly name: MemberName; readonly number: number };
  readonly list: () => MemberList;
  /** Asks a member; undefined when it does not answer in time. */
  readonly ask: (member: number, question: Question) => Promise<Answer | undefined>;
  readonly vote: () => Vote | undefined;
  /** Resolves when it is on disk. */
  readonly keepVote: (vote: Vote) => Promise<void>;
  /** Throws when somebody that has been heard by now, at the latest as it voted, cannot take the change. */
  readonly mustBeTaken: (change: MemberChange) => void;
  /** Why this member does not vote for the change now. */
  readonly problemOf: (change: MemberChange) => Problem | undefined;
  /**
   * The change of `before` is chosen: makes it the list, here and everywhere, unless a later one is there
   * already.
   */
  readonly chosen: (before: MemberList, list: MemberList, change: MemberChange) => Promise<void>;
}

const NOTHING: Ballot = { round: 0, by: -1 };
/** Tries with a greater ballot each, when others propose at the same time. */
const TRY_COUNT_MAX = 4;

export class Agreement {
  readonly #ports: AgreementPorts;
  #round = 0;
  /** One question after the other: what is promised is on disk before the next is looked at. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ports: AgreementPorts) {
    this.#ports = ports;
  }

  /** Another member's question, or this one's own. */
  answer(from: number, question: Question): Promise<Answer> {
    const answer = this.#turn.then(() => this.#answer(from, question));
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async #answer(from: number, question: Question): Promise<Answer> {
    const { list: current, vote: known, keepVote, problemOf } = this.#ports;
    const list = current();
    if (!list.members.some(({ number }) => number === from)) return no("it is no member");
    if (question.version !== list.version || question.digest !== digestOf(list))
      return no(`the list here has version ${list.version}, not ${question.version}`);
    const kept = known();
    const vote: Vote = kept?.version === list.version ? kept : { version: list.version, promised: NOTHING };
    if (compare(question.ballot, vote.promised) < 0)
      return { ...no("another change is under way"), round: vote.promised.round };
    // What was accepted may have been chosen: it is completed, whatever this member thinks of it now.
    const isCompletion = vote.accepted !== undefined && same(vote.accepted.change, question.change);
    const problem = isCompletion ? undefined : problemOf(question.change);
    if (problem !== undefined && (question.kind === "accept" || vote.accepted === undefined))
      return { ...no(errorOf(problem).message), problem };
    const { ballot, change } = question;
    const next: Vote =
      question.kind === "prepare"
        ? { ...vote, promised: ballot }
        : { version: list.version, promised: ballot, accepted: { ballot, change } };
    try {
      await keepVote(next);
    } catch {
      return no("its vote is not on its disk");
    }
    // The list may have changed while the disk was written.
    if (current() !== list) return no("the list has changed meanwhile");
    return next.accepted !== undefined && question.kind === "prepare"
      ? { ok: true, accepted: next.accepted }
      : { ok: true };
  }

  /**
   * Resolves when the change is chosen. Errors: those of `checkChange` and of members' problems,
   * MEMBERS_CHANGE_UNDER_WAY (another one came first), MEMBERS_NO_MAJORITY: it may still come about, when a
   * member that accepted it is asked again.
   */
  async propose(change: MemberChange): Promise<MemberList> {
    for (let count = 0; ; count++) {
      const list = this.#ports.list();
      checkChange(list, change);
      const outcome = await this.#try(list, change);
      if (outcome.kind === "chosen") {
        if (same(outcome.change, change)) return outcome.list;
        throw new HoldfastError("MEMBERS_CHANGE_UNDER_WAY", {
          other: textOf(outcome.change),
          version: outcome.list.version,
        });
      }
      this.#round = Math.max(this.#round, outcome.round);
      if (outcome.round === 0 || count + 1 >= TRY_COUNT_MAX) throw outcome.error;
    }
  }

  async #try(list: MemberList, wanted: MemberChange): Promise<Outcome> {
    const { self, vote } = this.#ports;
    this.#round = Math.max(this.#round, vote()?.promised.round ?? 0) + 1;
    const ballot = { round: this.#round, by: self.number };
    const base = { version: list.version, digest: digestOf(list), ballot };
    const promises = await this.#askAll(list, { kind: "prepare", ...base, change: wanted });
    const needed = majorityOf(list);
    if (promises.granted.length < needed) return failed(promises, list, needed);
    const change = latest(promises.accepted) ?? wanted;
    this.#ports.mustBeTaken(change);
    const next = applied(list, change);
    const accepts = await this.#askAll(list, { kind: "accept", ...base, change });
    const stays = (number: number) => next.members.some((member) => member.number === number);
    // Whoever comes knows of no other list: it can be part of no majority but one of this list's.
    const ofNext = accepts.granted.filter(stays);
    if (change.kind === "add") ofNext.push(change.member.number);
    if (accepts.granted.length < needed) return failed(accepts, list, needed);
    // Whoever leaves has no say in the list without it, and is not counted in what is said of it.
    if (ofNext.length < majorityOf(next))
      return failed({ ...accepts, granted: ofNext }, next, majorityOf(next));
    await this.#ports.chosen(list, next, change);
    return { kind: "chosen", change, list: next };
  }

  async #askAll(list: MemberList, question: Question): Promise<Asked> {
    const { self, ask } = this.#ports;
    const answers = await Promise.all(
      list.members.map(async ({ number, name }) => {
        const answer = await (number === self.number
          ? this.answer(number, question)
          : ask(number, question).catch(() => undefined));
        return { number, name, answer };
      }),
    );
    const asked: Asked = { granted: [], accepted: [], refusals: [], round: 0, problem: undefined };
    for (const { number, name, answer } of answers) {
      if (answer === undefined) asked.refusals.push(`${name} does not answer`);
      else if (answer.ok) {
        asked.granted.push(number);
        if (answer.accepted !== undefined) asked.accepted.push(answer.accepted);
      } else {
        asked.refusals.push(`${name}: ${answer.reason}`);
        asked.round = Math.max(asked.round, answer.round ?? 0);
        asked.problem ??= answer.problem;
      }
    }
    return asked;
  }
}

interface Asked {
  granted: number[];
  accepted: Accepted[];
  refusals: string[];
  round: number;
  problem: Problem | undefined;
}

type Outcome =
  | { readonly kind: "chosen"; readonly change: MemberChange; readonly list: MemberList }
  /** `round`: not 0: with a greater one it may succeed. */
  | { readonly kind: "failed"; readonly error: HoldfastError; readonly round: number };

function failed({ granted, refusals, round, problem }: Asked, list: MemberList, needed: number): Outcome {
  if (problem !== undefined) return { kind: "failed", error: errorOf(problem), round: 0 };
  const error = new HoldfastError("MEMBERS_NO_MAJORITY", {
    granted: granted.length,
    needed,
    count: list.members.length,
    refusals: refusals.join("; "),
  });
  return { kind: "failed", error, round };
}

export function errorOf(problem: Problem): HoldfastError {
  return problem.code === "MEMBERS_SETTLING"
    ? new HoldfastError(problem.code, problem.details)
    : new HoldfastError(problem.code, problem.details);
}

function latest(accepted: readonly Accepted[]): MemberChange | undefined {
  return [...accepted].sort((a, b) => compare(b.ballot, a.ballot))[0]?.change;
}

function compare(a: Ballot, b: Ballot): number {
  return a.round - b.round || a.by - b.by;
}

function same(a: MemberChange, b: MemberChange): boolean {
  if (a.kind === "add") return b.kind === "add" && JSON.stringify(a.member) === JSON.stringify(b.member);
  // Two operators who remove the same member want the same.
  return b.kind === "remove" && a.name === b.name;
}

function textOf(change: MemberChange): string {
  return change.kind === "add" ? `${change.member.name} was added` : `${change.name} was removed`;
}

function no(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}
