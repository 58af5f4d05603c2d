// One port at the members: made, changed or left as it is, and what comes of it as the port's state.
import { ApiError, isAbsent, type ServiceInput, type ServiceView } from "@holdfast/api";
import type { EventRecorder } from "../events.ts";
import type { KubernetesObject } from "../objects.ts";
import { isAsWanted } from "../services/member-service.ts";
import { type PortState, PROTOCOL_NOT_SERVED } from "../services/status.ts";
import type { MemberCopy } from "./member-copy.ts";
import type { Told } from "./told.ts";

export interface ProgramParts {
  readonly members: MemberCopy;
  readonly events: EventRecorder;
  readonly told: Told;
  /** Not done, and nothing but time or others will change it. */
  readonly onPending: (key: string) => void;
}

/** Throws what another try may mend: nobody answers, somebody was faster. */
export async function programPort(
  { members, events, told, onPending }: ProgramParts,
  key: string,
  object: KubernetesObject,
  wanted: ServiceInput,
  before: ServiceView | undefined,
): Promise<PortState> {
  const owner = before === undefined ? key : members.keyOf(before);
  // kube-loxilb's of the same address and port is taken over as it is; anybody else's is not touched.
  if (before !== undefined && owner !== key && before.managedBy !== "loxilb") {
    const message = `The members have another service at ${before.id}: ${before.name}.`;
    told.warning(key, object, "SyncLoadBalancerFailed", message);
    onPending(key);
    return { error: "holdfast.io/AddressInUse", message };
  }
  if (before !== undefined && isAsWanted(before, wanted)) {
    told.clear(key, `SyncLoadBalancerFailed ${portOf(wanted)}`);
    return refusedByMembers(before);
  }
  try {
    const view = await members.put(wanted, before);
    if (before === undefined)
      events.normal(
        object,
        "EnsuredLoadBalancer",
        `The members serve ${portOf(wanted)} at ${wanted.vips.join(", ")}.`,
      );
    told.clear(key, `SyncLoadBalancerFailed ${portOf(wanted)}`);
    return refusedByMembers(view);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const draining = error.code === "SERVICE_VIP_TAKEN" ? members.drainsBefore(key, wanted) : undefined;
    const why = draining === undefined ? `${error.message} ${error.remedy}` : waitText(wanted, draining);
    const text = `${portOf(wanted)}: ${why}`;
    told.warning(key, object, "SyncLoadBalancerFailed", text, ` ${portOf(wanted)}`);
    // Whom nobody answers, and who was overtaken by another change, tries again soon.
    if (
      isAbsent(error) ||
      error.code === "SERVICE_CHANGED" ||
      error.code === "SERVICE_EXISTS" ||
      error.status === 404
    )
      throw error;
    onPending(key);
    const isUnserved = error.code === "SERVICE_NEEDS_UPGRADE" && wanted.protocol !== "sctp";
    return { error: isUnserved ? PROTOCOL_NOT_SERVED : "holdfast.io/Refused", message: text };
  }
}

function refusedByMembers({ refused }: ServiceView): PortState {
  return refused === undefined
    ? { error: undefined, message: "" }
    : { error: "holdfast.io/Refused", message: `${refused.message} ${refused.remedy}` };
}

/** The VIP that a service is named after is gone: its associations end before the others can be had anew. */
function waitText({ vips }: ServiceInput, { id, removal }: ServiceView): string {
  return (
    `${id}, as which it was served before, drains; it is served at ${vips.join(", ")} when the associations ` +
    `there have ended, at the latest after ${removal?.until}. Give it its former first VIP back to keep them.`
  );
}

/** For texts: `SCTP port 38412`. */
function portOf({ protocol = "sctp", port }: ServiceInput): string {
  return `${protocol.toUpperCase()} port ${port}`;
}
