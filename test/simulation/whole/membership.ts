// An operator who changes the list of members: machines come, leave, and die for good. One order after the
// other; what the cluster refuses for now is asked for again, at whoever runs.
import { HoldfastError } from "@holdfast/model";
import type { SimulatedTime } from "../clock.ts";
import { addressesOf } from "./configuration.ts";
import type { Fleet } from "./fleet.ts";
import { PROBE_PORT, REPLICATION_PORT } from "./keeping.ts";
import type { Machine } from "./machine.ts";

export type ListOrder = "come" | "leave" | "die";

/** A refused order is given again after so long; one without an answer after `ANSWER_MAX_MS`. */
const PAUSE_MS = 150;
const ANSWER_MAX_MS = 8_000;
/** Fewer members than this are not taken out on purpose. */
const COUNT_MIN = 3;
/** One that left hears of it over links that stay for a while; then its operator stops it. */
const STOP_AFTER_MS = 400;

export interface MembershipPorts {
  readonly time: SimulatedTime;
  readonly fleet: Fleet;
  readonly tell: (what: string) => void;
  readonly count: (name: string) => void;
}

interface Order {
  readonly what: ListOrder;
  readonly machine: Machine;
  /** The machine has been started, or buried: there is no way back but the list. */
  begun: boolean;
}

export class Membership {
  readonly #ports: MembershipPorts;
  readonly #orders: Order[] = [];
  /** Why the first order has not come about yet. */
  trouble: string | undefined;
  #isFinishing = false;
  #isBusy = false;

  constructor(ports: MembershipPorts) {
    this.#ports = ports;
  }

  get isDone(): boolean {
    return this.#orders.length === 0 && !this.#isBusy;
  }

  order(what: ListOrder, machine: Machine): void {
    this.#orders.push({ what, machine, begun: false });
    if (this.#orders.length === 1) this.#next();
  }

  /** Nothing new is begun, and whoever waits for a number that rests waits on. */
  finish(): void {
    this.#isFinishing = true;
  }

  #next(): void {
    const [order] = this.#orders;
    if (order === undefined) return;
    const { time } = this.#ports;
    const speaker = this.#speaker(order);
    const isOver = this.#isDropped(order) || speaker === undefined;
    if (isOver && speaker !== undefined) {
      this.#shift();
      return;
    }
    if (speaker === undefined || !this.#begin(order)) {
      this.#letOthersPass();
      time.at(time.nowMs + PAUSE_MS, () => this.#next());
      return;
    }
    let isAnswered = false;
    const answered = (code: string | undefined) => {
      if (isAnswered) return;
      isAnswered = true;
      this.#answered(order, speaker, code);
    };
    this.#say(order, speaker).then(
      () => answered(undefined),
      (error: unknown) => answered(error instanceof HoldfastError ? error.code : String(error)),
    );
    time.at(time.nowMs + ANSWER_MAX_MS, () => answered("no answer"));
  }

  #answered(order: Order, speaker: Machine, code: string | undefined): void {
    const { time, tell } = this.#ports;
    if (code === undefined || (isSoAlready(order.what, code) && this.#knowsLatest(speaker))) {
      this.trouble = undefined;
      this.#done(order, speaker);
      this.#shift();
      return;
    }
    if (this.trouble !== code)
      tell(`${speaker.name} does not let ${order.machine.name} ${order.what}: ${code}`);
    this.trouble = code;
    // Others need not wait until a number has rested.
    if (code === "MEMBER_NUMBER_RESTS") this.#letOthersPass();
    time.at(time.nowMs + PAUSE_MS, () => this.#next());
  }

  /** Not those about the same machine: nobody leaves before he has come. */
  #letOthersPass(): void {
    const [first] = this.#orders;
    const isSame = ({ machine }: Order) => machine === first?.machine;
    const behind = this.#orders.filter(isSame);
    this.#orders.splice(0, Infinity, ...this.#orders.filter((each) => !isSame(each)), ...behind);
  }

  /** One that was away says of who came meanwhile, too, that he is not on the list. */
  #knowsLatest({ life }: Machine): boolean {
    const versions = this.#ports.fleet.machines.map((each) => each.life?.members?.current().version ?? 0);
    return (life?.members?.current().version ?? 0) === Math.max(...versions);
  }

  #shift(): void {
    this.#orders.shift();
    this.trouble = undefined;
    this.#ports.time.at(this.#ports.time.nowMs + PAUSE_MS, () => this.#next());
  }

  /** It makes no sense any more, or may wait for ever. */
  #isDropped({ what, machine, begun }: Order): boolean {
    if (this.#isFinishing && (!begun || what === "come")) return true;
    if (begun) return false;
    if (what === "come") return machine.life !== undefined || machine.isGone;
    if (machine.isGone || (machine.life !== undefined && !machine.life.isMember)) return true;
    return what === "leave" && this.#listed() <= COUNT_MIN;
  }

  #listed(): number {
    const [first] = this.#ports.fleet.members;
    return first?.life?.members?.current().members.length ?? 0;
  }

  #begin(order: Order): boolean {
    const { fleet, tell } = this.#ports;
    const { what, machine } = order;
    if (order.begun) return true;
    if (what === "come") {
      // Its bearer has to be off first.
      if (fleet.machines.some((each) => each.number === machine.number && each.wasOn && !each.isGone))
        return false;
      tell(`${machine.name} starts, to join with number ${machine.number}`);
      fleet.start(machine);
    } else if (what === "die") {
      if (!fleet.bury(machine)) return false;
      tell(`${machine.name} is dead for good`);
    } else tell(`${machine.name} is to leave`);
    order.begun = true;
    return true;
  }

  /** Not the one that it is about, nor one whose build has no word for it; another one every time. */
  #speaker({ machine }: Order): Machine | undefined {
    const { fleet } = this.#ports;
    const others = fleet.members.filter((each) => each !== machine && fleet.knowsLists(each));
    return others[Math.floor(this.#ports.time.nowMs) % Math.max(1, others.length)];
  }

  async #say({ what, machine }: Order, { life }: Machine): Promise<unknown> {
    const keeper = life?.keeper;
    const { name, number } = machine;
    if (what !== "come") return keeper?.remove(name, { gone: what === "die" });
    const addresses = addressesOf(machine);
    return keeper?.add({ name, number, addresses, probePort: PROBE_PORT, replicationPort: REPLICATION_PORT });
  }

  #done({ what, machine }: Order, speaker: Machine): void {
    const { time, fleet, tell, count } = this.#ports;
    tell(`${machine.name} is ${what === "come" ? "on" : "off"} the list, said at ${speaker.name}`);
    count(`members.${what}`);
    if (what !== "leave") return;
    this.#isBusy = true;
    time.at(time.nowMs + STOP_AFTER_MS, () => {
      void fleet.dismiss(machine).then(() => {
        this.#isBusy = false;
      });
    });
  }
}

/** An earlier word, which had no answer, has come about. */
function isSoAlready(what: ListOrder, code: string): boolean {
  return code === (what === "come" ? "MEMBER_EXISTS" : "MEMBER_NOT_FOUND");
}
