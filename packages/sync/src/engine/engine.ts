// The replication engine: takes local facts into the own journal, carries journals between members, hands what it learns
// to the view, and sees to it that nothing living is forgotten and nothing dead is remembered for ever.
//
// Why nothing is lost: a session stands in the view as long as a live segment of some journal mentions it. A writer
// retires a segment only after it has written again what lives in it, and says so in the journal itself, so that every
// reader drops the old after it has read the new. The journals of incarnations that are gone are written again by one
// survivor, in the same way, before they are dropped.
import type { Clock, Logger, Random } from "@holdfast/model";
import { actorOf, counterOf, memberOf } from "../journal/actor.ts";
import type { VerifiedChange } from "../journal/change.ts";
import { decodePayload, type Entry, type Floor } from "../journal/payload.ts";
import type { JournalFactory } from "../journal/segment.ts";
import {
  type Actor,
  type Engine,
  type EngineLink,
  type EngineState,
  type EngineStatus,
  type JournalPosition,
  type PeerIdentity,
  type PeerMessage,
  SEGMENT_MESSAGE_BYTES_AIM,
  SEGMENT_MESSAGE_CHANGE_COUNT_MAX,
  type Store,
  type Summary,
  type ToEngine,
  type ToView,
  type Transport,
} from "../ports.ts";
import { Acknowledgements, LAG_BOUNDS_MS } from "./acknowledgements.ts";
import { readBatch } from "./batch.ts";
import { Deliveries } from "./deliveries.ts";
import { Floors } from "./floors.ts";
import { IdTable } from "./id-table.ts";
import { Loose } from "./loose.ts";
import { OwnJournal } from "./own-journal.ts";
import { type Peer, Peers } from "./peers.ts";
import { Questions } from "./questions.ts";
import { Receipts } from "./receipts.ts";
import { Retirement } from "./retirement.ts";
import { Rewriter } from "./rewriter.ts";
import {
  INCARNATION_LEAD_MAX_MS,
  REINCARNATION_SHARE,
  REPLICATION_DEFAULTS,
  type ReplicationSettings,
  WAITING_COUNT_MAX,
  WALL_CLOCK_MIN_MS,
} from "./settings.ts";
import { type HeldJournal, type HeldSegment, isContiguous, Shelf } from "./shelf.ts";

export interface EnginePorts {
  readonly settings: Partial<ReplicationSettings> & Pick<ReplicationSettings, "member" | "members">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly transport: Transport;
  readonly store: Store;
  readonly journals: JournalFactory;
  readonly link: EngineLink<ToView, ToEngine>;
  /** Member numbers that the NAT port space has room for, the same at every member. */
  readonly memberNumberCount: number;
}

export class ReplicationEngine implements Engine {
  readonly #ports: EnginePorts;
  readonly #settings: ReplicationSettings;
  readonly #ids = new IdTable();
  readonly #shelf: Shelf;
  readonly #peers: Peers;
  readonly #deliveries: Deliveries;
  readonly #acknowledgements: Acknowledgements;
  readonly #receipts: Receipts;
  readonly #questions: Questions;
  readonly #rewriter: Rewriter;
  readonly #retirement: Retirement;
  readonly #floors = new Floors();
  readonly #loose: Loose;
  readonly #timers: { cancel(): void }[] = [];
  readonly #totals: Record<string, number> = {};
  #own: OwnJournal | undefined;
  /** Last `local` message taken in. */
  #sequence = 0;
  #startedAtMs = 0;
  #ready = false;
  #mayAllocate = false;
  #stateText = "";
  #stopped = false;
  /** Incarnations that this engine itself wrote as: nobody has more of them than it. */
  readonly #ownActors = new Set<Actor>();
  /** When a member's word last made this one begin a new incarnation. */
  readonly #reincarnatedAtMs = new Map<number, number>();
  /** Members whose hello was taken in since the start. */
  readonly #greeted = new Set<number>();

  constructor(ports: EnginePorts) {
    this.#ports = ports;
    this.#settings = { ...REPLICATION_DEFAULTS, ...ports.settings };
    const settings = this.#settings;
    const { clock, link } = ports;
    const post = (message: ToView) => link.post(message);
    const send = (peer: number, message: PeerMessage) => this.#send(peer, message);
    this.#shelf = new Shelf(ports.journals, this.#ids);
    this.#loose = new Loose(clock, settings.memoryMs);
    this.#peers = new Peers({
      settings,
      shelf: this.#shelf,
      send,
      nowMs: () => clock.nowMs(),
      paused: () => this.#deliveries.waiting >= settings.deliveryPauseCount,
      isRetired: (actor) => this.#isRetired(actor),
      isOwn: (actor) => this.#ownActors.has(actor),
    });
    this.#deliveries = new Deliveries({
      settings,
      ids: this.#ids,
      post,
      sequence: () => this.#sequence,
      joined: (journal) => this.#joined(journal),
      contradicted: (ids) => this.#contradicted(ids),
      drained: () => {
        for (const peer of this.#peers.all()) this.#peers.fetch(peer);
      },
    });
    this.#acknowledgements = new Acknowledgements(clock, settings, post);
    this.#receipts = new Receipts({
      clock,
      send,
      isHeard: (journal) => this.#peers.get(journal.member)?.incarnation === journal.actor,
      isIdle: () => this.#deliveries.idle,
    });
    this.#questions = new Questions({
      clock,
      settings,
      post,
      send,
      deliver: (records) => {
        for (const record of records) this.#loose.add(record, this.#ids.find(record) !== undefined);
        this.#deliveries.add(undefined, undefined, records, [], "answer");
      },
    });
    this.#rewriter = new Rewriter({
      ids: this.#ids,
      exportCountMax: settings.exportCountMax,
      post,
      write: (entries) => this.#write(entries, true),
      sequence: () => this.#sequence,
    });
    this.#retirement = new Retirement({
      settings,
      clock,
      shelf: this.#shelf,
      ids: this.#ids,
      peers: this.#peers,
      rewriter: this.#rewriter,
      floors: this.#floors,
      own: () => this.#ownWriter(),
      write: (entries) => this.#write(entries, true),
      drop: (journal, base) => this.#drop(journal, base),
      isSettled: () => this.#isSettled(),
    });
  }

  async start(): Promise<void> {
    const { clock, store, link, transport, logger } = this.#ports;
    this.#startedAtMs = clock.nowMs();
    const stored = await store.load();
    if (this.#stopped) return;
    for (const what of stored.damaged) logger.warn({ what }, "left out of the store: damaged");
    this.#floors.load(stored.values.get("floors"));
    for (const { actor, segment, sealed, changes } of stored.segments)
      this.#load(actor, segment, sealed, changes);
    this.#incarnate(readCounter(stored.values.get("incarnation")));
    link.listen((message) => this.#fromView(message));
    link.post({ kind: "kept", values: stored.values, damaged: stored.damaged });
    transport.start({
      connected: (peer) => this.#connected(peer),
      disconnected: (peer) => this.#disconnected(peer),
      message: (peer, message) => this.#fromPeer(peer, message),
      dropped: (peer) => this.#send(peer.number, { kind: "summary", summary: this.#summary() }),
    });
    this.#timers.push(
      clock.every(this.#settings.summaryPeriodMs, () => this.#summarize()),
      clock.every(this.#settings.maintenancePeriodMs, () => this.#maintain()),
    );
    this.#changedState();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#acknowledgements.stop();
    this.#receipts.stop();
    this.#questions.stop();
    await this.#ports.transport.stop();
    await this.#ports.store.flush();
    this.#shelf.free();
  }

  /** Stops without a word, as a crash does: nothing is flushed, peers notice by themselves. */
  abandon(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#receipts.stop();
    void this.#ports.transport.stop();
    this.#shelf.free();
  }

  // -------------------------------------------------------------------------------------------------------------
  // From the view.

  #fromView(message: ToEngine): void {
    if (this.#stopped) return;
    switch (message.kind) {
      case "local": {
        this.#sequence = message.sequence;
        const entries = [...readBatch(message.deltas)].map((bytes): Entry => ({ kind: "delta", bytes }));
        this.#count("localDeltas", entries.length);
        this.#write(entries, false);
        break;
      }
      case "joined":
        this.#deliveries.joined(message);
        break;
      case "exported":
        this.#rewriter.exported(message);
        break;
      case "release":
        this.#acknowledgements.release(
          message.token,
          this.#ownWriter().position,
          message.members,
          this.#peers.connected(),
        );
        break;
      case "ask":
        this.#questions.ask(
          message.token,
          message.about,
          this.#peers.connected(),
          this.#ports.memberNumberCount,
        );
        break;
      case "found":
        this.#questions.found(message.request, message.records);
        break;
      case "configuration":
        for (const peer of message.to === undefined ? this.#peers.connected() : [message.to]) {
          this.#send(peer, { kind: "configuration", heads: message.heads, changes: message.changes });
        }
        break;
      case "keep":
        this.#ports.store.put(message.name, message.value);
        break;
      case "request": {
        const { token, member, topic, body } = message;
        if (this.#send(member, { kind: "request", id: token, topic, body })) {
          keepNewest(this.#asked, token, member);
        } else this.#ports.link.post({ kind: "response", token, body: undefined });
        break;
      }
      case "response":
        this.#respond(message.token, message.body);
        break;
      case "status":
        this.#ports.link.post({ kind: "status", token: message.token, status: this.status() });
        break;
    }
  }

  /** Requests of other members under way in the node: our token → who asked, and its id. */
  readonly #requests = new Map<number, { readonly peer: number; readonly id: number }>();
  #nextRequest = 1;
  /** Requests of our node: token → the member that was asked, and may answer. */
  readonly #asked = new Map<number, number>();

  #respond(token: number, body: Uint8Array): void {
    const request = this.#requests.get(token);
    if (request === undefined) return;
    this.#requests.delete(token);
    this.#send(request.peer, { kind: "response", id: request.id, body });
  }

  // -------------------------------------------------------------------------------------------------------------
  // From peers.

  #connected(identity: PeerIdentity): void {
    this.#peers.add(identity);
    this.#acknowledgements.forget(identity.number);
    this.#send(identity.number, { kind: "hello", summary: this.#summary() });
  }

  #disconnected(identity: PeerIdentity): void {
    this.#peers.listen();
    this.#peers.remove(identity.number);
    this.#acknowledgements.forget(identity.number);
    this.#questions.disconnected(identity.number);
    for (const [token, request] of this.#requests) {
      if (request.peer === identity.number) this.#requests.delete(token);
    }
    this.#changedState();
  }

  #fromPeer(identity: PeerIdentity, message: PeerMessage): void {
    if (this.#stopped) return;
    const peer = this.#peers.get(identity.number);
    if (peer === undefined) return;
    switch (message.kind) {
      case "hello":
      case "summary":
        this.#summarized(peer, message.summary);
        break;
      case "tick":
        this.#tick(peer, message);
        break;
      case "fetch":
        this.#serve(peer, message);
        break;
      case "segment":
        this.#fetched(peer, message);
        break;
      case "acknowledge":
        if (message.actor === this.#ownJournal().actor) {
          this.#acknowledgements.acknowledged(identity.number, message.held, message.joined);
        }
        break;
      case "base":
        // A hint for readers that keep no journal; the journal itself says it in order.
        break;
      case "ask":
        this.#questions.asked(identity.number, message.question, message.about);
        break;
      case "answer":
        this.#questions.answer(identity.number, message.question, message.records);
        break;
      case "configuration":
        this.#ports.link.post({
          kind: "configuration",
          from: identity.number,
          heads: message.heads,
          changes: message.changes,
        });
        break;
      case "request": {
        const token = this.#nextRequest++;
        // The node does not answer everything.
        keepNewest(this.#requests, token, { peer: identity.number, id: message.id });
        const { topic, body } = message;
        this.#ports.link.post({ kind: "request", token, from: identity.number, topic, body });
        break;
      }
      case "response":
        // Nobody answers for another.
        if (this.#asked.get(message.id) !== identity.number) break;
        this.#asked.delete(message.id);
        this.#ports.link.post({ kind: "response", token: message.id, body: message.body });
        break;
    }
  }

  #summarized(peer: Peer, summary: Summary): void {
    if (memberOf(summary.incarnation) !== peer.identity.number) {
      this.#refuse(peer, "incarnation-of-another-member");
      return;
    }
    const own = this.#ownJournal();
    let counterMin = 0;
    for (const [member, counter] of summary.floors) {
      if (member === own.member && counter > own.counter && !this.#isLie(counter))
        counterMin = Math.max(counterMin, counter);
    }
    // Two incarnations of one member, or a clock that went back: the later start needs the greater counter.
    for (const { actor } of summary.journals) {
      const counter = counterOf(actor);
      if (memberOf(actor) !== own.member || actor === own.actor || this.#isLie(counter)) continue;
      if (counter >= own.counter) counterMin = Math.max(counterMin, counter + 1);
    }
    if (counterMin > 0) this.#reincarnate(counterMin, peer.identity.number);
    this.#greeted.add(peer.identity.number);
    this.#peers.summarized(peer, summary);
    this.#changedState();
  }

  #tick(peer: Peer, message: Extract<PeerMessage, { kind: "tick" }>): void {
    const { actor, segment, tick, change } = message;
    // A live tick is its writer's: nobody speaks for another.
    if (memberOf(actor) !== peer.identity.number) {
      this.#refuse(peer, "tick-of-another-member");
      return;
    }
    if (this.#isRetired(actor)) return;
    const journal = this.#shelf.journal(actor);
    const held = journal && this.#shelf.segment(journal, segment, this.#ports.clock.nowMs());
    if (journal === undefined || held === undefined || tick < held.segment.ticks) return;
    if (tick > held.segment.ticks) {
      this.#count("gaps", 1);
      this.#peers.want(peer, actor, segment, tick + 1);
      return;
    }
    if (this.#deliveries.waiting >= this.#settings.deliveryCountMax) {
      // The view does not keep up: what waits stays with its writer, and is fetched when there is room.
      this.#count("putOff", 1);
      this.#peers.want(peer, actor, segment, tick + 1);
      return;
    }
    this.#take(peer, journal, held, change, true);
  }

  #fetched(peer: Peer, message: Extract<PeerMessage, { kind: "segment" }>): void {
    const { actor, segment, fromTick, changes, sealed } = message;
    if (this.#isRetired(actor) || this.#ownActors.has(actor)) return;
    const held = this.#shelf.journals.get(actor)?.segments.get(segment);
    const journal = this.#shelf.journals.get(actor);
    if (held === undefined || journal === undefined) return;
    const asked = held.fetching?.peer === peer.identity.number;
    if (asked) held.fetching = undefined;
    // While the writer is there, its journal comes from nobody else; a late answer is one that was asked for.
    else if (!this.#peers.provides(peer, journal)) {
      this.#count("unasked", 1);
      return;
    }
    if (fromTick > held.segment.ticks) return;
    for (const change of changes.slice(held.segment.ticks - fromTick)) {
      if (!this.#take(peer, journal, held, change, false)) return;
    }
    this.#count("fetchedChanges", changes.length);
    if (changes.length === 0) this.#peers.unwant(peer, actor, segment);
    if (sealed && held.segment.ticks === fromTick + changes.length) {
      held.sealedTicks ??= held.segment.ticks;
      this.#ports.store.seal(actor, segment);
      this.#obey(journal);
    }
    this.#peers.fetch(peer);
  }

  /** Verifies a change, and only then applies it. false: refused. */
  #take(
    peer: Peer | undefined,
    journal: HeldJournal,
    held: HeldSegment,
    change: Uint8Array,
    live: boolean,
  ): boolean {
    const verified = held.segment.verify(change);
    if (typeof verified === "string") {
      this.#count(`refused.${verified}`, 1);
      this.#refuseChange(peer, journal, held, `change ${verified}`);
      return false;
    }
    const entries = decodePayload(verified.payload);
    if (entries === undefined) {
      this.#count("refused.payload", 1);
      this.#refuseChange(peer, journal, held, "change with a malformed payload");
      return false;
    }
    try {
      held.segment.apply(verified);
    } catch (error) {
      this.#count("refused.unapplicable", 1);
      this.#ports.logger.error({ error, actor: journal.actor }, "a verified change could not be applied");
      this.#refuseChange(peer, journal, held, "change that cannot be applied");
      return false;
    }
    if (peer !== undefined) {
      this.#ports.store.append(journal.actor, held.segment.number, verified.tick, verified.bytes);
      this.#receipts.held(journal);
    }
    this.#read(journal, held, entries, live);
    return true;
  }

  /** A writer that tells each member something else is no fault of those who hand on what it told them. */
  #refuseChange(peer: Peer | undefined, journal: HeldJournal, held: HeldSegment, reason: string): void {
    if (peer?.identity.number === journal.member) this.#refuse(peer, reason);
    else if (peer !== undefined) this.#peers.unwant(peer, journal.actor, held.segment.number);
  }

  #read(journal: HeldJournal, held: HeldSegment, entries: readonly Entry[], live: boolean): void {
    const deltas: Uint8Array[] = [];
    const indices: number[] = [];
    const { number } = held.segment;
    for (const entry of entries) {
      switch (entry.kind) {
        case "delta": {
          const index = this.#ids.indexOf(entry.bytes);
          this.#ids.mention(index);
          held.mentions.push(index);
          this.#loose.carried(entry.bytes);
          deltas.push(entry.bytes);
          indices.push(index);
          break;
        }
        case "header": {
          const before = journal.segments.get(number - 1);
          if (before !== undefined && entry.previousTicks > 0) {
            before.sealedTicks = entry.previousTicks;
            if (before.segment.ticks === entry.previousTicks)
              this.#ports.store.seal(journal.actor, number - 1);
          }
          journal.saidBase = entry.base;
          journal.controls.push({ segment: number, base: entry.base, floor: undefined });
          break;
        }
        case "base":
          journal.saidBase = entry.base;
          journal.controls.push({ segment: number, base: entry.base, floor: undefined });
          break;
        case "floor":
          journal.controls.push({ segment: number, base: journal.saidBase, floor: entry.floor });
          break;
      }
    }
    this.#count("remoteDeltas", deltas.length);
    this.#deliveries.add(journal, held, deltas, indices, live ? "live" : "fetched");
    this.#obey(journal);
  }

  /** Does what the writer said, once everything that it wrote before is here. */
  #obey(journal: HeldJournal): void {
    const left = [];
    for (const control of journal.controls) {
      const from = Math.max(control.base, journal.base);
      if (!isContiguous(journal, from, control.segment)) {
        left.push(control);
        continue;
      }
      if (control.floor !== undefined) this.#lower(control.floor, journal.member);
      else if (control.base > journal.base) this.#drop(journal, control.base);
    }
    // Of many bases that wait the last one is enough.
    const lastBase = left.findLast((control) => control.floor === undefined);
    journal.controls = left.filter((control) => control.floor !== undefined || control === lastBase);
  }

  /** Another member has written again what lived in older incarnations of a member. */
  #lower(floor: Floor, by: number): void {
    if (this.#isLie(floor.counter)) return;
    // While the store is read nothing is dropped: what stands there has to be compared with the others first.
    if (this.#own === undefined) return;
    if (this.#floors.raise(floor.member, floor.counter))
      this.#ports.store.put("floors", this.#floors.encode());
    const own = this.#ownJournal();
    if (floor.member === own.member && floor.counter > own.counter) this.#reincarnate(floor.counter, by);
    if (!this.#isThere(floor, by)) this.#retirement.lowered(floor);
  }

  /**
   * Who is there looks after its own old incarnations, and so does this member: nobody else's word drops them. A floor
   * that is left out costs room for a while, one that is believed wrongly costs sessions.
   */
  #isThere({ member }: Floor, by: number): boolean {
    if (member === this.#ownJournal().member) return true;
    return by !== member && this.#peers.get(member)?.incarnation !== undefined;
  }

  #serve(peer: Peer, message: Extract<PeerMessage, { kind: "fetch" }>): void {
    const { actor, segment, fromTick } = message;
    const held = this.#shelf.journals.get(actor)?.segments.get(segment);
    const all = held?.segment.changes(fromTick, fromTick + SEGMENT_MESSAGE_CHANGE_COUNT_MAX) ?? [];
    const changes: Uint8Array[] = [];
    let size = 0;
    for (const change of all) {
      if (changes.length > 0 && size + change.length > SEGMENT_MESSAGE_BYTES_AIM) break;
      changes.push(change);
      size += change.length;
    }
    const sealed = held?.sealedTicks !== undefined && fromTick + changes.length >= held.sealedTicks;
    this.#count("servedChanges", changes.length);
    this.#send(peer.identity.number, { kind: "segment", actor, segment, fromTick, changes, sealed });
  }

  // -------------------------------------------------------------------------------------------------------------
  // The own journal.

  #ownWriter(): OwnJournal {
    if (this.#own === undefined) throw new Error("the engine has not been started");
    return this.#own;
  }

  #ownJournal(): HeldJournal {
    return this.#ownWriter().journal;
  }

  #write(entries: readonly Entry[], full: boolean): JournalPosition {
    return this.#ownWriter().write(entries, full);
  }

  #written(held: HeldSegment, change: VerifiedChange): void {
    const { actor } = held.segment;
    const segment = held.segment.number;
    this.#ports.store.append(actor, segment, change.tick, change.bytes);
    this.#acknowledgements.flushed({ segment, ticks: held.segment.ticks });
    this.#count("ticks", 1);
    this.#count("tickBytes", change.bytes.length);
    for (const peer of this.#peers.all()) {
      this.#send(peer.identity.number, {
        kind: "tick",
        actor,
        segment,
        tick: change.tick,
        change: change.bytes,
      });
    }
  }

  /** Begins a new incarnation with a counter of at least `counterMin`, greater than any known. */
  #incarnate(counterMin: number): void {
    const { clock, random, store, settings } = this.#ports;
    const member = settings.member.number;
    let counter = Math.max(counterMin, Math.floor(clock.wallMs()), this.#floors.of(member));
    for (const journal of this.#shelf.of(member)) counter = Math.max(counter, journal.counter + 1);
    const actor = actorOf(member, counter, random);
    this.#ownActors.add(actor);
    store.put("incarnation", new TextEncoder().encode(String(counter + 1)));
    this.#ids.forgetOwn();
    this.#own = new OwnJournal(actor, {
      clock,
      shelf: this.#shelf,
      ids: this.#ids,
      settings: this.#settings,
      floors: () => this.#retirement.issued(),
      written: (held, change) => this.#written(held, change),
      sealed: (segment) => store.seal(actor, segment),
    });
    this.#acknowledgements.reset();
  }

  /** Nobody's clock is that wrong: a counter that leaves no room above it would end a member's incarnations for good. */
  #isLie(counter: number): boolean {
    const nowMs = Math.max(this.#ports.clock.wallMs(), WALL_CLOCK_MIN_MS);
    if (counter <= nowMs + INCARNATION_LEAD_MAX_MS) return false;
    this.#count("lies", 1);
    return true;
  }

  /**
   * The others have given this incarnation up: begin another; the old one's sessions are written again. `by`: who says so.
   * One member's word does it once in a while: the others hold so many incarnations of one member and no more.
   */
  #reincarnate(counterMin: number, by: number): void {
    const nowMs = this.#ports.clock.nowMs();
    const sinceMs = nowMs - (this.#reincarnatedAtMs.get(by) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < this.#settings.memoryMs * REINCARNATION_SHARE) {
      this.#count("reincarnationsPutOff", 1);
      return;
    }
    this.#reincarnatedAtMs.set(by, nowMs);
    this.#count("reincarnations", 1);
    this.#ports.logger.warn(
      { counterMin },
      "this incarnation was given up by the others: beginning a new one",
    );
    this.#rewriter.clear();
    this.#retirement.clear();
    this.#incarnate(counterMin);
    for (const peer of this.#peers.all()) {
      this.#send(peer.identity.number, { kind: "hello", summary: this.#summary() });
    }
    this.#changedState();
  }

  #drop(journal: HeldJournal, base: number): void {
    const whole = base === Number.POSITIVE_INFINITY;
    const gone = whole ? this.#shelf.remove(journal) : this.#shelf.drop(journal, base);
    this.#ports.store.drop(journal.actor, base);
    this.#forget(gone);
  }

  #forget(indices: readonly number[]): void {
    if (indices.length === 0) return;
    const ids = new Uint8Array(indices.length * 16);
    for (const [i, index] of indices.entries()) {
      this.#ids.write(index, ids, i * 16);
      this.#ids.release(index);
    }
    this.#count("forgotten", indices.length);
    this.#ports.link.post({ kind: "forget", sequence: this.#sequence, ids });
  }

  // -------------------------------------------------------------------------------------------------------------
  // What the view says about deliveries.

  #joined(journal: HeldJournal): void {
    this.#receipts.joined(journal);
    if (!this.#ready) this.#changedState();
  }

  /** Somebody ended what this member knows to live: say so at once. */
  #contradicted(ids: readonly Uint8Array[]): void {
    const indices = ids.map((id) => this.#ids.find(id)).filter((index) => index !== undefined);
    const mine = indices.filter((index) => this.#ids.ownMention(index) >= 0);
    this.#count("contradictions", indices.length);
    if (mine.length > 0) {
      this.#rewriter.add({ name: "contradicted", ids: mine, needed: () => true, done: () => {} });
    }
  }

  // -------------------------------------------------------------------------------------------------------------
  // Now and then.

  #summarize(): void {
    for (const peer of this.#peers.all()) {
      this.#send(peer.identity.number, { kind: "summary", summary: this.#summary() });
      this.#peers.fetch(peer);
    }
    this.#count("summaries", 1);
  }

  #summary(): Summary {
    return {
      incarnation: this.#ownJournal().actor,
      journals: this.#shelf.summaries(),
      connected: this.#peers.connected(),
      floors: this.#floors.all(),
      caughtUp: this.#ready,
    };
  }

  #maintain(): void {
    this.#peers.listen();
    for (const journal of [...this.#shelf.journals.values()])
      if (journal.controls.length > 0) this.#obey(journal);
    this.#retirement.maintain();
    const forgotten = this.#loose.expired();
    if (forgotten.length > 0) {
      this.#ports.link.post({ kind: "forget", sequence: this.#sequence, ids: concatenate(forgotten) });
    }
    this.#changedState();
  }

  /** Caught up with whoever is there; those who are not had time to come, or somebody there holds what they hold. */
  #isSettled(): boolean {
    if (!this.#deliveries.idle || !this.#peers.isCaughtUp()) return false;
    if (this.#missingSinceStart() === 0 || this.#peers.isAnyCaughtUp()) return true;
    return this.#uptimeMs() >= this.#settings.startWaitMs;
  }

  #missingSinceStart(): number {
    const { member, members } = this.#settings;
    return members.filter(({ number }) => number !== member.number && !this.#greeted.has(number)).length;
  }

  #uptimeMs(): number {
    return this.#ports.clock.nowMs() - this.#startedAtMs;
  }

  #changedState(): void {
    if (this.#isSettled()) {
      this.#ready = true;
      if (this.#missingSinceStart() === 0 || this.#uptimeMs() >= this.#settings.allocateWaitMs) {
        this.#mayAllocate = true;
      }
    }
    const state = this.#state();
    const text = JSON.stringify(state);
    if (text === this.#stateText) return;
    this.#stateText = text;
    this.#ports.link.post({ kind: "state", state });
  }

  #state(): EngineState {
    const { member, members } = this.#settings;
    return {
      incarnation: this.#ownJournal().actor,
      ready: this.#ready,
      mayAllocate: this.#mayAllocate,
      connected: this.#peers.connected(),
      missing: members
        .map(({ number }) => number)
        .filter((number) => number !== member.number && !this.#peers.isHeard(number)),
    };
  }

  /** For the API and the metrics. */
  status(): EngineStatus {
    const { members, member } = this.#settings;
    const { transport } = this.#ports;
    const others = members.filter(({ number }) => number !== member.number);
    const connected = this.#peers.connected();
    return {
      state: this.#state(),
      peers: others.map(({ number, name }) => ({
        number,
        name,
        connected: connected.includes(number),
        lagTicks: this.#acknowledgements.lagTicks(number),
        lagMs: this.#acknowledgements.lagMs(number),
        queuedBytes: transport.queuedBytes(number),
      })),
      segmentCount: this.#shelf.segmentCount(),
      carriedCount: this.#ownJournal().segments.size,
      sessionCount: this.#ids.size,
      totals: {
        ...this.#totals,
        ...this.#acknowledgements.totals,
        ...this.#questions.totals,
        ...this.#peers.totals,
        ...this.#retirement.totals,
        rewritten: this.#rewriter.written,
        waiting: this.#deliveries.waiting,
      },
      lagHistogram: { boundsMs: LAG_BOUNDS_MS, counts: [...this.#acknowledgements.lagCounts] },
    };
  }

  // -------------------------------------------------------------------------------------------------------------

  /** A segment from the store: verified like one from a peer; what does not fit is left out with the rest of it. */
  #load(actor: Actor, segment: number, sealed: boolean, changes: readonly Uint8Array[]): void {
    if (this.#isRetired(actor)) {
      this.#ports.store.drop(actor, Number.POSITIVE_INFINITY);
      return;
    }
    const journal = this.#shelf.journal(actor);
    if (journal === undefined) return;
    // Segments come in order: the first one stored is the base.
    if (journal.segments.size === 0) journal.base = segment;
    const held = this.#shelf.segment(journal, segment, this.#ports.clock.nowMs());
    if (held === undefined) return;
    for (const change of changes) if (!this.#take(undefined, journal, held, change, false)) return;
    if (sealed && changes.length > 0) held.sealedTicks ??= held.segment.ticks;
  }

  /** Nobody may write under this name, any more or yet. */
  #isRetired(actor: Actor): boolean {
    if (this.#isLie(counterOf(actor))) return true;
    return this.#floors.retires(memberOf(actor), counterOf(actor)) && !this.#shelf.journals.has(actor);
  }

  #send(peer: number, message: PeerMessage): boolean {
    return this.#ports.transport.send(peer, message);
  }

  #refuse(peer: Peer, reason: string): void {
    this.#count("refusedPeers", 1);
    this.#ports.logger.warn({ member: peer.identity.name, reason }, "refusing a peer that breaks the rules");
    this.#ports.transport.refuse(peer.identity.number, reason);
  }

  #count(name: string, by: number): void {
    this.#totals[name] = (this.#totals[name] ?? 0) + by;
  }
}

/** Sets, and lets the oldest entry go when there are too many. */
function keepNewest<K, V>(map: Map<K, V>, key: K, value: V): void {
  map.set(key, value);
  if (map.size <= WAITING_COUNT_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}

function readCounter(value: Uint8Array | undefined): number {
  const counter = Number(new TextDecoder().decode(value ?? new Uint8Array(0)));
  return Number.isSafeInteger(counter) ? counter : 0;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.length * 16);
  for (const [i, part] of parts.entries()) all.set(part.subarray(0, 16), i * 16);
  return all;
}
