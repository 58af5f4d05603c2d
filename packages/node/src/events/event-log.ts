// The events of all members.
import { EventSchema } from "@holdfast/api";
import { type Clock, MEMBER_NUMBER_COUNT_MAX } from "@holdfast/model";
import { checkOf } from "../checks.ts";
import type { ClusterLink } from "../cluster/link.ts";
import { ReplicatedLog } from "../cluster/replicated-log.ts";
import type { EventBody, EventBus } from "./bus.ts";

/** Of each member; older ones are forgotten. */
export const EVENT_KEPT_COUNT_MAX = 1024;
/** Characters of an event in JSON that is taken from another member. */
const EVENT_SIZE_MAX = 4_096;

const isEvent = checkOf(EventSchema);

export function createEventLog(
  own: { readonly number: number },
  link: ClusterLink,
  clock: Clock,
  events: EventBus,
): ReplicatedLog<EventBody> {
  const log = new ReplicatedLog<EventBody>({
    topic: "events",
    self: own.number,
    link,
    clock,
    keptCountMax: EVENT_KEPT_COUNT_MAX,
    isValue: (value, origin): value is EventBody =>
      origin < MEMBER_NUMBER_COUNT_MAX &&
      isEvent({ id: "0", ...(value as object) }) &&
      JSON.stringify(value).length <= EVENT_SIZE_MAX,
  });
  events.subscribe((event) => log.append(event));
  return log;
}
