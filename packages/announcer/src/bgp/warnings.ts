// What is allowed between a member and a router, silent, and likely not meant. Pure.
import { HoldfastError, type RouteAttributes } from "@holdfast/model";
import type { RouterConfiguration } from "./configuration.ts";
import { isInternal } from "./policy.ts";
import type { SpeakerState } from "./speaker.ts";

/** RFC 5881 §4: where packets of single-hop BFD may come from. */
const BFD_SOURCE_PORT_MIN = 49_152;
/** Without real-time priority, and shorter: false alarms on a machine with other work. */
const CALM_INTERVAL_MS = 100;
/** Without BFD, or with BFD that is down, a death lasts so long. */
const HOLD_MAX_S = 30;
const HOLD_WITHOUT_BFD_MAX_S = 9;

export interface WarningInput {
  readonly router: RouterConfiguration;
  /** All of them: what concerns several is said at each. */
  readonly routers: readonly RouterConfiguration[];
  readonly attributes: readonly RouteAttributes[];
  readonly speaker: Pick<SpeakerState, "isRealtime" | "sourcePortMin">;
}

export function routerWarnings(input: WarningInput): readonly HoldfastError[] {
  const { router, routers, attributes } = input;
  const { name, as, localAs } = router;
  const warnings: HoldfastError[] = [];
  if (!isInternal(router) && attributes.some(({ localPref }) => localPref !== undefined))
    warnings.push(new HoldfastError("ROUTER_LOCAL_PREF_UNSENT", { router: name, as }));
  const neighbourAs = new Set(routers.map((each) => each.localAs));
  if (neighbourAs.size > 1)
    warnings.push(
      new HoldfastError("ROUTER_MED_INCOMPARABLE", { router: name, list: [...neighbourAs].join(", ") }),
    );
  if (!isInternal(router) && attributes.some(({ med }) => med === undefined))
    warnings.push(new HoldfastError("ROUTER_MED_MISSING", { router: name, localAs }));
  return [...warnings, ...timeWarnings(input)];
}

function timeWarnings({ router, speaker }: WarningInput): readonly HoldfastError[] {
  const { name, bfd, holdS } = router;
  if (bfd === undefined)
    return holdS > HOLD_WITHOUT_BFD_MAX_S
      ? [new HoldfastError("ROUTER_BFD_ABSENT", { router: name, holdS })]
      : [];
  const warnings: HoldfastError[] = [];
  const { intervalMs, multiplier } = bfd;
  const detectionMs = intervalMs * multiplier;
  if (holdS * 1_000 <= detectionMs)
    warnings.push(new HoldfastError("ROUTER_HOLD_BEFORE_BFD", { router: name, holdS, detectionMs }));
  else if (holdS > HOLD_MAX_S) warnings.push(new HoldfastError("ROUTER_HOLD_LONG", { router: name, holdS }));
  if (!speaker.isRealtime && intervalMs < CALM_INTERVAL_MS)
    warnings.push(new HoldfastError("ROUTER_BFD_WITHOUT_PRIORITY", { router: name, intervalMs }));
  if (speaker.sourcePortMin !== undefined && speaker.sourcePortMin < BFD_SOURCE_PORT_MIN)
    warnings.push(new HoldfastError("ROUTER_BFD_SOURCE_PORT", { router: name, port: speaker.sourcePortMin }));
  return warnings;
}
