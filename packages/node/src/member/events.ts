import type { CoordinatorEvent } from "@holdfast/coordinator";
import type { MemberParts } from "./parts.ts";

/** What the coordinator saw, as events for people. */
export function tellEvent({ own, events, tookOver }: MemberParts, event: CoordinatorEvent): void {
  switch (event.kind) {
    case "vipMoved":
      // Every member sees it; the one that has it now tells.
      if (event.to !== own.name) break;
      if (event.cause !== "first")
        tookOver?.(event.cause, event.cause === "death" ? event.durationMs : undefined);
      events.emit({
        type: "ownership",
        vip: event.vip,
        ...(event.from !== undefined && { from: event.from }),
        to: event.to,
        cause: event.cause,
        message: `VIP ${event.vip} ${event.from === undefined ? "is" : `moved from ${event.from} and is`} with ${event.to} now (${event.cause}, ${Math.round(event.durationMs)} ms).`,
      });
      break;
    case "memberPhase":
      events.emit({
        type: "membership",
        from: event.from,
        to: event.to,
        message: `Member ${event.member} is ${event.to} (was ${event.from}), silent for ${Math.round(event.silentMs)} ms.`,
      });
      break;
    case "accused":
      events.emit({ type: "membership", message: `${event.by} presumed this member dead; it was not.` });
      break;
    case "frozen":
      events.emit({
        type: "membership",
        message: `This process stood still for ${Math.round(event.forMs)} ms; it announces nothing until it knows what happened.`,
      });
      break;
    case "confirmed":
      events.emit({ type: "membership", message: "This member knows again what happened." });
      break;
  }
}
