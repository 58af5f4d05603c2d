// Ways out, as the translator asks for them.
import type { Flow } from "../port.ts";

/** Where a packet would leave. */
export interface Egress {
  /** Largest IP packet, bytes. */
  readonly mtu: number;
  /** Index of the device in whose routing table the way stands; absent: none. */
  readonly device?: number;
}

/** What a way out depends on. */
export interface Leaving {
  readonly newSource: Uint8Array;
  readonly flow: Pick<Flow, "newSource" | "direction">;
}

/** undefined: no next hop is known. */
export type EgressFinder = (destination: Uint8Array, entry: Leaving) => Egress | undefined;
