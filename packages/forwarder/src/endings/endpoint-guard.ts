// Ends that no packet brings: an endpoint removed or dead, a session ended by its operator. The client is
// told at once, with its own tag, so that it comes back in milliseconds; never for an endpoint that is
// unreachable for a moment.
import {
  type Address,
  currentCandidate,
  type EndCause,
  endOf,
  endpointKey,
  isEnded,
  isLiving,
  type Service,
  type SessionId,
  type SessionRecord,
  sameEndpoint,
} from "@holdfast/model";
import type { Core } from "../core.ts";
import { sessionIdOfEmbryo } from "../embryos/embryo.ts";
import { releasePort } from "../embryos/ports.ts";
import { addressesDown, downSinceMs, isEndpointGone } from "../health/endpoint-addresses.ts";
import { placesOf, type ServiceEntry } from "../services/registry.ts";
import { abortClient, abortEndpoint } from "../slow-path/sctp/answers.ts";

/** Sessions ended in one turn of the event loop. */
const ENDED_COUNT_MAX_PER_TURN = 256;
const TURN_PAUSE_MS = 1;
/** Sessions of an endpoint asked whether it still speaks. */
const ASKED_COUNT_MAX = 512;
/**
 * How long a removed service is remembered, for ends of its sessions that come in turns or from other
 * members.
 */
const LEAVING_MS = 10_000;

/** An endpoint of one service that takes no part any more. */
export interface LostEndpoint {
  /** undefined: of every service. */
  readonly serviceId: string | undefined;
  readonly address: Address;
  readonly port: number;
}

type GuardEvent = {
  readonly kind: "endpointDead";
  readonly address: Address;
  readonly port: number;
  readonly sessions: number;
};

type Place = Pick<LostEndpoint, "address" | "port">;

/** A service that was removed, as it was then. */
interface Leaving {
  readonly entry: ServiceEntry;
  readonly owned: ReadonlySet<Address>;
  readonly sinceMs: number;
}

interface Waiting {
  readonly id: SessionId;
  readonly cause: EndCause;
  /** endpointDown only: a session whose endpoint has spoken since then lives on. */
  readonly downSinceMs: number | undefined;
}

const REASONS: Readonly<Partial<Record<EndCause, string>>> = {
  endpointDown: "endpoint is down",
  endpointRemoved: "endpoint was removed",
  operator: "ended by operator",
};

export class EndpointGuard {
  readonly #core: Core;
  readonly #emit: (event: GuardEvent) => void;
  #waiting: Waiting[] = [];
  #moving: SessionId[] = [];
  readonly #leaving = new Map<string, Leaving>();
  /** Dead endpoints whose clients were told, with the time since when they are down. */
  readonly #told = new Map<string, number>();

  constructor(core: Core, emit: (event: GuardEvent) => void) {
    this.#core = core;
    this.#emit = emit;
  }

  /**
   * Endpoints that a service has now, and that were taken from it: not in its list, and not leaving it any
   * more.
   */
  removedEndpoints(services: readonly Service[]): LostEndpoint[] {
    const lost: LostEndpoint[] = [];
    const next = new Map(services.map((service) => [service.id, placesOf(service)]));
    for (const { service } of this.#core.registry.entries) {
      const kept = next.get(service.id);
      for (const { address, port } of placesOf(service)) {
        if (kept?.some((e) => sameEndpoint(e, { address, port })) === true) continue;
        if (this.#core.isRemoved({ serviceId: service.id, endpoint: { address, port } }))
          lost.push({ serviceId: service.id, address, port });
      }
    }
    return lost;
  }

  /**
   * Before services are replaced: clients of what goes are told while it is still known, by those that own
   * its VIPs now.
   */
  beforeServices(services: readonly Service[]): void {
    const { registry, clock } = this.#core;
    const kept = new Set(services.map(({ id }) => id));
    for (const id of kept) this.#leaving.delete(id);
    for (const entry of registry.entries) {
      if (kept.has(entry.service.id)) continue;
      const owned = new Set(entry.service.vips.filter((vip) => this.#core.ownsVip(vip)));
      this.#leaving.set(entry.service.id, { entry, owned, sinceMs: clock.nowMs() });
    }
    const lost = this.removedEndpoints(services);
    this.#endHandshakes(lost);
    this.endSessionsOf(lost, "endpointRemoved");
  }

  /**
   * INITs that nobody answered begin anew elsewhere when they come again; whoever got an INIT-ACK is told.
   */
  #endHandshakes(lost: readonly LostEndpoint[]): void {
    const { nursery, table } = this.#core;
    if (lost.length === 0 || nursery.size === 0) return;
    const places = new Set(lost.map((place) => `${place.serviceId}|${endpointKey(place)}`));
    for (const embryo of [...nursery.values()]) {
      if (!places.has(`${embryo.entry.service.id}|${endpointKey(embryo.endpoint)}`)) continue;
      nursery.remove(embryo);
      releasePort(this.#core, embryo);
      const id = sessionIdOfEmbryo(embryo);
      const record = embryo.published ? table.get(id) : undefined;
      if (record !== undefined && record.commit === undefined) this.endSession(id, "endpointRemoved");
    }
  }

  /** Ends all sessions of these endpoints, the first ones before this returns, the rest in turns. */
  endSessionsOf(lost: readonly LostEndpoint[], cause: EndCause, downSinceMs?: number): number {
    if (lost.length === 0) return 0;
    const before = this.#waiting.length;
    for (const { serviceId, address, port } of lost) {
      for (const record of this.#livingAt(address, port)) {
        if (serviceId !== undefined && serviceId !== record.serviceId) continue;
        this.#waiting.push({ id: record.id, cause, downSinceMs });
      }
    }
    const count = this.#waiting.length - before;
    if (before === 0) this.#turn();
    return count;
  }

  endSession(id: SessionId, cause: EndCause): boolean {
    const { table } = this.#core;
    const record = table.get(id);
    if (record === undefined || !isLiving(record)) return false;
    table.apply({ id, end: endOf(record, cause) }, { urgent: true });
    return true;
  }

  /** Housekeeping: endpoints all of whose addresses have been down for long enough; each is told once. */
  tick(nowMs: number): void {
    const { registry, health, logger } = this.#core;
    for (const [id, { sinceMs }] of this.#leaving) {
      if (this.#waiting.length === 0 && nowMs - sinceMs >= LEAVING_MS) this.#leaving.delete(id);
    }
    for (const endpoint of registry.endpoints) {
      const { address, port } = endpoint;
      const key = endpointKey(endpoint);
      if (health.knowsDown) this.#listen(endpoint, nowMs);
      const sinceMs = downSinceMs(this.#core, endpoint);
      if (sinceMs === undefined) {
        this.#told.delete(key);
        continue;
      }
      if (this.#told.get(key) === sinceMs) continue;
      const waitMs = this.#waitMs(endpoint);
      if (nowMs - sinceMs < waitMs || this.#speaks(address, port, Math.max(sinceMs, nowMs - waitMs)))
        continue;
      if (this.#wantsLastLook(endpoint, nowMs)) continue;
      this.#told.set(key, sinceMs);
      const sessions = this.endSessionsOf([{ serviceId: undefined, address, port }], "endpointDown", sinceMs);
      logger.warn({ address, port, sessions }, "endpoint is dead: its clients are told");
      this.#emit({ kind: "endpointDead", address, port, sessions });
    }
  }

  #placesOf(endpoint: Place): readonly Place[] {
    const { port } = endpoint;
    return this.#core.registry.addressesOf(endpoint).map((address) => ({ address, port }));
  }

  #waitMs(endpoint: Place): number {
    const { endpointGoneMs, endpointDeathMs } = this.#core.limits;
    return isEndpointGone(this.#core, endpoint) ? endpointGoneMs : endpointDeathMs;
  }

  /**
   * The own probes call it down, and its associations carry what it says: every member has to know, since
   * those that carry none of it cannot hear it.
   */
  #listen(endpoint: Place, nowMs: number): void {
    const { health } = this.#core;
    const places = this.#placesOf(endpoint);
    const downs = places.map((place) => health.ownDown(place)?.sinceMs ?? Number.POSITIVE_INFINITY);
    const sinceMs = Math.max(...downs, nowMs - this.#waitMs(endpoint));
    // While one of its addresses answers nobody calls it dead, and its associations are not looked through.
    const heard = Number.isFinite(sinceMs) && this.#speaks(endpoint.address, endpoint.port, sinceMs);
    for (const place of places) health.setHeard(place, heard, nowMs);
  }

  /**
   * What its host refused may be as old as a probe's period, and the endpoint may have started since: it is
   * asked once more before its clients are told.
   */
  #wantsLastLook(endpoint: Place, nowMs: number): boolean {
    if (!isEndpointGone(this.#core, endpoint)) return false;
    const { health, limits } = this.#core;
    let isWanted = false;
    for (const place of this.#placesOf(endpoint)) {
      const latestMs = health.ownDown(place)?.latestMs ?? nowMs;
      if (nowMs - latestMs <= limits.endpointGoneMs) continue;
      health.unanswered(place);
      isWanted = true;
    }
    return isWanted;
  }

  /** A verdict about a configured address: sessions that have several leave it alone while it is down. */
  moveAddresses({ address, port }: { readonly address: Address; readonly port: number }): void {
    const before = this.#moving.length;
    for (const identity of this.#core.registry.identitiesBeside(address, port))
      for (const record of this.#livingAt(identity, port))
        if (currentCandidate(record)?.endpointAddresses.includes(address) === true)
          this.#moving.push(record.id);
    if (before === 0) this.#moveTurn();
  }

  /** Living, committed sessions whose association is with this endpoint. */
  *#livingAt(address: Address, port: number): Generator<SessionRecord> {
    for (const record of this.#core.table.byEndpoint(address, port)) {
      if (record.commit === undefined || !isLiving(record)) continue;
      const candidate = currentCandidate(record);
      if (candidate?.endpoint === address && candidate.endpointPort === port) yield record;
    }
  }

  #moveTurn(): void {
    const { table, sessions, health, clock, registry } = this.#core;
    for (const id of this.#moving.splice(0, ENDED_COUNT_MAX_PER_TURN)) {
      const record = table.get(id);
      const local = sessions.get(id);
      const candidate = record && currentCandidate(record);
      if (record === undefined || local === undefined || candidate === undefined) continue;
      const entry = registry.get(record.serviceId);
      if (entry === undefined) continue;
      const endpointsDown = addressesDown(health, candidate, entry);
      if (!sameList(endpointsDown, local.paths.endpointsDown))
        sessions.update(local, record, { endpointsDown });
    }
    if (this.#moving.length > 0) clock.after(TURN_PAUSE_MS, () => this.#moveTurn());
  }

  isNewEnd(previous: SessionRecord | undefined, record: SessionRecord | undefined): boolean {
    return record !== undefined && previous !== undefined && isLiving(previous) && isEnded(record);
  }

  /**
   * Others presume the endpoint dead, and this member hears it: they were cut off from it, or this one was
   * cut off from them. The session lives on, and what this member says now tells them.
   */
  denies(record: SessionRecord): boolean {
    const candidate = currentCandidate(record);
    if (record.end?.cause !== "endpointDown" || candidate === undefined) return false;
    const { health } = this.#core;
    const { endpoint: address, endpointPort: port } = candidate;
    const places = this.#placesOf({ address, port });
    if (places.some((place) => health.verdictOf(place)?.verdict === "up")) return true;
    const sinceMs = downSinceMs(this.#core, { address, port });
    return sinceMs !== undefined && this.#hasSpokenSince(record.id, sinceMs);
  }

  /** Whoever ended it: the members that own the VIPs tell both ends. */
  ended(record: SessionRecord, known: ServiceEntry | undefined): void {
    const cause = record.end?.cause;
    const reason = cause === undefined ? undefined : REASONS[cause];
    const leaving = this.#leaving.get(record.serviceId);
    const entry = leaving?.entry ?? known;
    if (entry === undefined || reason === undefined) return;
    const owns = leaving === undefined ? this.#core.ownsVip : (vip: Address) => leaving.owned.has(vip);
    abortClient(this.#core, record, entry, { reason, owns });
    if (cause !== "endpointDown") abortEndpoint(this.#core, record, entry, { owns });
  }

  #turn(): void {
    const turn = this.#waiting.splice(0, ENDED_COUNT_MAX_PER_TURN);
    for (const { id, cause, downSinceMs } of turn) {
      if (downSinceMs !== undefined && this.#hasSpokenSince(id, downSinceMs)) continue;
      this.endSession(id, cause);
    }
    if (this.#waiting.length > 0) this.#core.clock.after(TURN_PAUSE_MS, () => this.#turn());
  }

  /**
   * A host that refuses probes, or leaves them unanswered, may be overloaded: Linux says "protocol
   * unreachable" for a stack in user space whose socket is full. While it speaks to anybody it is not dead.
   */
  #speaks(address: Address, port: number, sinceMs: number): boolean {
    let asked = 0;
    for (const { id } of this.#livingAt(address, port)) {
      if (this.#hasSpokenSince(id, sinceMs)) return true;
      asked += 1;
      if (asked >= ASKED_COUNT_MAX) return false;
    }
    return false;
  }

  /** The probes may be lost where the traffic is not. */
  #hasSpokenSince(id: SessionId, sinceMs: number): boolean {
    const { sessions, fastPath, clock } = this.#core;
    const local = sessions.get(id);
    if (local === undefined) return false;
    if (local.endpointHeardMs > sinceMs && local.endpointHeardMs > local.committedMs) return true;
    const skewMs = clock.nowMs() - fastPath.nowMs();
    return sessions.flows(local).some((flow) => {
      if (flow.direction !== "down") return false;
      const counters = fastPath.counters(flow.key);
      return counters !== undefined && counters.packets > 0 && counters.lastSeenMs + skewMs > sinceMs;
    });
  }
}

function sameList(a: readonly Address[] = [], b: readonly Address[] = []): boolean {
  return a.length === b.length && a.every((address, index) => address === b[index]);
}
