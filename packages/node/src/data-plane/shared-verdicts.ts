// Every member probes every endpoint; what it finds the others hear by asking.
import type { EndpointHealth, Forwarder, Verdict } from "@holdfast/forwarder";
import { type Address, type Clock, parseAddress, type Timer } from "@holdfast/model";
import type { ClusterLink } from "../cluster/link.ts";

const TOPIC = "verdicts";
const PERIOD_MS = 500;
/** Verdicts taken from one answer. */
const VERDICT_COUNT_MAX = 4_096;

interface SharedVerdict {
  readonly address: Address;
  readonly port: number;
  readonly verdict: Verdict;
}

type Sharer = Pick<Forwarder, "setOtherVerdict"> & { readonly health: Pick<EndpointHealth, "ownVerdicts"> };

/** Answers the others' questions and asks them twice a second, until cancelled. */
export function shareVerdicts(
  link: Pick<ClusterLink, "connected" | "request" | "onRequest">,
  forwarder: Sharer,
  clock: Clock,
): Timer {
  /** What each member said last, by member. */
  const known = new Map<number, SharedVerdict[]>();
  link.onRequest(TOPIC, () => new TextEncoder().encode(JSON.stringify(forwarder.health.ownVerdicts())));
  const take = (member: number, said: readonly SharedVerdict[]) => {
    const places = new Set(said.map(({ address, port }) => `${address}|${port}`));
    for (const { address, port } of known.get(member) ?? []) {
      if (!places.has(`${address}|${port}`))
        forwarder.setOtherVerdict(`${member}`, { address, port }, undefined);
    }
    for (const { address, port, verdict } of said) {
      forwarder.setOtherVerdict(`${member}`, { address, port }, verdict);
    }
    known.set(member, [...said]);
  };
  const asking = new Set<number>();
  return clock.every(PERIOD_MS, () => {
    const connected = link.connected();
    for (const member of known.keys()) {
      // Whoever is gone has no say.
      if (connected.includes(member)) continue;
      take(member, []);
      known.delete(member);
    }
    for (const member of connected) {
      if (asking.has(member)) continue;
      asking.add(member);
      void link.request(member, TOPIC, new Uint8Array(0)).then((body) => {
        asking.delete(member);
        const said = body === undefined ? undefined : parseVerdicts(body);
        if (said !== undefined) take(member, said);
      });
    }
  });
}

/** Members are authentic, not infallible: anything but a list of verdicts is no answer. */
export function parseVerdicts(body: Uint8Array): SharedVerdict[] | undefined {
  try {
    const list: unknown = JSON.parse(new TextDecoder().decode(body));
    if (!Array.isArray(list) || list.length > VERDICT_COUNT_MAX) return undefined;
    return list.map((entry: { address: unknown; port: unknown; verdict: unknown }) => {
      const { address, port, verdict } = entry;
      if (typeof address !== "string" || typeof port !== "number") throw new TypeError("no place");
      if (verdict !== "up" && verdict !== "down") throw new TypeError("no verdict");
      return { address: parseAddress(address), port, verdict };
    });
  } catch {
    return undefined;
  }
}
