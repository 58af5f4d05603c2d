// What was taken away and is not gone yet.
import type { Endpoint } from "./service.ts";

/** What happens to the associations of an endpoint that leaves its service's list. */
export interface EndpointRemoval {
  /**
   * `drain`: they live on until they end, the endpoint dies, or the grace has passed; `end`: they end at
   * once.
   */
  readonly mode: "drain" | "end";
  readonly graceS: number;
}

export const ENDPOINT_REMOVAL_DEFAULT: EndpointRemoval = { mode: "drain", graceS: 300 };

/** Endpoints of one service that may leave at once; beyond, the one that left first has no grace any more. */
export const LEAVING_COUNT_MAX = 64;

/** All members know it with its time; any of them carries it out. */
export interface Removal {
  /** When it was taken away: wall time of the member that was asked. */
  readonly sinceMs: number;
  readonly graceMs: number;
}

/** An endpoint that is in the list no more: it takes nothing new, and keeps what it has. */
export interface LeavingEndpoint extends Endpoint, Removal {}

export interface ServiceRemoval extends Removal {
  /**
   * `change`: it may come back at once (LoxiLB's clients delete and post), and is served as before; `drain`:
   * takes nothing new.
   */
  readonly mode: "change" | "drain";
}
