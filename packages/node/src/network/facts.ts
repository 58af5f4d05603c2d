// What is so of each network: interfaces come and go, and several may lead to one.
import type { WorkingInterface } from "./interfaces.ts";

export interface Fact {
  readonly carrier: boolean;
  readonly routerHeard: boolean;
}

/**
 * Networks remembered, those of interfaces that have gone among them; the oldest of those is forgotten for
 * one more.
 */
const NETWORK_COUNT_MAX = 256;

export class NetworkFacts {
  /** All that there were, in the order in which they came. */
  readonly #known = new Set<string>();

  /**
   * A network whose last interface has gone is one without carrier: what is left out would count as well
   * connected.
   */
  facts(
    interfaces: readonly WorkingInterface[],
    factOf: (name: string) => Fact,
  ): (Fact & { readonly network: string })[] {
    const facts = new Map<string, Fact>();
    for (const { name, network } of interfaces) {
      const { carrier, routerHeard } = factOf(name);
      const other = facts.get(network);
      facts.set(network, {
        carrier: carrier || other?.carrier === true,
        routerHeard: routerHeard || other?.routerHeard === true,
      });
      this.#known.add(network);
    }
    for (const network of this.#known) {
      if (this.#known.size <= NETWORK_COUNT_MAX) break;
      if (!facts.has(network)) this.#known.delete(network);
    }
    return [...this.#known].map((network) => ({
      network,
      ...(facts.get(network) ?? { carrier: false, routerHeard: false }),
    }));
  }
}
