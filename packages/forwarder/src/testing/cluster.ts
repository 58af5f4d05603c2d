// Several forwarders whose tables replicate to each other, at once or when the test says so.
import type { Replication, SessionDelta, SessionQuestion } from "@holdfast/model";
import { SessionView } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import type { PortLending } from "../nat-ports/lending.ts";
import { Rig, type RigOptions } from "./rig.ts";

export class Cluster {
  readonly clock = new ManualClock();
  readonly rigs: Rig[] = [];
  /** Deltas go to the others at once; false: they wait for `deliver`, as in a partition. */
  connected = true;
  readonly #waiting: { readonly from: number; readonly delta: SessionDelta }[] = [];
  questions = 0;
  /** Members that do not answer. */
  readonly silent = new Set<number>();
  /** Taken off the list of members. */
  readonly removed = new Set<number>();

  /** `lends`: members ask each other for clients' own ports. */
  constructor(count: number, options: RigOptions & { readonly lends?: boolean } = {}) {
    for (let number = 0; number < count; number++) {
      const table = new SessionView();
      const replication: Replication = {
        released: () => Promise.resolve(this.connected),
        ask: (question) => this.#ask(number, question),
      };
      this.rigs.push(
        new Rig({
          ...options,
          clock: this.clock,
          table,
          replication,
          memberNumber: number,
          ...(options.lends === true && { lending: this.#lending(number, count) }),
          seed: number + 1,
        }),
      );
      table.onLocal((delta) => {
        this.#waiting.push({ from: number, delta });
        if (this.connected) this.deliver();
      });
    }
  }

  rig(number: number): Rig {
    return this.rigs[number] as Rig;
  }

  deliver(): void {
    for (const { from, delta } of this.#waiting.splice(0)) {
      this.rigs.forEach((rig, number) => {
        if (number !== from) rig.table.joinRemote(delta);
      });
    }
  }

  #lending(from: number, count: number): PortLending {
    const { removed } = this;
    return {
      get memberNumbers() {
        return Array.from({ length: count }, (_, number) => number).filter((number) => !removed.has(number));
      },
      request: async (member, message) => {
        if (!this.connected || this.silent.has(member) || this.silent.has(from)) return undefined;
        return this.rigs[member]?.forwarder.heardLoan(from, message);
      },
    };
  }

  #ask(from: number, question: SessionQuestion): Promise<boolean> {
    this.questions += 1;
    if (!this.connected) return Promise.resolve(false);
    this.rigs.forEach((rig, number) => {
      if (number === from) return;
      rig.forwarder.publish(question);
      for (const record of rig.table.answer(question)) this.rig(from).table.joinRemote(record);
    });
    return Promise.resolve(true);
  }
}
