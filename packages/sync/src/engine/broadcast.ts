// What this member tells its peers unasked: what it holds, and every tick of its own journal.
import type { VerifiedChange } from "../journal/change.ts";
import { CARRIES_UNKNOWN } from "../messages/capabilities.ts";
import type { Summary } from "../ports/journals.ts";
import type { Acknowledged, PeerMessage } from "../ports/messages.ts";
import type { Floors } from "./floors.ts";
import type { Incarnations } from "./incarnations.ts";
import type { Peers } from "./peers.ts";
import type { Readiness } from "./readiness.ts";
import type { HeldSegment, Shelf } from "./shelf.ts";
import type { Totals } from "./totals.ts";

export interface BroadcastPorts {
  readonly shelf: Shelf;
  readonly floors: Floors;
  readonly incarnations: Incarnations;
  readonly peers: Peers;
  readonly readiness: Readiness;
  readonly totals: Totals;
  readonly send: (peer: number, message: PeerMessage) => boolean;
  /** What waits to be acknowledged to a peer, taken. */
  readonly acknowledged: (peer: number) => Acknowledged | undefined;
}

type Tick = Extract<PeerMessage, { kind: "tick" }>;

export class Broadcast {
  readonly #ports: BroadcastPorts;
  #hurried: ReadonlySet<number> = new Set();

  constructor(ports: BroadcastPorts) {
    this.#ports = ports;
  }

  /** The first word of a connection. */
  hello(peer: number): void {
    this.#ports.send(peer, { kind: "hello", summary: this.#summary() });
  }

  /** This member has another name from now on. */
  helloAll(): void {
    for (const { identity } of this.#ports.peers.all()) this.hello(identity.number);
  }

  /** What it was sent may have been lost. */
  summary(peer: number): void {
    this.#ports.send(peer, { kind: "summary", summary: this.#summary() });
  }

  /** Every so often: what was lost on either side is found, and fetched again. */
  summaryAll(): void {
    const { peers, totals } = this.#ports;
    for (const peer of peers.all()) {
      this.summary(peer.identity.number);
      peers.fetch(peer);
    }
    totals.count("summaries");
  }

  /** Of the ticks from now on: these members' acknowledgements are waited for, the others' are not. */
  hurry(members: ReadonlySet<number>): void {
    this.#hurried = members;
  }

  /** What is due to be acknowledged to a peer goes with the tick: a message less, and a wake of its thread. */
  tick({ segment: { actor, number } }: HeldSegment, { tick, bytes }: VerifiedChange): void {
    const { peers, totals, send, acknowledged } = this.#ports;
    totals.count("ticks");
    totals.count("tickBytes", bytes.length);
    // One object for all who get the same: the transport encodes it once.
    const plain: Tick = { kind: "tick", actor, segment: number, tick, change: bytes };
    const unhurried: Tick = { ...plain, unhurried: true };
    for (const { identity } of peers.all()) {
      if (!identity.capabilities?.includes(CARRIES_UNKNOWN)) {
        send(identity.number, plain);
        continue;
      }
      const message = this.#hurried.has(identity.number) ? plain : unhurried;
      const due = acknowledged(identity.number);
      send(identity.number, due === undefined ? message : { ...message, acknowledged: due });
    }
  }

  #summary(): Summary {
    const { shelf, floors, incarnations, peers, readiness } = this.#ports;
    return {
      incarnation: incarnations.own.journal.actor,
      journals: shelf.summaries(),
      connected: peers.connected(),
      floors: floors.all(),
      caughtUp: readiness.ready,
    };
  }
}
