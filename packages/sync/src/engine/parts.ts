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
  const { clock, store, logger, transport, link } = ports;
  const settings: ReplicationSettings = { ...REPLICATION_DEFAULTS, ...ports.settings };
  const totals = new Totals();
  const ids = new IdTable();
  const floors = new Floors();
  const offers = new Offers(settings);
  const shelf = new Shelf(ports.journals, ids);
  const loose = new Loose(clock, settings.memoryMs);
  /** What the view has said: its last `local` message that was taken in. */
  const local = { sequence: 0 };

  const post = (message: ToView) => link.post(message);
  const send = (peer: number, message: PeerMessage) => transport.send(peer, message);
  const sequence = () => local.sequence;
  const write = (entries: readonly Entry[]) => void incarnations.own.write(entries, true);
  const drop = (journal: HeldJournal, base: number) => forgetting.drop(journal, base);
  const refuse = (peer: Peer, reason: string) => {
    totals.count("refusedPeers");
    logger.warn({ member: peer.identity.name, reason }, "refusing a peer that breaks the rules");
    transport.refuse(peer.identity.number, reason);
  };
  const outside = { settings, clock, random: ports.random, logger, store, post, send, sequence };
  const held = { ids, shelf, floors, loose, totals };

  const incarnations: Incarnations = new Incarnations({
    ...outside,
    ...held,
    open: (actor) => openOwn(actor),
    renewed: () => {
      // Nothing was written under the new name yet, and nothing that was under way is its own.
      rewriter.clear();
      retirement.clear();
      broadcast.helloAll();
      readiness.changed();
    },
  });
  const peers: Peers = new Peers({
    ...outside,
    ...held,
    nowMs: () => clock.nowMs(),
    paused: () => deliveries.waiting >= settings.deliveryPauseCount,
    isRetired: (actor) => incarnations.isRetired(actor),
    isOwn: (actor) => incarnations.isOwn(actor),
  });
  const deliveries: Deliveries = new Deliveries({
    ...outside,
    ...held,
    joined: (journal) => {
      receipts.joined(journal);
      if (!readiness.ready) readiness.changed();
    },
    contradicted: (contradicted) => {
      // Somebody ended what this member knows to live: say so at once.
      const indices = contradicted.map((id) => ids.find(id)).filter((index) => index !== undefined);
      const mine = indices.filter((index) => ids.ownMention(index) >= 0);
      totals.count("contradictions", indices.length);
      if (mine.length > 0)
        rewriter.add({ name: "contradicted", ids: mine, needed: () => true, done: () => {} });
    },
    drained: () => {
      for (const peer of peers.all()) peers.fetch(peer);
    },
  });
  const readiness = new Readiness({
    ...outside,
    peers,
    offers,
    isIdle: () => deliveries.idle,
    incarnation: () => incarnations.own.journal.actor,
  });
  const broadcast = new Broadcast({ ...outside, ...held, incarnations, peers, readiness });
  const acknowledgements = new Acknowledgements(clock, settings, post);
  const receipts = new Receipts({
    ...outside,
    isHeard: (journal) => peers.get(journal.member)?.incarnation === journal.actor,
    isIdle: () => deliveries.idle,
  });
  const questions = new Questions({
    ...outside,
    deliver: (records) => {
      for (const record of records) loose.add(record, ids.find(record) !== undefined);
      deliveries.add(undefined, undefined, records, [], "answer");
    },
  });
  const requests = new Requests(outside);
  const rewriter = new Rewriter({ ...outside, ids, exportCountMax: settings.exportCountMax, write });
  const forgetting = new Forgetting({ ...outside, ...held });
  const retirement = new Retirement({
    ...outside,
    ...held,
    peers,
    rewriter,
    own: () => incarnations.own,
    write,
    drop,
    isSettled: () => readiness.isSettled(),
  });
  const controls = new Controls({ ...outside, ...held, peers, incarnations, retirement, drop });
  const intake = new Intake({
    ...outside,
    ...held,
    peers,
    deliveries,
    receipts,
    incarnations,
    controls,
    refuse,
  });

  /** The journal of a new incarnation: none of what the old one wrote is acknowledged to this one. */
  function openOwn(actor: Actor): OwnJournal {
    ids.forgetOwn();
    acknowledgements.reset();
    return new OwnJournal(actor, {
      clock,
      shelf,
      ids,
      settings,
      floors: () => retirement.issued(),
      written: (segment, change) => {
        const { number, ticks } = segment.segment;
        store.append(actor, number, change.tick, change.bytes);
        acknowledgements.flushed({ segment: number, ticks });
        broadcast.tick(segment, change);
      },
      sealed: (segment) => store.seal(actor, segment),
    });
  }

  return {
    settings,
    transport,
    local,
    post,
    send,
    refuse,
    ...held,
    offers,
    incarnations,
    peers,
    deliveries,
    readiness,
    broadcast,
    acknowledgements,
    receipts,
    questions,
    requests,
    rewriter,
    forgetting,
    retirement,
    controls,
    intake,
  };
}
