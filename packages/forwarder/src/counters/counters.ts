// Totals of the slow path, by stable name.
import { SLOW_PATH_DROP_REASONS, type SlowPathDropReason } from "./drop-reasons.ts";

/** What happened, beside drops. Append only. */
export const SLOW_PATH_EVENTS = [
  "punts",
  "forwarded",
  "inits",
  "init-retransmissions",
  "init-reselections",
  "init-acks",
  "init-ack-release-timeouts",
  "replication-deferred",
  "sessions-committed",
  "restarts-committed",
  "sessions-ended",
  "generations-aborted",
  "embryos-evicted",
  "embryos-expired",
  "sessions-idle",
  "flow-installs",
  "flow-table-full",
  "flows-learned",
  "addresses-verified",
  "fallbacks",
  "questions",
  "held",
  "aborts-sent",
  "shutdown-completes-sent",
  "errors-sent",
  "icmp-translated",
  "icmp-sent",
  "fragments-reassembled",
  "init-acks-of-other-endpoint",
  "sessions-adopted",
  /** INITs that were let through under pressure because they came again. */
  "inits-again",
  "endpoint-deaths-denied",
  /** Sessions ended because their service or endpoint was deleted, as a majority of the members knows. */
  "sessions-stray",
  /** Questions to other members for a client's own port, … */
  "nat-ports-asked",
  /** … those that brought it, … */
  "nat-ports-borrowed",
  /** … and ports that this member lent. */
  "nat-ports-lent",
  /** INITs of endpoints that were carried to their service's peer. */
  "endpoints-began",
  /** TCP: SYNs that were given an endpoint, handshakes that were done. */
  "connections-begun",
  "connections-opened",
  /** UDP: first datagrams of a client's port. */
  "exchanges-begun",
  /** SYNs into open connections that were let through to the endpoint (RFC 5961 §4). */
  "syns-into-connections",
  /** SYNs and SYN-ACKs whose maximum segment size no way here takes. */
  "mss-clamped",
  /** TCP resets that were made here. */
  "resets-sent",
  "proxy-headers-sent",
  /** INITs that prove a VIP's way to an endpoint, and their answers that this member heard or was told of. */
  "way-inits",
  "way-answers",
  "syns-moved",
  "leftovers-reset",
  /** SYNs that prove a VIP's way to an endpoint of TCP. */
  "way-syns",
] as const;
export type SlowPathEvent = (typeof SLOW_PATH_EVENTS)[number];

export class Counters {
  readonly #events = new Map<SlowPathEvent, number>(SLOW_PATH_EVENTS.map((name) => [name, 0]));
  readonly #drops = new Map<SlowPathDropReason, number>(SLOW_PATH_DROP_REASONS.map((name) => [name, 0]));
  /** Called for each drop with the packet, for the trace; the packet is valid only during the call. */
  onDrop: ((reason: SlowPathDropReason, packet: Uint8Array | undefined) => void) | undefined = undefined;

  count(event: SlowPathEvent, by = 1): void {
    this.#events.set(event, (this.#events.get(event) as number) + by);
  }

  drop(reason: SlowPathDropReason, packet?: Uint8Array): void {
    this.#drops.set(reason, (this.#drops.get(reason) as number) + 1);
    this.onDrop?.(reason, packet);
  }

  event(event: SlowPathEvent): number {
    return this.#events.get(event) as number;
  }

  dropped(reason: SlowPathDropReason): number {
    return this.#drops.get(reason) as number;
  }

  get events(): ReadonlyMap<SlowPathEvent, number> {
    return this.#events;
  }

  get drops(): ReadonlyMap<SlowPathDropReason, number> {
    return this.#drops;
  }
}
