// A host's neighbour table on one segment: who has a VIP, as announcements and answers say. Entries grow old and are
// asked about again, so that an announcement that was lost costs a moment.
import type { Address } from "@holdfast/model";
import type { SimulatedClock } from "../clock.ts";
import type { Frame, Port, Wire } from "./wire.ts";

/** Packets kept while an address is being resolved. */
const WAITING_COUNT_MAX = 3;
const REACHABLE_MS = 700;
const RETRY_MS = 100;
/** Questions without an answer after which an old entry is given up. */
const PROBE_COUNT_MAX = 3;

interface Entry {
  mac: number | undefined;
  confirmedAtMs: number;
  asked: number;
  asking: boolean;
  readonly waiting: Frame[];
}

export class Neighbours {
  readonly #clock: SimulatedClock;
  readonly #wire: Wire;
  readonly #port: Port;
  readonly #entries = new Map<Address, Entry>();

  constructor(clock: SimulatedClock, wire: Wire, port: Port) {
    this.#clock = clock;
    this.#wire = wire;
    this.#port = port;
  }

  send(address: Address, frame: Frame): void {
    let entry = this.#entries.get(address);
    if (entry === undefined) {
      entry = { mac: undefined, confirmedAtMs: 0, asked: 0, asking: false, waiting: [] };
      this.#entries.set(address, entry);
    }
    if (entry.mac === undefined) {
      if (entry.waiting.length < WAITING_COUNT_MAX) entry.waiting.push(frame);
      this.#ask(address, entry);
      return;
    }
    if (this.#clock.nowMs() - entry.confirmedAtMs > REACHABLE_MS) this.#ask(address, entry);
    this.#wire.send(this.#port, entry.mac, frame);
  }

  /** An answer, or a gratuitous announcement: that one changes what is known, and makes nothing known. */
  heard(address: Address, mac: number): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    entry.mac = mac;
    entry.confirmedAtMs = this.#clock.nowMs();
    entry.asked = 0;
    for (const frame of entry.waiting.splice(0)) this.#wire.send(this.#port, mac, frame);
  }

  #ask(address: Address, entry: Entry): void {
    if (entry.asking) return;
    entry.asking = true;
    entry.asked++;
    this.#wire.broadcast(this.#port, { kind: "arpRequest", target: address });
    const askedAtMs = this.#clock.nowMs();
    this.#clock.after(RETRY_MS, () => {
      entry.asking = false;
      if (entry.mac !== undefined && entry.confirmedAtMs >= askedAtMs) return;
      if (entry.asked >= PROBE_COUNT_MAX) {
        entry.mac = undefined;
        entry.asked = 0;
        entry.waiting.length = 0;
        return;
      }
      this.#ask(address, entry);
    });
  }
}
