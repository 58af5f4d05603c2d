// Sessions whose service, or whose endpoint in it, this member does not have: the configuration changed while
// nobody ran, or while the handshake was under way at another member. Such a session would never end, and
// keep its NAT port. It may as well belong to a configuration that is on its way, or that this member cannot
// read: what is merely unknown here ends nothing, and what was deleted ends when a majority of the members
// says so.
import {
  currentCandidate,
  isLiving,
  type ServicePlace,
  type SessionId,
  type SessionRecord,
} from "@holdfast/model";
import type { Core } from "../core.ts";

/** A configuration may come so much later than its sessions. */
const STRAY_MS = 30_000;
/** Strays looked at in one turn. */
const STRAY_COUNT_MAX_PER_TURN = 256;
/** Places that the other members are asked about at once. */
const PLACE_COUNT_MAX = 64;

/** Which of these places a majority of all members, in the same configuration, knows to be deleted. */
export type ConfirmRemoved = (places: readonly ServicePlace[]) => Promise<readonly ServicePlace[]>;

export class Strays {
  readonly #core: Core;
  readonly #end: (id: SessionId) => void;
  readonly #confirm: ConfirmRemoved | undefined;
  /** With the time since when; in its order. */
  readonly #since = new Map<SessionId, number>();
  #asks = false;

  constructor(core: Core, confirm: ConfirmRemoved | undefined, end: (id: SessionId) => void) {
    this.#core = core;
    this.#confirm = confirm;
    this.#end = end;
  }

  get size(): number {
    return this.#since.size;
  }

  /** A record is there, or is another, or the services are. */
  note(record: SessionRecord): void {
    if (this.#placeOf(record) !== undefined) {
      if (!this.#since.has(record.id)) this.#since.set(record.id, this.#core.clock.nowMs());
    } else if (this.#since.size > 0) this.#since.delete(record.id);
  }

  tick(nowMs: number): void {
    if (this.#since.size === 0 || !this.#core.isReady() || this.#asks) return;
    const due = new Map<string, { readonly place: ServicePlace; readonly ids: SessionId[] }>();
    let count = 0;
    for (const [id, sinceMs] of this.#since) {
      if (nowMs - sinceMs < STRAY_MS || ++count > STRAY_COUNT_MAX_PER_TURN) break;
      this.#since.delete(id);
      const record = this.#core.table.get(id);
      const place = record && this.#placeOf(record);
      if (place === undefined) continue;
      const key = JSON.stringify(place);
      const known = due.get(key);
      if (this.#core.isRemoved(place) && (known !== undefined || due.size < PLACE_COUNT_MAX)) {
        if (known === undefined) due.set(key, { place, ids: [id] });
        else known.ids.push(id);
      } else this.#since.set(id, nowMs);
    }
    if (due.size > 0) this.#settle(due);
  }

  #settle(
    due: ReadonlyMap<string, { readonly place: ServicePlace; readonly ids: readonly SessionId[] }>,
  ): void {
    const end = (ids: readonly SessionId[]) => {
      for (const id of ids) {
        const record = this.#core.table.get(id);
        if (record === undefined || this.#placeOf(record) === undefined) continue;
        this.#core.counters.count("sessions-stray");
        this.#end(id);
      }
    };
    if (this.#confirm === undefined) {
      for (const { ids } of due.values()) end(ids);
      return;
    }
    this.#asks = true;
    const places = [...due.values()].map(({ place }) => place);
    void this.#confirm(places)
      .catch((): readonly ServicePlace[] => [])
      .then((confirmed) => {
        this.#asks = false;
        const keys = new Set(confirmed.map((place) => JSON.stringify(place)));
        const nowMs = this.#core.clock.nowMs();
        for (const [key, { ids }] of due) {
          if (keys.has(key)) end(ids);
          else for (const id of ids) this.#since.set(id, nowMs);
        }
      });
  }

  /** The service or the endpoint that a living session has and this member has not. */
  #placeOf(record: SessionRecord): ServicePlace | undefined {
    if (record.commit === undefined || !isLiving(record)) return undefined;
    const { registry } = this.#core;
    const { serviceId } = record;
    const candidate = currentCandidate(record);
    if (registry.get(serviceId) === undefined) return { serviceId };
    if (candidate === undefined) return undefined;
    const endpoint = { address: candidate.endpoint, port: candidate.endpointPort };
    return registry.hasEndpoint(serviceId, endpoint) ? undefined : { serviceId, endpoint };
  }
}
