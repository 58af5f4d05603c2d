// Endpoints that are one server with two addresses. The evidence is the endpoints' own: each answered this
// member's latest probe, and its INIT-ACK lists the other (RFC 9260 §5.1.2). A probe's tag is random and
// known to its endpoint alone, so nobody else can say it; one endpoint's word about another is not enough, or
// it could make that one its own.

import type { Address } from "@holdfast/model";
import { endpointKey } from "@holdfast/model";
import type { Needs } from "../core.ts";

/** A configured endpoint with all of its addresses. */
export interface Server {
  readonly identity: Address;
  readonly port: number;
  readonly addresses: readonly Address[];
}

interface Place {
  readonly address: Address;
  readonly port: number;
}

/** What an INIT-ACK may list and is remembered. */
const LISTED_COUNT_MAX = 64;

export class Twins {
  /** "address|port" → the addresses that its latest answer listed. */
  readonly #listed = new Map<string, ReadonlySet<Address>>();

  /** An answer to a probe. true: it lists something else than the one before. */
  answered(place: Place, listed: readonly Address[]): boolean {
    const key = endpointKey(place);
    const next = new Set(listed.slice(0, LISTED_COUNT_MAX));
    const before = this.#listed.get(key);
    if (before !== undefined && before.size === next.size && listed.every((address) => before.has(address)))
      return false;
    this.#listed.set(key, next);
    return true;
  }

  /** Forgets what nobody probes any more. */
  retain(places: readonly Place[]): void {
    const kept = new Set(places.map(endpointKey));
    for (const key of this.#listed.keys()) if (!kept.has(key)) this.#listed.delete(key);
  }

  /**
   * By "identity|port": identities of the other endpoints that are the same server, directly or by way of a
   * third.
   */
  groups(endpoints: readonly Server[]): Map<string, readonly Address[]> {
    const byAddress = new Map<string, Server[]>();
    for (const server of endpoints)
      for (const address of server.addresses) {
        const key = endpointKey({ address, port: server.port });
        const sharing = byAddress.get(key);
        if (sharing === undefined) byAddress.set(key, [server]);
        else sharing.push(server);
      }
    const groups = new Map(endpoints.map((server) => [server, new Set([server])]));
    for (const server of endpoints)
      for (const address of this.#listedBy(server))
        for (const other of byAddress.get(endpointKey({ address, port: server.port })) ?? []) {
          const [ours, theirs] = [groups.get(server), groups.get(other)];
          if (ours === undefined || theirs === undefined || ours === theirs) continue;
          if (!this.#listedBy(other).some((each) => server.addresses.includes(each))) continue;
          for (const member of theirs) {
            ours.add(member);
            groups.set(member, ours);
          }
        }
    const twins = new Map<string, readonly Address[]>();
    for (const [server, members] of groups) {
      if (members.size < 2) continue;
      const others = [...members].filter((other) => other !== server).map(({ identity }) => identity);
      twins.set(endpointKey({ address: server.identity, port: server.port }), others.sort());
    }
    return twins;
  }

  #listedBy({ addresses, port }: Server): Address[] {
    return addresses.flatMap((address) => [...(this.#listed.get(endpointKey({ address, port })) ?? [])]);
  }
}

/** Which endpoints are one server, by what they tell themselves; what changes is said once. */
export function findTwins({ registry, logger }: Needs<"registry" | "logger">, twins: Twins): void {
  const groups = twins.groups(
    registry.endpoints.map(({ address: identity, port }) => ({
      identity,
      port,
      addresses: registry.configuredOf({ address: identity, port }),
    })),
  );
  for (const { address, port } of registry.endpoints) {
    const before = registry.twinsOf({ address, port });
    const after = groups.get(endpointKey({ address, port })) ?? [];
    if (before.join() === after.join()) continue;
    if (after.length === 0) logger.info({ address, port }, "endpoint is a server of its own again");
    else
      logger.warn(
        { address, port, sameServerAs: after },
        "endpoints are one server: they list each other, and are counted and judged as one; write one endpoint with all addresses",
      );
  }
  registry.setTwins(groups);
}
