// Members that come, go, and return under new names while associations live. A number is given again by the product's rule:
// when no living association has a NAT port of its slot, and a rest is over.
import { memberNumberOfPort } from "@holdfast/model";
import type { Cluster } from "./cluster.ts";
import type { LaterFacts } from "./later.ts";
import { IDLE_LIMIT_MS, MEMBER_NUMBER_COUNT, MEMORY_MS } from "./member.ts";
import type { Workload } from "./workload.ts";

const COUNT_MIN = 3;
const COUNT_MAX = 5;
/** Ports linger, tombstones and journals are forgotten, and what is idle has ended. */
const REST_MS = IDLE_LIMIT_MS + MEMORY_MS * 4;
/** Facts have reached everybody. */
const QUIET_MS = 250;

export class MemberMoves {
  readonly #cluster: Cluster;
  readonly #workload: Workload;
  readonly #later: LaterFacts;
  readonly #tell: (what: string) => void;
  /** When a session with a port of the slot was last alive, or the member left. */
  readonly #restsSinceMs = new Map<number, number>();
  #serial = 0;

  constructor(cluster: Cluster, workload: Workload, later: LaterFacts, tell: (what: string) => void) {
    this.#later = later;
    this.#cluster = cluster;
    this.#workload = workload;
    this.#tell = tell;
  }

  /** One change, when everybody is there and in step: what only a leaving member knows is lost by right. */
  move(): void {
    const cluster = this.#cluster;
    const { members, time, random } = cluster;
    this.#look();
    if (!cluster.isWhole || cluster.running().length < members.length) return;
    if (time.nowMs - this.#workload.quietSinceMs <= QUIET_MS) return;
    const grows = members.length <= COUNT_MIN || (members.length < COUNT_MAX && random.below(2) === 0);
    if (grows) this.#come();
    else this.#go();
  }

  #come(): void {
    const cluster = this.#cluster;
    const { members, time } = cluster;
    const free = Array.from({ length: MEMBER_NUMBER_COUNT }, (_, number) => number).filter(
      (number) =>
        // Who knows less than what is written already cannot join.
        number !== cluster.versions.oldest &&
        !members.some((member) => member.number === number) &&
        time.nowMs - (this.#restsSinceMs.get(number) ?? Number.NEGATIVE_INFINITY) >= REST_MS,
    );
    const number = cluster.pick(free);
    if (number === undefined) return;
    const name = `n${++this.#serial}`;
    const member = cluster.come(number, name);
    this.#workload.follow(member);
    void member.start();
    this.#tell(`${name} comes with number ${number}`);
  }

  #go(): void {
    const cluster = this.#cluster;
    const member = cluster.pick(cluster.members);
    if (member === undefined || cluster.isSlow) return;
    this.#workload.died(member.number, cluster.time.nowMs, QUIET_MS);
    this.#later.died(member.number, cluster.time.nowMs, QUIET_MS);
    this.#restsSinceMs.set(member.number, cluster.time.nowMs);
    cluster.go(member);
    this.#tell(`${member.identity.name} goes for good`);
  }

  /** Of living associations: their slots do not rest yet. */
  #look(): void {
    for (const { natPort } of this.#workload.alive) {
      const number = memberNumberOfPort(natPort, MEMBER_NUMBER_COUNT);
      if (this.#restsSinceMs.has(number)) this.#restsSinceMs.set(number, this.#cluster.time.nowMs);
    }
  }
}
