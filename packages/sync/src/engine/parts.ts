// The parts of the engine, put together. Each knows of the others what it needs, and nothing of the engine.
import type { Clock, Logger, Random } from "@holdfast/model";
import type { Entry } from "../journal/payload.ts";
import type { JournalFactory } from "../journal/segment.ts";
import type { Actor } from "../ports/journals.ts";
import type { EngineLink, ToEngine, ToView } from "../ports/link.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { Store } from "../ports/store.ts";
import type { Transport } from "../ports/transport.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { Broadcast } from "./broadcast.ts";
import { Controls } from "./controls.ts";
import { Deliveries } from "./deliveries.ts";
import { Floors } from "./floors.ts";
import { Forgetting } from "./forgetting.ts";
import { IdTable } from "./id-table.ts";
import { Incarnations } from "./incarnations.ts";
import { Intake } from "./intake.ts";
import { Loose } from "./loose.ts";
import { Offers } from "./offers.ts";
import { OwnJournal } from "./own-journal.ts";
import { type Peer, Peers } from "./peers.ts";
import { Questions } from "./questions.ts";
import { Readiness } from "./readiness.ts";
import { Receipts } from "./receipts.ts";
import { Requests } from "./requests.ts";
import { Retirement } from "./retirement.ts";
import { Rewriter } from "./rewriter.ts";
import { REPLICATION_DEFAULTS, type ReplicationSettings } from "./settings.ts";
import { type HeldJournal, Shelf } from "./shelf.ts";
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
}

export type Parts = ReturnType<typeof assemble>;

export function assemble(ports: EnginePorts) {
  const { transport, link } = ports;
  const local = { sequence: 0 };
  const parts = new Assembly(ports, () => local.sequence);
  return {
    settings: parts.settings,
    transport,
    /** What the view has said: its last `local` message that was taken in. */
    local,
    post: (message: ToView) => link.post(message),
    send: (peer: number, message: PeerMessage) => transport.send(peer, message),
    refuse: (peer: Peer, reason: string) => parts.refuse(peer, reason),
    ...parts.held,
    offers: parts.offers,
    incarnations: parts.incarnations,
    peers: parts.peers,
    deliveries: parts.deliveries,
    readiness: parts.readiness,
    broadcast: parts.broadcast,
    acknowledgements: parts.acknowledgements,
    receipts: parts.receipts,
    questions: parts.questions,
    requests: parts.requests,
    rewriter: parts.rewriter,
    forgetting: parts.forgetting,
    retirement: parts.retirement,
    controls: parts.controls,
    intake: parts.intake,
  };
}

/** What nearly every part is given. */
function outsideOf(ports: EnginePorts, settings: ReplicationSettings, sequence: () => number) {
  const { clock, random, logger, store, transport, link } = ports;
  return {
    ...{ settings, clock, random, logger, store, sequence },
    post: (message: ToView) => link.post(message),
    send: (peer: number, message: PeerMessage) => transport.send(peer, message),
  };
}

/** What this member holds of journals and records. */
function heldOf({ clock, journals }: EnginePorts, { memoryMs }: ReplicationSettings) {
  const ids = new IdTable();
  return {
    ids,
    floors: new Floors(),
    shelf: new Shelf(journals, ids),
    loose: new Loose(clock, memoryMs),
    totals: new Totals(),
  };
}

class Assembly {
  readonly settings: ReplicationSettings;
  readonly held: ReturnType<typeof heldOf>;
  readonly offers: Offers;
  readonly incarnations: Incarnations;
  readonly peers: Peers;
  readonly deliveries: Deliveries;
  readonly readiness: Readiness;
  readonly broadcast: Broadcast;
  readonly acknowledgements: Acknowledgements;
  readonly receipts: Receipts;
  readonly questions: Questions;
  readonly requests: Requests;
  readonly rewriter: Rewriter;
  readonly forgetting: Forgetting;
  readonly retirement: Retirement;
  readonly controls: Controls;
  readonly intake: Intake;
  readonly #ports: EnginePorts;
  readonly #outside: ReturnType<typeof outsideOf>;

  constructor(ports: EnginePorts, sequence: () => number) {
    this.#ports = ports;
    this.settings = { ...REPLICATION_DEFAULTS, ...ports.settings };
    const outside = outsideOf(ports, this.settings, sequence);
    const held = heldOf(ports, this.settings);
    this.#outside = outside;
    this.held = held;
    this.offers = new Offers(this.settings);
    this.incarnations = this.#openIncarnations();
    this.peers = this.#openPeers();
    this.deliveries = this.#openDeliveries();
    const { offers, incarnations, peers, deliveries } = this;
    const isIdle = () => deliveries.idle;
    this.readiness = new Readiness({
      ...{ ...outside, peers, offers, isIdle },
      incarnation: () => incarnations.own.journal.actor,
    });
    const { readiness } = this;
    this.broadcast = new Broadcast({ ...outside, ...held, incarnations, peers, readiness });
    this.acknowledgements = new Acknowledgements(ports.clock, this.settings, outside.post);
    this.receipts = new Receipts({
      ...{ ...outside, isIdle },
      isHeard: (journal) => peers.get(journal.member)?.incarnation === journal.actor,
    });
    this.questions = this.#openQuestions();
    this.requests = new Requests(outside);
    const write = (entries: readonly Entry[]) => void incarnations.own.write(entries, true);
    const drop = (journal: HeldJournal, base: number) => this.forgetting.drop(journal, base);
    const { exportCountMax } = this.settings;
    this.rewriter = new Rewriter({ ...outside, ids: held.ids, exportCountMax, write });
    this.forgetting = new Forgetting({ ...outside, ...held });
    const { rewriter, receipts } = this;
    this.retirement = new Retirement({
      ...{ ...outside, ...held, peers, rewriter, write, drop },
      own: () => incarnations.own,
      isSettled: () => readiness.isSettled(),
    });
    const { retirement } = this;
    this.controls = new Controls({ ...outside, ...held, peers, incarnations, retirement, drop });
    this.intake = new Intake({
      ...{ ...outside, ...held, peers, deliveries, receipts, incarnations, controls: this.controls },
      refuse: (peer, reason) => this.refuse(peer, reason),
    });
  }

  refuse(peer: Peer, reason: string): void {
    const { logger, transport } = this.#ports;
    this.held.totals.count("refusedPeers");
    logger.warn({ member: peer.identity.name, reason }, "refusing a peer that breaks the rules");
    transport.refuse(peer.identity.number, reason);
  }

  #openIncarnations(): Incarnations {
    return new Incarnations({
      ...this.#outside,
      ...this.held,
      open: (actor) => this.#openOwn(actor),
      renewed: () => {
        // Nothing was written under the new name yet, and nothing that was under way is its own.
        this.rewriter.clear();
        this.retirement.clear();
        this.broadcast.helloAll();
        this.readiness.changed();
      },
    });
  }

  #openPeers(): Peers {
    const { clock } = this.#ports;
    return new Peers({
      ...this.#outside,
      ...this.held,
      nowMs: () => clock.nowMs(),
      paused: () => this.deliveries.waiting >= this.settings.deliveryPauseCount,
      isRetired: (actor) => this.incarnations.isRetired(actor),
      isOwn: (actor) => this.incarnations.isOwn(actor),
    });
  }

  #openDeliveries(): Deliveries {
    const { ids, totals } = this.held;
    return new Deliveries({
      ...this.#outside,
      ...this.held,
      joined: (journal) => {
        this.receipts.joined(journal);
        if (!this.readiness.ready) this.readiness.changed();
      },
      contradicted: (contradicted) => {
        // Somebody ended what this member knows to live: say so at once.
        const indices = contradicted.map((id) => ids.find(id)).filter((index) => index !== undefined);
        const mine = indices.filter((index) => ids.ownMention(index) >= 0);
        totals.count("contradictions", indices.length);
        if (mine.length > 0)
          this.rewriter.add({ name: "contradicted", ids: mine, needed: () => true, done: () => {} });
      },
      drained: () => {
        for (const peer of this.peers.all()) this.peers.fetch(peer);
      },
    });
  }

  #openQuestions(): Questions {
    const { ids, loose } = this.held;
    return new Questions({
      ...this.#outside,
      deliver: (records) => {
        for (const record of records) loose.add(record, ids.find(record) !== undefined);
        this.deliveries.add(undefined, undefined, records, [], "answer");
      },
    });
  }

  /** The journal of a new incarnation: none of what the old one wrote is acknowledged to this one. */
  #openOwn(actor: Actor): OwnJournal {
    const { clock, store } = this.#ports;
    const { ids, shelf } = this.held;
    const { settings, acknowledgements } = this;
    ids.forgetOwn();
    acknowledgements.reset();
    return new OwnJournal(actor, {
      ...{ clock, shelf, ids, settings },
      floors: () => this.retirement.issued(),
      written: (segment, change) => {
        const { number, ticks } = segment.segment;
        store.append(actor, number, change.tick, change.bytes);
        acknowledgements.flushed({ segment: number, ticks });
        this.broadcast.tick(segment, change);
      },
      sealed: (segment) => store.seal(actor, segment),
    });
  }
}
