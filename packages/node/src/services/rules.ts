// Which services may stand beside each other. Looks at the configuration as it would be after a change,
// whole, so that a VIP may move from one service to another in one change.
import {
  type AddressBook,
  conflictOf,
  HoldfastError,
  type Service,
  type ServiceConflict,
  type ServiceId,
  serviceProblem,
} from "@holdfast/model";
import { SERVICE_COUNT_MAX } from "./store.ts";

function vipTaken({ vip, port, service }: ServiceConflict): HoldfastError {
  return new HoldfastError("SERVICE_VIP_TAKEN", { vip, port, service });
}

/**
 * Throws SERVICE_VIP_TAKEN, what `serviceProblem` finds, or SERVICE_COUNT_EXCEEDED, about a service in `put`.
 */
export function checkServices(
  before: readonly Service[],
  put: readonly Service[],
  remove: readonly ServiceId[],
  book: AddressBook,
): void {
  const after = new Map(before.map((service) => [service.id, service]));
  for (const id of remove) after.delete(id);
  for (const service of put) after.set(service.id, service);
  for (const service of put) {
    const conflict = conflictOf(service, after.values());
    if (conflict !== undefined) throw vipTaken(conflict);
    const problem = serviceProblem(service, after.values(), book);
    if (problem !== undefined) throw problem;
  }
  if (after.size > SERVICE_COUNT_MAX && after.size > before.length)
    throw new HoldfastError("SERVICE_COUNT_EXCEEDED", { limit: SERVICE_COUNT_MAX });
}
