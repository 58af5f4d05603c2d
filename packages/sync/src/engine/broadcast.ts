// What this member tells its peers unasked: what it holds, and every tick of its own journal.
import type { VerifiedChange } from "../journal/change.ts";
import type { Summary } from "../ports/journals.ts";
import type { PeerMessage } from "../ports/messages.ts";
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
}

export class Broadcast {
  readonly #ports: BroadcastPorts;

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

  tick({ segment: { actor, number } }: HeldSegment, { tick, bytes }: VerifiedChange): void {
    const { peers, totals, send } = this.#ports;
    totals.count("ticks");
    totals.count("tickBytes", bytes.length);
    for (const { identity } of peers.all())
      send(identity.number, { kind: "tick", actor, segment: number, tick, change: bytes });
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
