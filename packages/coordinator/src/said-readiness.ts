// What the probe thread has been told of this member's readiness: what it knows already would only wake it.
import type { Readiness } from "./coordinator.ts";
import type { NetworkFact } from "./probe-thread/messages.ts";

export interface ReadinessFacts {
  readonly ready?: boolean;
  readonly caughtUp?: boolean;
  readonly networks?: readonly NetworkFact[];
}

export class SaidReadiness {
  #text = "";

  /** What is to be said; undefined: it is known. */
  next({ ready, caughtUp, networks }: Readiness): ReadinessFacts | undefined {
    const facts: ReadinessFacts = {
      ...(ready !== undefined && { ready }),
      ...(caughtUp !== undefined && { caughtUp }),
      ...(networks !== undefined && {
        networks: networks.map(({ network, carrier, routerHeard = false }) => ({
          network,
          carrier,
          routerHeard,
        })),
      }),
    };
    const text = JSON.stringify(facts);
    // That a router was heard is worth something for as long as it is said.
    if (text === this.#text && facts.networks?.some(({ routerHeard }) => routerHeard) !== true)
      return undefined;
    this.#text = text;
    return facts;
  }
}
