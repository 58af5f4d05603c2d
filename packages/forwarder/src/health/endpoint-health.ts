// What is known of the health of endpoint addresses: this member's own verdicts, and those of the others.
// Selection follows the own view; that an endpoint is dead, so that its clients are told, takes a majority
// and a while.

import type { Address, Endpoint, MemberName } from "@holdfast/model";
import { endpointKey } from "@holdfast/model";

export type Verdict = "up" | "down";

export interface VerdictChange {
  readonly address: Address;
  readonly port: number;
  /** undefined: it is not asked any more. */
  readonly verdict: Verdict | undefined;
  /** Plain words: "3 probes unanswered", "ABORT to a probe". */
  readonly reason: string;
  /** Down, but not for its SCTP: it takes nothing new, and its associations live on. */
  readonly speaks: boolean;
}

interface OtherVerdict {
  readonly verdict: Verdict;
  readonly speaks: boolean;
}

interface State {
  readonly address: Address;
  readonly port: number;
  own: Verdict | undefined;
  /** Since when the own verdict is what it is, and when a probe last said so. */
  ownSinceMs: number;
  ownLatestMs: number;
  gone: boolean;
  /** By a probe of its SCTP. */
  speaks: boolean;
  /** By what its associations carry, though probes are refused or lost: for the others, see setHeard. */
  heard: boolean;
  reason: string;
  readonly others: Map<MemberName, OtherVerdict>;
  /** Since when a majority of the members says down, and nobody that it is up or its SCTP speaks. */
  downSinceMs: number | undefined;
}

type Place = Pick<Endpoint, "address" | "port">;

export class EndpointHealth {
  readonly #states = new Map<string, State>();
  /** Verdicts of "down" that it takes to call an endpoint dead. */
  readonly #quorum: () => number;
  /** Verdicts of "down" from anybody; with none of them every question is answered without a look. */
  #downCount = 0;
  readonly #listeners = new Set<(change: VerdictChange) => void>();
  readonly #suspicionListeners = new Set<(place: Place) => void>();

  /** `quorum`: a majority of the cluster's members as they are now, alive or not; 1 for a lone member. */
  constructor(quorum: () => number = () => 1) {
    this.#quorum = quorum;
  }

  /** Somebody calls an address down: without that there is nothing to look after. */
  get knowsDown(): boolean {
    return this.#downCount > 0;
  }

  /** Nothing known counts as up: before the first probe has come back an endpoint must be usable. */
  isUp(endpoint: Place): boolean {
    if (this.#downCount === 0) return true;
    const state = this.#states.get(endpointKey(endpoint));
    if (state === undefined) return true;
    if (state.own !== undefined) return state.own === "up";
    const { down, all } = tally(state);
    return down * 2 <= all;
  }

  /** The own verdict and what it rests on; undefined before the first. */
  verdictOf(
    endpoint: Place,
  ): { readonly verdict: Verdict; readonly reason: string; readonly speaks: boolean } | undefined {
    const state = this.#states.get(endpointKey(endpoint));
    if (state?.own === undefined) return undefined;
    return { verdict: state.own, reason: state.reason, speaks: state.speaks || state.heard };
  }

  /**
   * This member's verdict; undefined when it has none any more. Listeners hear of changes only. `gone`: its
   * host said, more than once, that nobody there speaks SCTP; that is no outage of a moment, and whatever
   * associations it had it has no longer. `speaks`: something else than its SCTP called it down.
   */
  setOwn(
    endpoint: Place,
    verdict: Verdict | undefined,
    reason: string,
    nowMs: number,
    gone = false,
    speaks = false,
  ): void {
    const state = this.#state(endpoint);
    state.gone = verdict === "down" && gone;
    state.ownLatestMs = nowMs;
    // Why it is down may change while it stays so: whoever mends it wants to know what is wrong now.
    state.reason = reason;
    const speaksNow = verdict === "down" && speaks;
    if (state.own === verdict && state.speaks === speaksNow) return;
    this.#count(state.own, verdict);
    if (state.own !== verdict) state.ownSinceMs = nowMs;
    state.own = verdict;
    state.speaks = speaksNow;
    if (verdict !== "down") state.heard = false;
    this.#changed(state, nowMs);
  }

  /**
   * Whether an endpoint that the own probes call down is heard in its associations. The others are told: a
   * member that carries none of the traffic would otherwise end what lives. The own judgement looks at each
   * association (endings/endpoint-guard.ts).
   */
  setHeard(endpoint: Place, heard: boolean, nowMs: number): void {
    const state = this.#states.get(endpointKey(endpoint));
    if (state?.own !== "down" || state.heard === heard) return;
    state.heard = heard;
    this.#changed(state, nowMs);
  }

  #changed(state: State, nowMs: number): void {
    this.#weigh(state, nowMs);
    const { address, port, own: verdict, reason } = state;
    const speaks = state.speaks || state.heard;
    for (const listener of this.#listeners) listener({ address, port, verdict, reason, speaks });
  }

  /** Another member's verdict; undefined when it has none any more (gone, or restarted). */
  setOther(
    member: MemberName,
    endpoint: Place,
    verdict: Verdict | undefined,
    nowMs: number,
    speaks = false,
  ): void {
    const state = this.#state(endpoint);
    this.#count(state.others.get(member)?.verdict, verdict);
    if (verdict === undefined) state.others.delete(member);
    else state.others.set(member, { verdict, speaks: verdict === "down" && speaks });
    this.#weigh(state, nowMs);
    // What another member found, this one looks at itself: a majority then takes milliseconds, not periods.
    if (verdict === "down" && state.own !== "down") this.unanswered(endpoint);
  }

  onVerdict(listener: (change: VerdictChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Passive signs only ask for a probe: one client's refused or unanswered INIT may be that client's fault,
   * or forged.
   */
  onSuspicion(listener: (place: Place) => void): () => void {
    this.#suspicionListeners.add(listener);
    return () => this.#suspicionListeners.delete(listener);
  }

  /** A tag-verified ABORT answered an INIT. */
  refused(endpoint: Place): void {
    for (const listener of this.#suspicionListeners) listener(endpoint);
  }

  /** Several INITs of one client were not answered. */
  unanswered(endpoint: Place): void {
    for (const listener of this.#suspicionListeners) listener(endpoint);
  }

  /**
   * Since when a majority has called it down without a break, and nobody up; undefined: it does not. Whoever
   * looks says what time it is: the members may be others than when the last verdict came, and what is a
   * majority with them.
   */
  downSinceMs(endpoint: Place, nowMs: number): number | undefined {
    const state = this.#states.get(endpointKey(endpoint));
    if (state !== undefined) this.#weigh(state, nowMs);
    return state?.downSinceMs;
  }

  /** Since when this member's own probes call it down, and when one last did; undefined: they do not. */
  ownDown(endpoint: Place): { readonly sinceMs: number; readonly latestMs: number } | undefined {
    const state = this.#states.get(endpointKey(endpoint));
    return state?.own === "down" ? { sinceMs: state.ownSinceMs, latestMs: state.ownLatestMs } : undefined;
  }

  /** It is down, and its host has nobody that could have an association. */
  isGone(endpoint: Place): boolean {
    return this.#states.get(endpointKey(endpoint))?.gone === true;
  }

  /** Forgets endpoints that no service has any more. */
  retain(endpoints: readonly Place[]): void {
    const kept = new Set(endpoints.map(endpointKey));
    for (const [key, state] of this.#states) {
      if (kept.has(key)) continue;
      this.#downCount -= tally(state).down;
      this.#states.delete(key);
    }
  }

  #count(before: Verdict | undefined, after: Verdict | undefined): void {
    if (before === "down") this.#downCount -= 1;
    if (after === "down") this.#downCount += 1;
  }

  #state(endpoint: Place): State {
    const key = endpointKey(endpoint);
    let state = this.#states.get(key);
    if (state === undefined) {
      state = {
        address: endpoint.address,
        port: endpoint.port,
        own: undefined,
        ownSinceMs: 0,
        ownLatestMs: 0,
        gone: false,
        speaks: false,
        heard: false,
        reason: "",
        others: new Map(),
        downSinceMs: undefined,
      };
      this.#states.set(key, state);
    }
    return state;
  }

  #weigh(state: State, nowMs: number): void {
    const { silent, all } = tally(state);
    // Without an own verdict of "down" this member tells nobody: it may be the others that are cut off. Nor
    // does it while anybody reaches the endpoint: associations that pass there would be ended with the rest,
    // as after a partition in which the endpoint was on the smaller side.
    const isSilent = state.own === "down" && !state.speaks;
    if (isSilent && silent === all && silent >= this.#quorum()) state.downSinceMs ??= nowMs;
    else state.downSinceMs = undefined;
  }
}

/** Verdicts of anybody; `silent`: those that are down for want of SCTP. */
function tally(state: State): { down: number; silent: number; all: number } {
  const verdicts: OtherVerdict[] = [...state.others.values()];
  if (state.own !== undefined) verdicts.push({ verdict: state.own, speaks: state.speaks });
  const down = verdicts.filter(({ verdict }) => verdict === "down");
  return { down: down.length, silent: down.filter(({ speaks }) => !speaks).length, all: verdicts.length };
}
