// The simulated cluster: members, their network, and what misbehaves.
import { type Random, seededRandom } from "@holdfast/model";
import { type JournalFactory, MemoryNetwork, type PeerIdentity } from "@holdfast/sync/testing";
import { SimulatedClock, SimulatedTime } from "./clock.ts";
import type { Fault } from "./faults.ts";
import { capabilitiesOf, type Versions, versionsOf } from "./later.ts";
import { type Life, MEMORY_MS, SimulatedMember } from "./member.ts";

/**
 * Share of M after which a link that stands still is closed. What a member alone carries may be forgotten by whoever has
 * not heard of it for 0.4 M (retiring less sealing); links in use close after a tenth of M.
 */
const SILENCE_SHARE = 0.25;

export interface ClusterOptions {
  readonly seed: number;
  readonly memberCount: number;
  readonly journals: JournalFactory;
  readonly fault?: Fault | undefined;
  readonly memoryMs?: number;
}

export class Cluster {
  readonly time = new SimulatedTime();
  readonly random: Random;
  readonly network: MemoryNetwork;
  readonly members: SimulatedMember[];
  readonly versions: Versions;
  readonly fault: Fault | undefined;
  #identities: readonly PeerIdentity[];
  readonly #make: (identity: PeerIdentity) => SimulatedMember;
  /** Who is with whom; one group when nothing is cut. */
  #groups: number[][];
  #slow = false;

  constructor(options: ClusterOptions) {
    const { seed, memberCount, journals, fault, memoryMs } = options;
    this.fault = fault;
    this.random = seededRandom(seed);
    const networkRandom = seededRandom(seed ^ 0x5bd1e995);
    this.network = new MemoryNetwork({
      clock: new SimulatedClock(this.time),
      random: networkRandom,
      delayMs: () => (this.#slow ? 5 + networkRandom.below(100) : 0.2 + networkRandom.below(800) / 1000),
      detectMs: 100,
      silenceMs: (memoryMs ?? MEMORY_MS) * SILENCE_SHARE,
      reconnectMs: 20,
      refusalPauseMs: 100,
      queueBytesMax: 64 * 1024,
    });
    this.versions = versionsOf(seed, memberCount);
    const identities: PeerIdentity[] = Array.from({ length: memberCount }, (_, number) => ({
      number,
      name: `m${number}`,
      capabilities: capabilitiesOf(this.versions, number),
    }));
    this.#identities = identities;
    this.#make = (identity) =>
      new SimulatedMember({
        identity,
        members: () => this.#identities,
        time: this.time,
        network: this.network,
        journals,
        seed,
        fault,
        isLater: this.versions.later.has(identity.number),
        ...(memoryMs === undefined ? {} : { memoryMs }),
      });
    this.members = identities.map(this.#make);
    this.#groups = [identities.map(({ number }) => number)];
  }

  /** A member that was never there, or whose number rested: it is on the list of all, and starts. */
  come(number: number, name: string): SimulatedMember {
    const identity: PeerIdentity = { number, name, capabilities: capabilitiesOf(this.versions, number) };
    this.#identities = [...this.#identities, identity];
    for (const member of this.members) member.relist(this.#identities);
    const member = this.#make(identity);
    this.members.push(member);
    this.#groups = this.#groups.map((group, index) => (index === 0 ? [...group, number] : group));
    return member;
  }

  /** A member goes for good, with its disk. */
  go(member: SimulatedMember): void {
    member.crash("lost");
    this.#identities = this.#identities.filter(({ number }) => number !== member.number);
    this.members.splice(this.members.indexOf(member), 1);
    for (const other of this.members) other.relist(this.#identities);
  }

  running(): { member: SimulatedMember; life: Life }[] {
    return this.members.flatMap((member) =>
      member.life === undefined ? [] : [{ member, life: member.life }],
    );
  }

  /** Running members in the same part of the network as `number`. */
  reachedFrom(number: number): { member: SimulatedMember; life: Life }[] {
    const group = this.#groups.find((members) => members.includes(number)) ?? [];
    return this.running().filter(({ member }) => group.includes(member.number));
  }

  get isWhole(): boolean {
    return this.#groups.length === 1;
  }

  split(): void {
    this.heal();
    const count = this.members.length;
    const inFirst = this.members.map(() => this.random.below(2) === 0);
    // Neither half is empty.
    inFirst[this.random.below(count)] = true;
    const other = inFirst.indexOf(true);
    inFirst[(other + 1 + this.random.below(count - 1)) % count] = false;
    const numbers = this.members.map((member) => member.number);
    const groups = [numbers.filter((_, i) => inFirst[i]), numbers.filter((_, i) => !inFirst[i])];
    this.partition(groups);
  }

  partition(groups: number[][]): void {
    this.#groups = groups.filter((group) => group.length > 0);
    this.network.partition(...this.#groups);
  }

  heal(): void {
    this.#groups = [this.members.map((member) => member.number)];
    this.network.healAll();
  }

  get isSlow(): boolean {
    return this.#slow;
  }

  slow(isSlow: boolean): void {
    this.#slow = isSlow;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[this.random.below(Math.max(items.length, 1))];
  }
}
