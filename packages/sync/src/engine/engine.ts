// The replication engine: takes local facts into the own journal, carries journals between members, hands what it learns
// to the view, and sees to it that nothing living is forgotten and nothing dead is remembered for ever.
//
// Why nothing is lost: a session stands in the view as long as a live segment of some journal mentions it. A writer
// retires a segment only after it has written again what lives in it, and says so in the journal itself, so that every
// reader drops the old after it has read the new. The journals of incarnations that are gone are written again by one
// survivor, in the same way, before they are dropped.
import type { Clock, Logger, Random } from "@holdfast/model";
import { memberOf } from "../journal/actor.ts";
import type { VerifiedChange } from "../journal/change.ts";
import type { Entry } from "../journal/payload.ts";
import type { JournalFactory } from "../journal/segment.ts";
import type {
  Actor,
  Engine,
  EngineLink,
  EngineStatus,
  JournalPosition,
  PeerIdentity,
  PeerMessage,
  Store,
  Summary,
  ToEngine,
  ToView,
  Transport,
} from "../ports.ts";
import { Acknowledgements, LAG_BOUNDS_MS } from "./acknowledgements.ts";
import { readBatch } from "./batch.ts";
import { Controls } from "./controls.ts";
import { Deliveries } from "./deliveries.ts";
import { Floors } from "./floors.ts";
import { Forgetting } from "./forgetting.ts";
import { IdTable } from "./id-table.ts";
import { Incarnations } from "./incarnations.ts";
import { Intake } from "./intake.ts";
import { Loose } from "./loose.ts";
import { OwnJournal } from "./own-journal.ts";
import { type Peer, Peers } from "./peers.ts";
import { Questions } from "./questions.ts";
import { Readiness } from "./readiness.ts";
import { Receipts } from "./receipts.ts";
import { Requests } from "./requests.ts";
import { Retirement } from "./retirement.ts";
import { Rewriter } from "./rewriter.ts";
import { segmentFor } from "./serving.ts";
import { REPLICATION_DEFAULTS, type ReplicationSettings } from "./settings.ts";
import { type HeldJournal, type HeldSegment, Shelf } from "./shelf.ts";
import { Totals } from "./totals.ts";

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
  readonly #totals = new Totals();
  readonly #ids = new IdTable();
  readonly #floors = new Floors();
  readonly #shelf: Shelf;
  readonly #incarnations: Incarnations;
  readonly #peers: Peers;
  readonly #intake: Intake;
  readonly #controls: Controls;
  readonly #deliveries: Deliveries;
  readonly #acknowledgements: Acknowledgements;
  readonly #receipts: Receipts;
  readonly #questions: Questions;
  readonly #requests: Requests;
  readonly #rewriter: Rewriter;
  readonly #retirement: Retirement;
  readonly #forgetting: Forgetting;
  readonly #readiness: Readiness;
  readonly #timers: { cancel(): void }[] = [];
  /** Last `local` message taken in. */
  #sequence = 0;
  #stopped = false;

  constructor(ports: EnginePorts) {
    this.#ports = ports;
    this.#settings = { ...REPLICATION_DEFAULTS, ...ports.settings };
    const settings = this.#settings;
    const { clock, link, store } = ports;
    // What every part is made of. The parts themselves know each other by what they do only.
    const common = {
      settings,
      clock,
      store,
      logger: ports.logger,
      random: ports.random,
      totals: this.#totals,
      ids: this.#ids,
      floors: this.#floors,
      shelf: new Shelf(ports.journals, this.#ids),
      loose: new Loose(clock, settings.memoryMs),
      post: (message: ToView) => link.post(message),
      send: (peer: number, message: PeerMessage) => this.#send(peer, message),
      sequence: () => this.#sequence,
    };
    this.#shelf = common.shelf;
    this.#incarnations = new Incarnations({
      ...common,
      open: (actor) => this.#open(actor),
      renewed: () => this.#renewed(),
    });
    const incarnations = this.#incarnations;
    this.#peers = new Peers({
      ...common,
      nowMs: () => clock.nowMs(),
      paused: () => this.#deliveries.waiting >= settings.deliveryPauseCount,
      isRetired: (actor) => incarnations.isRetired(actor),
      isOwn: (actor) => incarnations.isOwn(actor),
    });
    this.#deliveries = new Deliveries({
      ...common,
      joined: (journal) => this.#joined(journal),
      contradicted: (ids) => this.#contradicted(ids),
      drained: () => {
        for (const peer of this.#peers.all()) this.#peers.fetch(peer);
      },
    });
    this.#readiness = new Readiness({
      ...common,
      peers: this.#peers,
      isIdle: () => this.#deliveries.idle,
      incarnation: () => incarnations.own.journal.actor,
    });
    this.#acknowledgements = new Acknowledgements(clock, settings, common.post);
    this.#receipts = new Receipts({
      ...common,
      isHeard: (journal) => this.#peers.get(journal.member)?.incarnation === journal.actor,
      isIdle: () => this.#deliveries.idle,
    });
    this.#questions = new Questions({
      ...common,
      deliver: (records) => {
        for (const record of records) common.loose.add(record, this.#ids.find(record) !== undefined);
        this.#deliveries.add(undefined, undefined, records, [], "answer");
      },
    });
    this.#requests = new Requests(common);
    this.#rewriter = new Rewriter({
      ...common,
      exportCountMax: settings.exportCountMax,
      write: (entries) => this.#write(entries, true),
    });
    this.#forgetting = new Forgetting(common);
    const parts = {
      ...common,
      incarnations,
      peers: this.#peers,
      rewriter: this.#rewriter,
      deliveries: this.#deliveries,
      receipts: this.#receipts,
      drop: (journal: HeldJournal, base: number) => this.#forgetting.drop(journal, base),
    };
    this.#retirement = new Retirement({
      ...parts,
      own: () => incarnations.own,
      write: (entries) => this.#write(entries, true),
      isSettled: () => this.#readiness.isSettled(),
    });
    this.#controls = new Controls({ ...parts, retirement: this.#retirement });
    this.#intake = new Intake({
      ...parts,
      controls: this.#controls,
      refuse: (peer, reason) => this.#refuse(peer, reason),
    });
  }

  async start(): Promise<void> {
    const { clock, store, link, transport, logger } = this.#ports;
    this.#readiness.start();
    const stored = await store.load();
    if (this.#stopped) return;
    for (const what of stored.damaged) logger.warn({ what }, "left out of the store: damaged");
    this.#floors.load(stored.values.get("floors"));
    for (const segment of stored.segments) this.#intake.stored(segment);
    this.#incarnations.beginAfter(stored.values.get("incarnation"));
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
    this.#readiness.changed();
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
        this.#totals.count("localDeltas", entries.length);
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
          this.#incarnations.own.position,
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
      case "request":
        this.#requests.ask(message);
        break;
      case "response":
        this.#requests.answer(message);
        break;
      case "status":
        this.#ports.link.post({ kind: "status", token: message.token, status: this.status() });
        break;
    }
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
    this.#requests.disconnected(identity.number);
    this.#readiness.changed();
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
        this.#intake.tick(peer, message);
        break;
      case "fetch":
        this.#serve(peer, message);
        break;
      case "segment":
        this.#intake.fetched(peer, message);
        break;
      case "acknowledge":
        if (message.actor === this.#incarnations.own.journal.actor) {
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
      case "request":
        this.#requests.asked(identity.number, message);
        break;
      case "response":
        this.#requests.answered(identity.number, message);
        break;
    }
  }

  #summarized(peer: Peer, summary: Summary): void {
    if (memberOf(summary.incarnation) !== peer.identity.number) {
      this.#refuse(peer, "incarnation-of-another-member");
      return;
    }
    this.#incarnations.compare(summary, peer.identity.number);
    this.#readiness.greeted(peer.identity.number);
    this.#peers.summarized(peer, summary);
    this.#readiness.changed();
  }

  #serve(peer: Peer, message: Extract<PeerMessage, { kind: "fetch" }>): void {
    const segment = segmentFor(this.#shelf, message);
    this.#totals.count("servedChanges", segment.changes.length);
    this.#send(peer.identity.number, segment);
  }

  // -------------------------------------------------------------------------------------------------------------
  // The own journal.

  #write(entries: readonly Entry[], full: boolean): JournalPosition {
    return this.#incarnations.own.write(entries, full);
  }

  #written(held: HeldSegment, change: VerifiedChange): void {
    const { actor } = held.segment;
    const segment = held.segment.number;
    this.#ports.store.append(actor, segment, change.tick, change.bytes);
    this.#acknowledgements.flushed({ segment, ticks: held.segment.ticks });
    this.#totals.count("ticks");
    this.#totals.count("tickBytes", change.bytes.length);
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

  #open(actor: Actor): OwnJournal {
    const { clock, store } = this.#ports;
    this.#ids.forgetOwn();
    this.#acknowledgements.reset();
    return new OwnJournal(actor, {
      clock,
      shelf: this.#shelf,
      ids: this.#ids,
      settings: this.#settings,
      floors: () => this.#retirement.issued(),
      written: (held, change) => this.#written(held, change),
      sealed: (segment) => store.seal(actor, segment),
    });
  }

  /** Nothing was written as this incarnation yet, and nothing that was under way is its own. */
  #renewed(): void {
    this.#rewriter.clear();
    this.#retirement.clear();
    for (const peer of this.#peers.all()) {
      this.#send(peer.identity.number, { kind: "hello", summary: this.#summary() });
    }
    this.#readiness.changed();
  }

  // -------------------------------------------------------------------------------------------------------------
  // What the view says about deliveries.

  #joined(journal: HeldJournal): void {
    this.#receipts.joined(journal);
    if (!this.#readiness.ready) this.#readiness.changed();
  }

  /** Somebody ended what this member knows to live: say so at once. */
  #contradicted(ids: readonly Uint8Array[]): void {
    const indices = ids.map((id) => this.#ids.find(id)).filter((index) => index !== undefined);
    const mine = indices.filter((index) => this.#ids.ownMention(index) >= 0);
    this.#totals.count("contradictions", indices.length);
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
    this.#totals.count("summaries");
  }

  #summary(): Summary {
    return {
      incarnation: this.#incarnations.own.journal.actor,
      journals: this.#shelf.summaries(),
      connected: this.#peers.connected(),
      floors: this.#floors.all(),
      caughtUp: this.#readiness.ready,
    };
  }

  #maintain(): void {
    this.#peers.listen();
    this.#controls.obeyAll();
    this.#retirement.maintain();
    this.#forgetting.expireLoose();
    this.#readiness.changed();
  }

  /** For the API and the metrics. */
  status(): EngineStatus {
    const { members, member } = this.#settings;
    const { transport } = this.#ports;
    const others = members.filter(({ number }) => number !== member.number);
    const connected = this.#peers.connected();
    return {
      state: this.#readiness.state(),
      peers: others.map(({ number, name }) => ({
        number,
        name,
        connected: connected.includes(number),
        lagTicks: this.#acknowledgements.lagTicks(number),
        lagMs: this.#acknowledgements.lagMs(number),
        queuedBytes: transport.queuedBytes(number),
      })),
      segmentCount: this.#shelf.segmentCount(),
      carriedCount: this.#incarnations.own.journal.segments.size,
      sessionCount: this.#ids.size,
      totals: {
        ...this.#totals.all(),
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

  #send(peer: number, message: PeerMessage): boolean {
    return this.#ports.transport.send(peer, message);
  }

  #refuse(peer: Peer, reason: string): void {
    this.#totals.count("refusedPeers");
    this.#ports.logger.warn({ member: peer.identity.name, reason }, "refusing a peer that breaks the rules");
    this.#ports.transport.refuse(peer.identity.number, reason);
  }
}
