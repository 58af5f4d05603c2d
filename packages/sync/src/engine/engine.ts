// The replication engine: takes local facts into the own journal, carries journals between members, hands
// what it learns to the view, and sees to it that nothing living is forgotten and nothing dead is remembered
// for ever. Here what comes in, from the view, the peers and the clock, goes to the part whose subject it is.
//
// Why nothing is lost: a session stands in the view as long as a live segment of some journal mentions it. A
// writer retires a segment only after it has written again what lives in it, and says so in the journal
// itself, so that every reader drops the old after it has read the new. The journals of incarnations that are
// gone are written again by one survivor, in the same way, before they are dropped.
import { memberOf } from "../journal/actor.ts";
import type { Entry } from "../journal/payload.ts";
import type { Engine, EngineStatus } from "../ports/engine.ts";
import type { Summary } from "../ports/journals.ts";
import type { ToEngine } from "../ports/link.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { PeerIdentity } from "../ports/transport.ts";
import type { Listing } from "../transport/settings.ts";
import { readBatch } from "./batch.ts";
import { assemble, type EnginePorts, type Parts } from "./parts.ts";
import type { Peer } from "./peers.ts";
import { segmentFor } from "./serving.ts";
import { statusOf } from "./status.ts";

export type { EnginePorts } from "./parts.ts";

export class ReplicationEngine implements Engine {
  readonly #ports: EnginePorts;
  readonly #parts: Parts;
  readonly #timers: { cancel(): void }[] = [];
  #stopped = false;

  constructor(ports: EnginePorts) {
    this.#ports = ports;
    this.#parts = assemble(ports);
  }

  async start(): Promise<void> {
    const { clock, store, link, transport } = this.#ports;
    const { settings, readiness, floors, intake, incarnations, broadcast } = this.#parts;
    readiness.start();
    const stored = await store.load();
    if (this.#stopped) return;
    floors.load(stored.values.get("floors"));
    for (const segment of stored.segments) intake.stored(segment);
    incarnations.beginAfter(stored.values.get("incarnation"));
    link.listen((message) => this.#fromView(message));
    link.post({ kind: "kept", values: stored.values, damaged: stored.damaged });
    transport.start({
      connected: (peer) => this.#connected(peer),
      disconnected: (peer) => this.#disconnected(peer),
      message: (peer, message) => this.#fromPeer(peer, message),
      dropped: ({ number }) => {
        broadcast.summary(number);
        link.post({ kind: "dropped", member: number });
      },
      turnedAway: (by, kind) => link.post({ kind, by }),
      applied: (applicant) => link.post({ kind: "applied", applicant }),
    });
    this.#timers.push(
      clock.every(settings.summaryPeriodMs, () => broadcast.summaryAll()),
      clock.every(settings.maintenancePeriodMs, () => this.#maintain()),
    );
    readiness.changed();
  }

  async stop(): Promise<void> {
    const { acknowledgements, receipts, questions, shelf } = this.#parts;
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    acknowledgements.stop();
    receipts.stop();
    questions.stop();
    await this.#ports.transport.stop();
    await this.#ports.store.flush();
    shelf.free();
  }

  /** Stops without a word, as a crash does: nothing is flushed, peers notice by themselves. */
  abandon(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
    this.#parts.receipts.stop();
    void this.#ports.transport.stop();
    this.#parts.shelf.free();
  }

  /** For the API and the metrics. */
  status(): EngineStatus {
    return statusOf(this.#parts);
  }

  #keep(name: string, value: Uint8Array, token: number | undefined): void {
    const { store, link } = this.#ports;
    store.put(name, value);
    if (token === undefined) return;
    void store.flush().then((failure) => {
      if (!this.#stopped) link.post({ kind: "stored", token, failure });
    });
  }

  #fromView(message: ToEngine): void {
    if (this.#stopped) return;
    const parts = this.#parts;
    switch (message.kind) {
      case "local": {
        parts.local.sequence = message.sequence;
        const entries = [...readBatch(message.deltas)].map((bytes): Entry => ({ kind: "delta", bytes }));
        parts.totals.count("localDeltas", entries.length);
        parts.incarnations.own.write(entries, false);
        break;
      }
      case "joined":
        parts.deliveries.joined(message);
        break;
      case "exported":
        parts.rewriter.exported(message);
        break;
      case "release": {
        const { position } = parts.incarnations.own;
        parts.acknowledgements.release(message.token, position, message.members, parts.peers.connected());
        break;
      }
      case "ask": {
        parts.questions.ask(message.token, message.about, parts.peers.connected());
        break;
      }
      case "found":
        parts.questions.found(message.request, message.records);
        break;
      case "configuration": {
        const { to, heads, changes } = message;
        for (const peer of to === undefined ? parts.peers.connected() : [to])
          parts.send(peer, { kind: "configuration", heads, changes });
        break;
      }
      case "keep":
        this.#keep(message.name, message.value, message.token);
        break;
      case "request":
        parts.requests.ask(message);
        break;
      case "response":
        parts.requests.answer(message);
        break;
      case "members":
        this.#relist(message.listing);
        break;
      case "status":
        parts.post({ kind: "status", token: message.token, status: this.status() });
        break;
    }
  }

  #relist(listing: Listing): void {
    const { settings, peers, readiness, offers } = this.#parts;
    settings.members = listing.members.map(({ name, number }) => ({ name, number }));
    // First: ends of links come back here at once.
    this.#ports.transport.setMembers(listing);
    peers.relist();
    offers.relist();
    readiness.relist((listing.join ?? []).length > 0);
    readiness.changed();
  }

  #connected(identity: PeerIdentity): void {
    const { peers, acknowledgements, broadcast, offers, readiness } = this.#parts;
    offers.greeted(identity);
    peers.add(identity);
    acknowledgements.forget(identity.number);
    broadcast.hello(identity.number);
    readiness.changed();
  }

  #disconnected({ number }: PeerIdentity): void {
    const { peers, acknowledgements, questions, requests, readiness } = this.#parts;
    peers.listen();
    peers.remove(number);
    acknowledgements.forget(number);
    questions.disconnected(number);
    requests.disconnected(number);
    readiness.changed();
  }

  #fromPeer({ number }: PeerIdentity, message: PeerMessage): void {
    if (this.#stopped) return;
    const parts = this.#parts;
    const peer = parts.peers.get(number);
    if (peer === undefined) return;
    switch (message.kind) {
      case "hello":
      case "summary":
        this.#summarized(peer, message.summary);
        break;
      case "tick":
        parts.intake.tick(peer, message);
        break;
      case "fetch": {
        const segment = segmentFor(parts.shelf, message);
        parts.totals.count("servedChanges", segment.changes.length);
        parts.send(number, segment);
        break;
      }
      case "segment":
        parts.intake.fetched(peer, message);
        break;
      case "acknowledge":
        if (message.actor === parts.incarnations.own.journal.actor)
          parts.acknowledgements.acknowledged(number, message.held, message.joined);
        break;
      case "base":
        // A hint for readers that keep no journal; the journal itself says it in order.
        break;
      case "ask":
        parts.questions.asked(number, message.question, message.about);
        break;
      case "answer":
        parts.questions.answer(number, message.question, message.records);
        break;
      case "configuration": {
        const { heads, changes } = message;
        parts.post({ kind: "configuration", from: number, heads, changes });
        break;
      }
      case "request":
        parts.requests.asked(number, message);
        break;
      case "response":
        parts.requests.answered(number, message);
        break;
    }
  }

  #summarized(peer: Peer, summary: Summary): void {
    const { incarnations, readiness, peers, refuse } = this.#parts;
    const { number } = peer.identity;
    if (memberOf(summary.incarnation) !== number) {
      refuse(peer, "incarnation-of-another-member");
      return;
    }
    incarnations.compare(summary, number);
    readiness.greeted(number);
    peers.summarized(peer, summary);
    readiness.changed();
  }

  /** Now and then: retires, takes over from those who are gone, forgets. */
  #maintain(): void {
    const { peers, controls, retirement, forgetting, readiness } = this.#parts;
    peers.listen();
    controls.obeyAll();
    retirement.maintain();
    forgetting.expireLoose();
    readiness.changed();
  }
}
