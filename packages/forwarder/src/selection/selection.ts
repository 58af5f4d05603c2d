// Which endpoint takes a new association. Pure: what is counted and who is up come with the call.
import type { Address, Endpoint, Service } from "@holdfast/model";
import { keyedHash } from "../nat-ports/allocator.ts";

export interface SelectionInput {
  readonly service: Service;
  /** Smallest first: two INITs of one client from different sources choose alike. */
  readonly clientAddresses: readonly Address[];
  readonly isUp: (endpoint: Endpoint) => boolean;
  /** Living associations and embryos, from the replicated table. */
  readonly countOf: (endpoint: Endpoint) => number;
  /** Endpoint to which an address of this client belongs already (`persist`). */
  readonly persisted: (client: Address) => Endpoint | undefined;
  /** Endpoints that did not answer this client's INITs; used again only when there is no other. */
  readonly avoid?: ReadonlySet<Endpoint>;
  /** Two endpoints that are one server take one share; what is counted of the one is counted of the other. */
  readonly isSame?: (a: Endpoint, b: Endpoint) => boolean;
  /** Rotates round robin and weighted round robin; starts elsewhere at every member. */
  readonly turn: number;
}

/** undefined: no endpoint takes new associations. Never one that drains, has weight 0, or is down. */
export function selectEndpoint(input: SelectionInput): Endpoint | undefined {
  const { isSame } = input;
  const usable: Endpoint[] = [];
  for (const endpoint of input.service.endpoints) {
    if (endpoint.state !== "active" || endpoint.weight === 0 || !input.isUp(endpoint)) continue;
    if (isSame === undefined || !usable.some((other) => isSame(other, endpoint))) usable.push(endpoint);
  }
  if (usable.length === 0) return undefined;
  const avoid = input.avoid;
  const fresh = avoid === undefined ? usable : usable.filter((endpoint) => !avoid.has(endpoint));
  const choices = fresh.length > 0 ? fresh : usable;
  switch (input.service.selection) {
    case "leastAssociations":
      return leastAssociations(choices, input);
    case "roundRobin":
      return choices[input.turn % choices.length];
    case "weighted":
      return weighted(choices, input.turn);
    case "hash":
      return hash(choices, input);
    case "persist":
      return persisted(choices, input) ?? hash(choices, input);
  }
}

/**
 * Fewest associations per weight; of equals the next in turn, so that idle endpoints do not all start with
 * the first.
 */
function leastAssociations(choices: readonly Endpoint[], input: SelectionInput): Endpoint | undefined {
  let best: Endpoint | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  for (let i = 0; i < choices.length; i++) {
    const endpoint = choices[(i + input.turn) % choices.length] as Endpoint;
    const load = (input.countOf(endpoint) + 1) / endpoint.weight;
    if (load < bestLoad) {
      best = endpoint;
      bestLoad = load;
    }
  }
  return best;
}

/**
 * Shares by weight, spread out: the turn runs over the weights by a step that is coprime to their sum and
 * near its golden section, so that a heavy endpoint's turns do not come in a row.
 */
function weighted(choices: readonly Endpoint[], turn: number): Endpoint | undefined {
  let sum = 0;
  for (const endpoint of choices) sum += endpoint.weight;
  let step = Math.max(1, Math.round(sum * 0.618));
  while (greatestCommonDivisor(step, sum) !== 1) step += 1;
  let at = ((turn % sum) * step) % sum;
  for (const endpoint of choices) {
    at -= endpoint.weight;
    if (at < 0) return endpoint;
  }
  return undefined;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Weighted rendezvous hashing of the client: an endpoint that leaves moves only its own clients. */
function hash(choices: readonly Endpoint[], input: SelectionInput): Endpoint | undefined {
  const client = input.clientAddresses[0] ?? "";
  let best: Endpoint | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const endpoint of choices) {
    // No secret: every member must come to the same answer.
    const value = keyedHash(0x811c9dc5, `${client}|${endpoint.address}|${endpoint.port}`);
    const score = -endpoint.weight / Math.log((value + 0.5) / 0x1_0000_0000);
    if (score > bestScore) {
      best = endpoint;
      bestScore = score;
    }
  }
  return best;
}

/** Two associations of one host reach one endpoint, whichever of its addresses they begin from. */
function persisted(choices: readonly Endpoint[], input: SelectionInput): Endpoint | undefined {
  for (const client of input.clientAddresses) {
    const endpoint = input.persisted(client);
    if (endpoint === undefined) continue;
    const same = choices.find(
      (c) =>
        (c.address === endpoint.address && c.port === endpoint.port) || input.isSame?.(c, endpoint) === true,
    );
    if (same !== undefined) return same;
  }
  return undefined;
}
