// NAT ports of offers: this member's, as all are, and beside that those that an offered connection has had.
// These go round here: the one that has been out of use for longest is offered first.
import type { Address, Endpoint } from "@holdfast/model";
import type { PlainOffer } from "../../fast-path/plain.ts";
import { Fifo } from "../../fifo.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import { addressFor, chooseEndpoint, sourcesFor } from "./place.ts";
import { portsFrom, type Room, type Side } from "./room.ts";

/**
 * An endpoint that closed a connection remembers it for so long (Linux' TIME-WAIT), and may answer another
 * one's SYN with what the old one was at: until then ports that nobody has had come first.
 */
const REST_MS = 60_000;
/** While fewer than one in so many of an endpoint's NAT ports are free, those are left for the slow path. */
const KEPT_SHARE = 4;

interface Resting {
  readonly natPort: number;
  readonly sinceMs: number;
}

interface Place {
  readonly endpoint: Address;
  readonly endpointPort: number;
  readonly source: Address | undefined;
}

export type OfferPlace = Omit<PlainOffer, "session" | "source"> & { readonly source: Address | undefined };

export class OfferPorts {
  readonly #of: () => Room;
  readonly #side: Side;
  readonly #resting = new Map<string, Fifo<Resting>>();
  #turn = 0;

  constructor(room: () => Room, side: Side) {
    this.#of = room;
    this.#side = side;
  }

  get #room(): Room {
    return this.#of();
  }

  /** An endpoint by the service's selection, and a port toward it. `full`: those that have none; grows. */
  place(entry: ServiceEntry, vip: Address, full: Set<Endpoint>): OfferPlace | undefined {
    const room = this.#room;
    const side = this.#side;
    const sources = sourcesFor(room, vip, entry.service.sourceAddresses ?? []);
    const seeker = { vip, client: vip, clientPort: 0 };
    const { health } = side;
    const isDown = (endpoint: Endpoint) =>
      !health.isUp({ address: addressFor(side, endpoint, vip) ?? vip, port: endpoint.port });
    const isTaken = (endpoint: Endpoint) => full.has(endpoint) || (health.knowsDown && isDown(endpoint));
    for (;;) {
      const isAnyone = full.size === 0 && !health.knowsDown;
      const endpoint = chooseEndpoint(room, side, entry, seeker, isAnyone ? undefined : isTaken);
      const address = endpoint && addressFor(side, endpoint, vip);
      if (endpoint === undefined || address === undefined) return undefined;
      for (const source of sources) {
        const place = { endpoint: address, endpointPort: endpoint.port, source };
        const natPort = this.#portOf(place);
        if (natPort !== undefined) return { ...place, natPort };
      }
      full.add(endpoint);
    }
  }

  #portOf(place: Place): number | undefined {
    const nowMs = this.#room.core.clock.nowMs();
    const resting = this.#resting.get(keyOf(place));
    const first = resting?.first;
    if (first !== undefined && nowMs - first.sinceMs >= REST_MS) return resting?.shift()?.natPort;
    const ports = portsFrom(this.#side, place.source);
    const { endpoint, endpointPort } = place;
    const isFree = ports.available(endpoint, endpointPort) * KEPT_SHARE > ports.ownCount;
    const fresh = isFree ? ports.allocate(endpoint, endpointPort, 0, String(++this.#turn), nowMs) : undefined;
    return fresh ?? resting?.shift()?.natPort;
  }

  /** Its connection was closed, and nothing was heard of it for a while. */
  rest(place: Place & { readonly natPort: number }): void {
    const key = keyOf(place);
    let resting = this.#resting.get(key);
    if (resting === undefined) {
      resting = new Fifo();
      this.#resting.set(key, resting);
    }
    resting.add({ natPort: place.natPort, sinceMs: this.#room.core.clock.nowMs() });
  }

  /** What has rested as long as others do is everybody's again. */
  expire(nowMs: number): void {
    for (const [key, resting] of this.#resting) {
      for (let first = resting.first; first !== undefined; first = resting.first) {
        if (nowMs - first.sinceMs < REST_MS) break;
        resting.shift();
        this.free({ ...placeOfKey(key), natPort: first.natPort }, "evicted");
      }
      if (resting.size === 0) this.#resting.delete(key);
    }
  }

  free(
    { endpoint, endpointPort, source, natPort }: Place & { readonly natPort: number },
    reason: "verified" | "evicted",
  ): void {
    const nowMs = this.#room.core.clock.nowMs();
    portsFrom(this.#side, source).release(endpoint, endpointPort, natPort, reason, nowMs);
  }
}

function keyOf({ endpoint, endpointPort, source }: Place): string {
  return `${endpoint}|${endpointPort}|${source ?? ""}`;
}

function placeOfKey(key: string): Place {
  const [endpoint, endpointPort, source] = key.split("|") as [Address, string, Address | ""];
  return { endpoint, endpointPort: Number(endpointPort), source: source === "" ? undefined : source };
}
