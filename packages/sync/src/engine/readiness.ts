// Whether this member knows enough to be counted on, and to give out NAT ports: of what others knew it must
// have caught up with all that are there, and those who are not must have had time to come.
import type { Clock } from "@holdfast/model";
import type { EngineState } from "../ports/engine.ts";
import type { Actor } from "../ports/journals.ts";
import type { ToView } from "../ports/link.ts";
import type { Offers } from "./offers.ts";
import type { Peers } from "./peers.ts";
import type { ReplicationSettings } from "./settings.ts";

export interface ReadinessPorts {
  readonly settings: ReplicationSettings;
  readonly clock: Clock;
  readonly peers: Peers;
  readonly offers: Offers;
  /** Nothing is on its way to the view. */
  readonly isIdle: () => boolean;
  readonly incarnation: () => Actor;
  readonly post: (message: ToView) => void;
}

export class Readiness {
  readonly #ports: ReadinessPorts;
  /** Members whose hello was taken in since the start. */
  readonly #greeted = new Set<number>();
  #startedAtMs = 0;
  #ready = false;
  #mayAllocate = false;
  #isJoining = false;
  /** The state that was posted last. */
  #posted = "";

  constructor(ports: ReadinessPorts) {
    this.#ports = ports;
  }

  get ready(): boolean {
    return this.#ready;
  }

  start(): void {
    this.#startedAtMs = this.#ports.clock.nowMs();
  }

  greeted(member: number): void {
    this.#greeted.add(member);
  }

  /**
   * A number may be another member's now. `isJoining`: the list is not known, and neither is who is missing.
   */
  relist(isJoining: boolean): void {
    if (isJoining !== this.#isJoining) {
      this.#isJoining = isJoining;
      this.#ready = false;
      this.#mayAllocate = false;
      this.start();
    }
    const numbers = new Set(this.#ports.settings.members.map(({ number }) => number));
    for (const number of this.#greeted) if (!numbers.has(number)) this.#greeted.delete(number);
  }

  /**
   * Caught up with whoever is there; those who are not had time to come, or somebody there holds what they
   * hold.
   */
  isSettled(): boolean {
    const { settings, peers, isIdle } = this.#ports;
    if (this.#isJoining || !isIdle() || !peers.isCaughtUp()) return false;
    if (this.#missingSinceStart() === 0 || peers.isAnyCaughtUp()) return true;
    return this.#uptimeMs() >= settings.startWaitMs;
  }

  /** Something that the state depends on may have changed: posts the state if it has. */
  changed(): void {
    if (this.isSettled()) {
      this.#ready = true;
      if (this.#missingSinceStart() === 0 || this.#uptimeMs() >= this.#ports.settings.allocateWaitMs)
        this.#mayAllocate = true;
    }
    const state = this.state();
    const text = JSON.stringify(state);
    if (text === this.#posted) return;
    this.#posted = text;
    this.#ports.post({ kind: "state", state });
  }

  state(): EngineState {
    const { settings, peers, incarnation } = this.#ports;
    return {
      incarnation: incarnation(),
      ready: this.#ready,
      mayAllocate: this.#mayAllocate,
      connected: peers.connected(),
      missing: settings.members
        .map(({ number }) => number)
        .filter((number) => number !== settings.member.number && !peers.isHeard(number)),
      offered: this.#ports.offers.together(),
    };
  }

  #missingSinceStart(): number {
    const { member, members } = this.#ports.settings;
    return members.filter(({ number }) => number !== member.number && !this.#greeted.has(number)).length;
  }

  #uptimeMs(): number {
    return this.#ports.clock.nowMs() - this.#startedAtMs;
  }
}
