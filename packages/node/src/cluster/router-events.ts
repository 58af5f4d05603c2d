// Changes of sessions with routers, as events of the API.
import type { Announcer, RouterStatus } from "@holdfast/announcer";
import type { EventBus } from "../events/bus.ts";

/** The result ends it. */
export function tellRouterEvents(announcer: Announcer, events: EventBus): () => void {
  const said = new Map<string, string>();
  return announcer.onStatus(() => {
    for (const router of announcer.routers()) {
      const state = stateOf(router);
      const before = said.get(router.name);
      said.set(router.name, state);
      // On the way to a session, states change all the time.
      if (before === state || (before === undefined && router.session !== "Established")) continue;
      events.emit({
        type: "router",
        message: `Router ${router.name}: ${state}${router.info === "" ? "" : ` (${router.info})`}.`,
        ...(before !== undefined && { from: before }),
        to: state,
      });
    }
  });
}

function stateOf({ session, bfd }: RouterStatus): string {
  if (session !== "Established") return "no session";
  return bfd === undefined ? "session up" : `session up, BFD ${bfd}`;
}
