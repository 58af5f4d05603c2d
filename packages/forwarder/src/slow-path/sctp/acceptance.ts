// Which reflected ABORTs are believed. RFC 9260 §8.4: a host that has no association for a packet gives back
// its tag, with the T bit. So does one that has the association, but not with the address that the packet
// came from: Linux takes no private address of a peer whose INIT came from a public one, and answers a
// HEARTBEAT from it as out of the blue. Passed on, that ABORT would end an association that both ends hold.
// It speaks of the association only where its sender has taken part in it: where the handshake went, and
// where it has spoken since.
import type { Address, Generation, SessionRecord } from "@holdfast/model";
import { type Core, drop } from "../../core.ts";
import type { SctpInput } from "../../packet/input.ts";
import { heardOn } from "../../path-mapping/flows.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import type { LocalSession } from "../../sessions/local-session.ts";

/** The endpoint has sent something with the client's tag to this VIP. */
export function noteEndpointSpoke(local: LocalSession, clientTag: number, vip: number): undefined {
  if (local.spokenTag !== clientTag) {
    local.spokenTag = clientTag;
    local.spokenVips = 0;
  }
  local.spokenVips |= 1 << vip;
}

/** The endpoint has taken part in this generation on the VIP, as far as this member knows. */
export function hasEndpointSpoken(
  core: Core,
  record: SessionRecord,
  generation: Generation,
  vip: number,
): boolean {
  if (isHandshakeVip(core, record, generation, vip)) return true;
  const local = core.sessions.get(record.id);
  if (local === undefined) return false;
  if (local.spokenTag === generation.clientTag && (local.spokenVips & (1 << vip)) !== 0) return true;
  const address = core.registry.get(record.serviceId)?.service.vips[vip];
  const skewMs = core.clock.nowMs() - core.fastPath.nowMs();
  for (const { direction, key, tag } of core.sessions.flows(local)) {
    if (direction !== "down" || key.destination !== address || tag !== generation.clientTag) continue;
    const counters = core.fastPath.counters(key);
    // Counters outlive a restart of the association; what was said before it says nothing of this one.
    if (counters === undefined || counters.packets === 0) continue;
    if (counters.lastSeenMs + skewMs < local.committedMs) continue;
    noteEndpointSpoke(local, generation.clientTag, vip);
    return true;
  }
  return false;
}

/**
 * The client has taken part on the VIP, and the address is its own: a stranger's host answers what a lie made
 * us send.
 */
export function hasClientSpoken(
  core: Core,
  record: SessionRecord,
  generation: Generation,
  vip: number,
  source: Address,
): boolean {
  if (isHandshakeVip(core, record, generation, vip) && source === generation.source) return true;
  if (record.clients.get(source) !== true) return false;
  return heardOn(record, core.sessions.get(record.id)?.paths, vip) !== undefined;
}

/** With other VIPs than at the INIT nobody can say which one that was: none is doubted. */
function isHandshakeVip(core: Core, record: SessionRecord, generation: Generation, vip: number): boolean {
  const count = core.registry.get(record.serviceId)?.service.vips.length;
  return generation.arrivalVip === vip || generation.pairing.length !== count;
}

/** The answer of a host that never took the VIP for the other end of this association: it goes nowhere. */
export function dropUnaccepted(core: Core, input: SctpInput, entry: ServiceEntry, by: Address): undefined {
  if (core.unaccepted.isNews(`${entry.service.id} ${input.destination}`))
    core.logger.warn(
      { service: entry.service.id, vip: input.destination, by },
      "a VIP is answered with ABORT by a host that holds the association on other VIPs; kept from the other end",
    );
  drop(core, "vip-not-accepted", input.bytes);
}

/** What was said once needs no second line. */
export const NEWS_COUNT_MAX = 1_024;

export class Unaccepted {
  readonly #known = new Set<string>();

  isNews(subject: string): boolean {
    if (this.#known.has(subject) || this.#known.size >= NEWS_COUNT_MAX) return false;
    this.#known.add(subject);
    return true;
  }
}
