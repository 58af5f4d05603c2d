// What LoxiLB's API reads and does beyond the node's own.
import type { ApiSources } from "../api/sources.ts";
import type { CounterExchange } from "../cluster/counters.ts";
import type { ClusterLink } from "../cluster/link.ts";
import type { Configuration } from "../config/schema.ts";
import type { DaemonLogger } from "../log.ts";
import type { Deletions } from "./deletions.ts";
import type { PostedRouters } from "./routing.ts";

export interface LoxilbContext {
  readonly sources: ApiSources;
  readonly link: ClusterLink;
  readonly counters: CounterExchange;
  readonly deletions: Deletions;
  readonly logger: DaemonLogger;
  /** Where the bgp announcer runs: neighbours that are posted become its routers. */
  readonly routers?: PostedRouters;
  /** As of now: a reload changes some of it. */
  readonly configuration: () => Configuration;
}
