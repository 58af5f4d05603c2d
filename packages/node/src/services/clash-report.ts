// What came and went between two judgements, for the log and for whoever watches.
import { type HoldfastError, type Logger, type Service, serviceWarnings } from "@holdfast/model";
import type { EventBus } from "../events/bus.ts";
import type { Judgement, VipClash } from "./clashes.ts";

export interface ReportParts {
  readonly logger: Logger;
  readonly events: EventBus;
}

export function reportClashes({ logger, events }: ReportParts, before: Judgement, now: Judgement): void {
  for (const [vip, clash] of now.clashes) {
    const known = before.clashes.get(vip);
    if (known !== undefined && textOf(known) === textOf(clash)) continue;
    const { code } = clash.problem;
    logger.error({ vip, code, member: clash.holder.member, servedHere: clash.servedHere }, textOf(clash));
    events.emit({ type: "ownership", vip, cause: code, message: textOf(clash) });
  }
  for (const [vip] of before.clashes) {
    if (now.clashes.has(vip)) continue;
    const message = `VIP ${vip} is no member's address any more: it is served again.`;
    logger.info({ vip }, message);
    events.emit({ type: "ownership", vip, message });
  }
  for (const [id, problem] of now.refused) {
    if (before.refused.get(id)?.message === problem.message) continue;
    const message = `Service ${id} is not served: ${problem.message}`;
    logger.error({ service: id, code: problem.code }, message);
    events.emit({ type: "service", service: id, cause: problem.code, message });
  }
}

/** One sentence, for the log, the API and the table. */
export function textOf({ vip, holder, servedHere }: Pick<VipClash, "vip" | "holder" | "servedHere">): string {
  const on = holder.interface === "" ? "" : ` (${holder.interface})`;
  const what =
    holder.as === "interface"
      ? `an address of member ${holder.member}${on}`
      : holder.as === "gateway"
        ? `the default gateway of member ${holder.member}${on}`
        : `a broadcast address of member ${holder.member}'s network${on}`;
  return `VIP ${vip} is ${what}: ${servedHere ? "served here all the same, as it was in service before" : "not served here"}.`;
}

/** Said once of each service: what is allowed, and likely not meant. */
export class WarningReport {
  #told = new Set<string>();

  report({ logger, events }: ReportParts, services: readonly Service[]): void {
    const told = new Set<string>();
    for (const service of services)
      for (const warning of serviceWarnings(service)) {
        told.add(warning.message);
        if (!this.#told.has(warning.message)) this.#tell(logger, events, service, warning);
      }
    this.#told = told;
  }

  #tell(logger: Logger, events: EventBus, service: Service, { code, message, remedy }: HoldfastError): void {
    logger.warn({ service: service.id, code, remedy }, message);
    events.emit({ type: "service", service: service.id, cause: code, message });
  }
}
