// The NAT port of an embryo, and how it goes back.

import type { Core } from "../core.ts";
import type { Place } from "../slow-path/sctp/place.ts";
import type { Embryo } from "./embryo.ts";

/**
 * Makes room: an embryo that had its time and is in nobody's table. Its cookie, should it come, finds
 * nothing.
 */
export function evict(core: Core, embryo: Embryo): undefined {
  core.counters.count("embryos-evicted");
  core.nursery.remove(embryo);
  releasePort(core, embryo);
}

/** Gives an unpublished embryo's port back; a published one's belongs to its session. */
export function releasePort(core: Core, embryo: Embryo): undefined {
  if (!embryo.ownsPort || embryo.published) return;
  releasePlace(core, embryo);
}

/** Gives a place back that no session holds. */
export function releasePlace(core: Core, place: Pick<Place, "endpoint" | "natPort" | "loan">): undefined {
  const { endpoint, natPort, loan } = place;
  if (loan !== undefined) core.loans.giveBack(loan);
  else core.natPorts.release(endpoint.address, endpoint.port, natPort, "evicted", core.clock.nowMs());
}

/**
 * A member that lent ports is gone, or cut off. It may return without its memory and lend them again:
 * handshakes that it cannot hear of from the table begin anew, with their client's next INIT.
 */
export function lenderGone(core: Core, member: number): undefined {
  for (const embryo of [...core.nursery.values()])
    if (!embryo.published && embryo.loan?.lenders.includes(member) === true) evict(core, embryo);
}
