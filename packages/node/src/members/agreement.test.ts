// The agreement on lists, played with members that are cut off, die and lose their last question, and
// operators that want contradictory things at once; from seeds.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  HoldfastError,
  type ListedMember,
  type MemberList,
  majorityOf,
  type Random,
  seededRandom,
} from "@holdfast/model";
import { Agreement, type Answer, type Question, type Vote } from "./agreement.ts";
import { applied, digestOf, type MemberChange } from "./change.ts";

const memberOf = (number: number): ListedMember => ({
  name: `m${number}`,
  number,
  addresses: [{ address: `192.0.2.${number + 1}` }],
  probePort: 7082,
  replicationPort: 7081,
});

/** A machine: its list and its vote are on its disk. */
class Machine {
  readonly number: number;
  list: MemberList;
  vote: Vote | undefined;
  isUp = true;
  agreement: Agreement;
  readonly #world: World;

  constructor(world: World, number: number, list: MemberList) {
    this.#world = world;
    this.number = number;
    this.list = list;
    this.agreement = this.start();
  }

  /** What is under way in an earlier life comes to nothing. */
  start(): Agreement {
    const world = this.#world;
    this.isUp = true;
    this.agreement = new Agreement({
      self: { name: `m${this.number}`, number: this.number },
      list: () => this.list,
      ask: (to, question) => world.ask(this, to, question),
      vote: () => this.vote,
      keepVote: async (vote) => {
        this.vote = vote;
      },
      mustBeTaken: () => {},
      problemOf: () => undefined,
      chosen: async (before, list, change) => {
        world.chosen(before, list, change);
        if (list.version > this.list.version) this.list = list;
      },
    });
    return this.agreement;
  }
}

class World {
  readonly random: Random;
  readonly machines = new Map<number, Machine>();
  /** Every list that was ever in force, by version. */
  readonly history = new Map<number, MemberList>();
  #sides = new Map<number, number>();

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const first: MemberList = {
      version: 0,
      members: Array.from({ length: 3 + this.random.below(3) }, (_, n) => memberOf(n)),
      resting: [],
    };
    this.history.set(0, first);
    for (const { number } of first.members) this.machines.set(number, new Machine(this, number, first));
  }

  reaches(a: Machine, b: Machine): boolean {
    return a.isUp && b.isUp && this.#sides.get(a.number) === this.#sides.get(b.number);
  }

  split(): void {
    this.#sides = new Map([...this.machines.keys()].map((number) => [number, this.random.below(2)]));
  }

  heal(): void {
    this.#sides = new Map();
  }

  /** Questions and answers take turns, and get lost. */
  async ask(from: Machine, to: number, question: Question): Promise<Answer | undefined> {
    const other = this.machines.get(to);
    const { agreement } = from;
    await this.#pause();
    if (other === undefined || !this.reaches(from, other) || this.random.below(12) === 0) return undefined;
    const answer = await other.agreement.answer(from.number, question);
    await this.#pause();
    if (from.agreement !== agreement || !this.reaches(from, other) || this.random.below(12) === 0)
      return undefined;
    return answer;
  }

  async #pause(): Promise<void> {
    for (let i = this.random.below(6); i > 0; i--) await Promise.resolve();
  }

  chosen(before: MemberList, list: MemberList, change: MemberChange): void {
    assert.equal(digestOf(applied(before, change)), digestOf(list));
    const known = this.history.get(list.version);
    if (known !== undefined) {
      assert.equal(digestOf(list), digestOf(known), `two lists of version ${list.version} were chosen`);
      return;
    }
    this.history.set(list.version, list);
  }

  /** Lists spread as the configuration does: whoever is in reach learns the newest. */
  spread(): void {
    for (const a of this.machines.values())
      for (const b of this.machines.values())
        if (this.reaches(a, b) && b.list.version > a.list.version && this.random.below(3) > 0)
          a.list = b.list;
  }

  /**
   * Of two lists that are in use at once no two majorities are disjoint, among those who would vote for each.
   */
  check(): void {
    const lists = [...this.history.values()].sort((a, b) => a.version - b.version);
    for (const list of lists) {
      const next = this.history.get(list.version + 1);
      if (next === undefined) continue;
      const both = list.members.filter((m) => next.members.some(({ number }) => number === m.number)).length;
      const union = new Set([...list.members, ...next.members].map(({ number }) => number)).size;
      assert.ok(majorityOf(list) + majorityOf(next) > union, "two majorities of neighbours are disjoint");
      assert.ok(both >= list.members.length - 1);
    }
    // A list is left behind for good once the one after it is: nobody who voted for list n + 2 votes with
    // list n.
    for (const [version, list] of this.history) {
      if (!this.history.has(version + 2)) continue;
      const still = list.members.filter(({ number }) => this.machines.get(number)?.list.version === version);
      assert.ok(still.length < majorityOf(list), `version ${version} still has a majority`);
    }
  }
}

async function play(seed: number): Promise<{ versions: number; refused: number }> {
  const world = new World(seed);
  let nextNumber = 10;
  let refused = 0;
  const running: Promise<void>[] = [];
  for (let step = 0; step < 60; step++) {
    const { random } = world;
    const up = [...world.machines.values()].filter(({ isUp }) => isUp);
    const one = up[random.below(Math.max(1, up.length))];
    switch (random.below(10)) {
      case 0:
        world.split();
        break;
      case 1:
      case 2:
        world.heal();
        break;
      case 3:
        if (one !== undefined && up.length > 1) one.isUp = false;
        break;
      case 4:
        for (const machine of world.machines.values()) if (!machine.isUp) machine.start();
        break;
      default: {
        if (one === undefined) break;
        const target = one.list.members[random.below(one.list.members.length)] as ListedMember;
        const change: MemberChange =
          random.below(2) === 0
            ? { kind: "add", member: memberOf(nextNumber++) }
            : { kind: "remove", name: target.name, atMs: step };
        running.push(
          one.agreement.propose(change).then(
            (list) => {
              for (const { number } of list.members)
                if (!world.machines.has(number)) world.machines.set(number, new Machine(world, number, list));
            },
            (error) => {
              if (!(error instanceof HoldfastError)) throw error;
              refused++;
            },
          ),
        );
        if (random.below(3) === 0) await Promise.all(running.splice(0));
      }
    }
    world.spread();
    world.check();
  }
  await Promise.all(running);
  world.check();
  return { versions: world.history.size - 1, refused };
}

describe("changes of the list of members", () => {
  it("are one after the other, and leave no two disjoint majorities: 150 seeds", async () => {
    let versions = 0;
    let refused = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const outcome = await play(seed);
      versions += outcome.versions;
      refused += outcome.refused;
    }
    // Something happens, and something is refused: else this would prove nothing.
    assert.ok(versions > 400, `${versions} changes`);
    assert.ok(refused > 400, `${refused} refusals`);
  });

  it("need a majority of the old list: of two members one changes nothing", async () => {
    const list: MemberList = { version: 0, members: [memberOf(0), memberOf(1)], resting: [] };
    const lone = new Agreement({
      self: { name: "m0", number: 0 },
      list: () => list,
      ask: async () => undefined,
      vote: () => undefined,
      keepVote: async () => {},
      mustBeTaken: () => {},
      problemOf: () => undefined,
      chosen: async () => assert.fail("nothing can be chosen"),
    });
    await assert.rejects(lone.propose({ kind: "remove", name: "m1", atMs: 1 }), {
      code: "MEMBERS_NO_MAJORITY",
    });
    await assert.rejects(lone.propose({ kind: "add", member: memberOf(2) }), { code: "MEMBERS_NO_MAJORITY" });
  });

  it("are refused with a member's reason, and its time to wait", async () => {
    const list: MemberList = { version: 4, members: [memberOf(0)], resting: [] };
    const details = { number: 5, seconds: 590, reason: "NAT ports rest" };
    const agreement = new Agreement({
      self: { name: "m0", number: 0 },
      list: () => list,
      ask: async () => undefined,
      vote: () => undefined,
      keepVote: async () => {},
      mustBeTaken: () => {},
      problemOf: () => ({ code: "MEMBER_NUMBER_RESTS", details }),
      chosen: async () => assert.fail("nothing can be chosen"),
    });
    await assert.rejects(agreement.propose({ kind: "add", member: memberOf(5) }), {
      code: "MEMBER_NUMBER_RESTS",
      details,
    });
  });

  it("are refused when a member that was first heard as it voted cannot take them, before anybody accepts", async () => {
    const list: MemberList = { version: 0, members: [memberOf(0), memberOf(1)], resting: [] };
    const heard = new Set<number>();
    const agreement = new Agreement({
      self: { name: "m0", number: 0 },
      list: () => list,
      ask: async (member, { kind }) => {
        assert.equal(kind, "prepare");
        heard.add(member);
        return { ok: true };
      },
      vote: () => undefined,
      keepVote: async (vote) => assert.equal(vote.accepted, undefined),
      mustBeTaken: () => {
        if (heard.has(1)) throw new HoldfastError("MEMBER_TOO_OLD", { member: "m1" });
      },
      problemOf: () => undefined,
      chosen: async () => assert.fail("nothing can be chosen"),
    });
    await assert.rejects(agreement.propose({ kind: "add", member: memberOf(2) }), { code: "MEMBER_TOO_OLD" });
  });
});
