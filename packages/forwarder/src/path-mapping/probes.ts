// HEARTBEATs of the endpoint for a path whose client address never proved itself (docs/decisions/0251): the
// paired address gets the first, another the second, so that the path is confirmed at the second at the
// latest, whatever the client listed and however long the endpoint waits between two.
import {
  type Address,
  currentGeneration,
  familyOf,
  type Generation,
  type SessionId,
  type SessionRecord,
  type Tag,
  wasProbed,
} from "@holdfast/model";
import type { Core } from "../core.ts";
import { Fifo } from "../fifo.ts";
import type { LocalSession } from "../sessions/local-session.ts";
import { heardOn, isVerified } from "./flows.ts";

/** HEARTBEATs for unproven addresses that this member forwarded, of one generation. */
export interface SentProbes {
  readonly clientTag: Tag;
  /** By VIP. */
  readonly counts: (number | undefined)[];
}

/** Where the next HEARTBEAT for the VIP goes, when `paired` is not proven. Counts it. */
export function probeDestination(
  core: Core,
  local: LocalSession | undefined,
  record: SessionRecord,
  generation: Generation,
  vip: number,
  paired: Address,
): Address {
  if (local === undefined) return paired;
  if (local.probes?.clientTag !== generation.clientTag)
    local.probes = { clientTag: generation.clientTag, counts: [] };
  const { counts } = local.probes;
  // Another member may have forwarded the first.
  const count = counts[vip] ?? (wasProbed(generation, vip) ? 1 : 0);
  counts[vip] = count + 1;
  if (count === 0) {
    core.probes.sent(record.id, generation.clientTag, vip, core.clock.nowMs());
    return paired;
  }
  if (count % 2 === 0) return paired;
  return otherThan(record, generation, local, vip, paired) ?? paired;
}

/** The address that speaks on the VIP, else the source of the INIT, else any that is proven. */
function otherThan(
  record: SessionRecord,
  generation: Generation,
  local: LocalSession,
  vip: number,
  paired: Address,
): Address | undefined {
  const family = familyOf(paired);
  const isUsable = (address: Address) =>
    address !== paired && familyOf(address) === family && isVerified(record, address);
  const heard = heardOn(record, local.paths, vip);
  if (heard !== undefined && isUsable(heard)) return heard;
  if (isUsable(generation.source)) return generation.source;
  return [...record.clients.keys()].find(isUsable);
}

/** Probes whose outcome is awaited, all sessions together; one more is shared with the members at once. */
const WAITING_COUNT_MAX = 65_536;

interface Waiting {
  readonly id: SessionId;
  readonly clientTag: Tag;
  readonly vip: number;
  readonly sentMs: number;
}

/**
 * First HEARTBEATs that other members have to know of, or an owner's death would give the paired address
 * another first one. Most paired addresses answer within a round trip: those cost nobody anything.
 */
export class ProbeOutcomes {
  readonly #waiting = new Fifo<Waiting>();

  sent(id: SessionId, clientTag: Tag, vip: number, nowMs: number): undefined {
    this.#waiting.add({ id, clientTag, vip, sentMs: nowMs });
  }

  /** Housekeeping. */
  tick(core: Core, nowMs: number): undefined {
    const { probeAnswerMs, visitCountMaxPerTurn } = core.limits;
    for (let i = 0; i < visitCountMaxPerTurn; i++) {
      const { first, size } = this.#waiting;
      const isFull = size > WAITING_COUNT_MAX;
      if (first === undefined || (nowMs - first.sentMs < probeAnswerMs && !isFull)) break;
      this.#waiting.shift();
      share(core, first);
    }
  }
}

function share(core: Core, { id, clientTag, vip }: Waiting): undefined {
  const record = core.table.get(id);
  if (record?.commit?.clientTag !== clientTag) return;
  const generation = currentGeneration(record);
  const paired = generation?.pairing[vip];
  if (generation === undefined || paired === undefined || isVerified(record, paired)) return;
  core.counters.count("fallbacks");
  const probedVips = (generation.probedVips ?? 0) | (1 << vip);
  core.table.apply({ id, generations: new Map([[clientTag, { ...generation, probedVips }]]) });
}
