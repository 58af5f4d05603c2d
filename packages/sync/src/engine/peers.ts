// What each peer said that it holds, what of it is still to be fetched, and who is heard at all.
import type { Actor, Summary } from "../ports/journals.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { PeerIdentity } from "../ports/transport.ts";
import type { ReplicationSettings } from "./settings.ts";
import type { HeldJournal, Shelf } from "./shelf.ts";

/** A fetch without an answer is sent again after this long. */
const FETCH_PATIENCE_MS = 2_000;

interface Want {
  readonly actor: Actor;
  readonly segment: number;
  /** Ticks that the peer has. */
  readonly ticks: number;
}

export interface Peer {
  readonly identity: PeerIdentity;
  /** Its current incarnation; undefined before its hello. */
  incarnation: Actor | undefined;
  /** Whom it is connected with. */
  connected: readonly number[];
  /** It says that it holds what the cluster holds. */
  caughtUp: boolean;
  wants: Want[];
  /** What it had of others' and its own journals when it last said so, not joined here yet. */
  goals: Want[];
}

export interface PeersPorts {
  readonly settings: ReplicationSettings;
  readonly shelf: Shelf;
  readonly send: (peer: number, message: PeerMessage) => boolean;
  readonly nowMs: () => number;
  /** Fetching pauses while the view is behind. */
  readonly paused: () => boolean;
  readonly isRetired: (actor: Actor) => boolean;
  /** Whether this engine itself wrote as this incarnation. */
  readonly isOwn: (actor: Actor) => boolean;
}

export class Peers {
  readonly #ports: PeersPorts;
  readonly #peers = new Map<number, Peer>();
  readonly #heardAtMs = new Map<number, number>();
  /** Newest incarnation that each member itself named. */
  readonly #current = new Map<number, Actor>();
  readonly totals = { fetches: 0, forks: 0, fetchedSegments: 0 };

  constructor(ports: PeersPorts) {
    this.#ports = ports;
    for (const { number } of ports.settings.members) this.#heardAtMs.set(number, ports.nowMs());
  }

  /** New members have until now to be heard; of those that are gone nothing is expected. */
  relist(): void {
    const { settings, nowMs } = this.#ports;
    const numbers = new Set(settings.members.map(({ number }) => number));
    for (const number of numbers) if (!this.#heardAtMs.has(number)) this.#heardAtMs.set(number, nowMs());
    for (const number of [...this.#heardAtMs.keys()])
      if (!numbers.has(number) && !this.#peers.has(number)) {
        this.#heardAtMs.delete(number);
        this.#current.delete(number);
      }
  }

  get(number: number): Peer | undefined {
    return this.#peers.get(number);
  }

  /** Numbers of the connected members that have said hello, ascending. */
  connected(): number[] {
    return [...this.#peers.values()]
      .filter((peer) => peer.incarnation !== undefined)
      .map((peer) => peer.identity.number)
      .sort((a, b) => a - b);
  }

  all(): Iterable<Peer> {
    return this.#peers.values();
  }

  add(identity: PeerIdentity): Peer {
    const peer: Peer = {
      identity,
      incarnation: undefined,
      connected: [],
      caughtUp: false,
      wants: [],
      goals: [],
    };
    this.#peers.set(identity.number, peer);
    return peer;
  }

  remove(number: number): void {
    this.#peers.delete(number);
    for (const journal of this.#ports.shelf.journals.values()) {
      for (const held of journal.segments.values())
        if (held.fetching?.peer === number) held.fetching = undefined;
    }
  }

  /** Members in reach, directly or over one other, are heard now. */
  listen(): void {
    const nowMs = this.#ports.nowMs();
    for (const peer of this.#peers.values()) {
      if (peer.incarnation === undefined) continue;
      this.#heardAtMs.set(peer.identity.number, nowMs);
      for (const number of peer.connected) this.#heardAtMs.set(number, nowMs);
    }
  }

  silentMs(member: number): number {
    return this.#ports.nowMs() - (this.#heardAtMs.get(member) ?? Number.NEGATIVE_INFINITY);
  }

  /** Whether the member is in reach now. */
  isHeard(member: number): boolean {
    if (this.#peers.get(member)?.incarnation !== undefined) return true;
    for (const peer of this.#peers.values()) {
      if (peer.incarnation !== undefined && peer.connected.includes(member)) return true;
    }
    return false;
  }

  currentOf(member: number): Actor | undefined {
    return this.#current.get(member);
  }

  /** Takes in a hello or summary: notes what to fetch. */
  summarized(peer: Peer, summary: Summary): void {
    const { shelf, isRetired, isOwn, nowMs } = this.#ports;
    peer.incarnation = summary.incarnation;
    peer.connected = summary.connected;
    peer.caughtUp = summary.caughtUp;
    this.#current.set(peer.identity.number, summary.incarnation);
    this.listen();
    peer.wants = [];
    peer.goals = [];
    for (const listed of summary.journals) {
      if (isOwn(listed.actor) || isRetired(listed.actor)) continue;
      const journal = shelf.journal(listed.actor);
      if (journal === undefined || !this.provides(peer, journal)) continue;
      if (journal.segments.size === 0 && listed.base > journal.base) journal.base = listed.base;
      for (const { segment, ticks, head, sealed } of listed.segments) {
        if (segment < journal.base || segment < listed.base || ticks === 0) continue;
        const held = shelf.segment(journal, segment, nowMs());
        if (held === undefined) continue;
        if (sealed) held.sealedTicks ??= ticks;
        if (held.segment.ticks === ticks && Buffer.compare(held.segment.head, head) !== 0)
          this.totals.forks++;
        const want = { actor: listed.actor, segment, ticks };
        if (held.segment.ticks < ticks) peer.wants.push(want);
        if (held.joined < ticks) peer.goals.push(want);
      }
    }
    this.fetch(peer);
  }

  /** Sends as many fetches as may be on their way at once. */
  fetch(peer: Peer): void {
    if (peer.wants.length === 0) return;
    const { settings, shelf, send, nowMs, paused } = this.#ports;
    let underWay = 0;
    for (const journal of shelf.journals.values()) {
      for (const held of journal.segments.values()) {
        if (held.fetching === undefined) continue;
        if (nowMs() - held.fetching.sinceMs > FETCH_PATIENCE_MS) held.fetching = undefined;
        else if (held.fetching.peer === peer.identity.number) underWay++;
      }
    }
    const left: Want[] = [];
    for (const want of peer.wants) {
      const held = shelf.journals.get(want.actor)?.segments.get(want.segment);
      if (held === undefined || held.segment.ticks >= want.ticks) continue;
      left.push(want);
      if (held.fetching !== undefined || underWay >= settings.fetchCountMax || paused()) continue;
      const { actor, segment } = want;
      if (!send(peer.identity.number, { kind: "fetch", actor, segment, fromTick: held.segment.ticks }))
        continue;
      held.fetching = { peer: peer.identity.number, sinceMs: nowMs() };
      underWay++;
      this.totals.fetches++;
    }
    peer.wants = left;
  }

  /** A tick was ahead of what is here: fetch what is between. */
  want(peer: Peer, actor: Actor, segment: number, ticks: number): void {
    const known = peer.wants.find((want) => want.actor === actor && want.segment === segment);
    if (known !== undefined && known.ticks >= ticks) return;
    peer.wants = peer.wants.filter((want) => want !== known);
    peer.wants.push({ actor, segment, ticks });
    this.fetch(peer);
  }

  /** An answer came without what was asked for: the peer has dropped it. */
  unwant(peer: Peer, actor: Actor, segment: number): void {
    const isIt = (want: Want) => want.actor === actor && want.segment === segment;
    peer.wants = peer.wants.filter((want) => !isIt(want));
    peer.goals = peer.goals.filter((want) => !isIt(want));
  }

  /** Somebody in reach holds what the cluster holds, those who are out of reach included. */
  isAnyCaughtUp(): boolean {
    return [...this.#peers.values()].some((peer) => peer.caughtUp);
  }

  /** Everything that the connected peers had when they last said so is joined. */
  isCaughtUp(): boolean {
    for (const peer of this.#peers.values()) {
      if (peer.incarnation === undefined) return false;
      peer.goals = peer.goals.filter(({ actor, segment, ticks }) => {
        const journal = this.#ports.shelf.journals.get(actor);
        if (journal === undefined || segment < journal.base) return false;
        const held = journal.segments.get(segment);
        return held !== undefined && held.joined < ticks;
      });
      if (peer.goals.length > 0) return false;
    }
    return true;
  }

  /** A journal comes from its writer, or when that is out of reach from whoever has it. */
  provides(peer: Peer, journal: HeldJournal): boolean {
    if (peer.identity.number === journal.member) return true;
    const writer = this.#peers.get(journal.member);
    return writer?.incarnation !== journal.actor;
  }
}
