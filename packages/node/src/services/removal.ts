// What is taken away and has its grace: endpoints that left their list, services that were deleted.
import { LEAVING_COUNT_MAX, type LeavingEndpoint, type Removal, type Service } from "@holdfast/model";
import { endpointKey, endpointRemovalOf } from "./specification.ts";

/**
 * What a removal does with living associations: `drain` lets them end by themselves, for as long as the grace
 * lasts.
 */
export type Farewell = "drain" | "end";

/** `next` in place of `before`: endpoints that it leaves out leave, those that are back never went. */
export function replaced(
  before: Service | undefined,
  next: Service,
  options: { readonly nowMs: number; readonly farewell?: Farewell },
): Service {
  const { leaving: _, removal: __, ...service } = next;
  if (before === undefined || options.farewell === "end") return service;
  const listed = new Set(next.endpoints.map(({ address, port }) => endpointKey(address, port)));
  const isGone = ({ address, port }: Pick<LeavingEndpoint, "address" | "port">) =>
    !listed.has(endpointKey(address, port));
  const { mode, graceS } = endpointRemovalOf(next);
  const leaving: LeavingEndpoint[] = (before.leaving ?? []).filter(isGone);
  if (mode === "drain")
    for (const endpoint of before.endpoints.filter(isGone))
      leaving.push({ ...endpoint, sinceMs: options.nowMs, graceMs: graceS * 1000 });
  if (leaving.length === 0) return service;
  return { ...service, leaving: leaving.slice(-LEAVING_COUNT_MAX) };
}

export function untilMs({ sinceMs, graceMs }: Removal): number {
  return sinceMs + graceMs;
}
