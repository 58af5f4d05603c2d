// The probe thread of a simulated member: the product's own loop on a clock of its own, its datagrams on the wire.
import {
  type MemberConfiguration,
  networkIdOf,
  ProbeLoop,
  type Prober,
  type Report,
  type ThreadData,
} from "@holdfast/coordinator/testing";
import type { SimulatedClock } from "../clock.ts";
import type { Network } from "./world.ts";

/** Datagrams that wait in the socket of a process that stands still. */
const SOCKET_COUNT_MAX = 256;
/** From one thread to the other. */
const THREAD_MS = 0.05;

export interface ProbeSurroundings {
  /** Of the probe thread. */
  readonly clock: SimulatedClock;
  /** Of the main loop. */
  readonly main: SimulatedClock;
  /** Over every network that joins us with the member. */
  send(datagram: (network: number) => Uint8Array, member: MemberConfiguration): void;
  beat(): void;
}

export class SimulatedProber implements Prober {
  readonly #around: ProbeSurroundings;
  readonly #loop: ProbeLoop;
  readonly #waiting: { readonly bytes: Uint8Array; readonly network: Network }[] = [];
  #reading = false;
  #listener: ((report: Report) => void) | undefined;

  constructor(data: ThreadData, around: ProbeSurroundings) {
    this.#around = around;
    const { clock } = around;
    const pulse = new Int32Array(data.mainPulse);
    this.#loop = new ProbeLoop({
      data,
      nowMs: () => clock.nowMs(),
      afterSockets: (delayMs, _, action) => clock.after(delayMs + 0.01, action),
      after: (delayMs, action) => void clock.after(delayMs, action),
      send: (datagram, member) => around.send(datagram, member),
      pulse: () => Atomics.load(pulse, 0),
      report: (report) => this.#report(report),
      beat: () => around.beat(),
      socketCounters: () => ({ sent: 0, sendFailures: 0, closedNetworks: {} }),
      closed: () => this.#report({ kind: "closed" }),
    });
    clock.after(THREAD_MS, () => this.#loop.start());
  }

  command(command: Parameters<Prober["command"]>[0]): void {
    this.#around.clock.after(THREAD_MS, () => this.#loop.command(command));
  }

  listen(listeners: Parameters<Prober["listen"]>[0]): void {
    this.#listener = (report) => listeners.report(report);
  }

  end(): Promise<void> {
    return Promise.resolve();
  }

  /** A datagram in the socket. */
  received(bytes: Uint8Array, network: Network): void {
    if (this.#waiting.length >= SOCKET_COUNT_MAX) return;
    this.#waiting.push({ bytes, network });
    if (this.#reading) return;
    this.#reading = true;
    this.#around.clock.after(0, () => {
      this.#reading = false;
      for (const { bytes: datagram, network: over } of this.#waiting.splice(0))
        this.#loop.receive(datagram, networkIdOf(over));
    });
  }

  #report(report: Report): void {
    this.#around.main.after(THREAD_MS, () => this.#listener?.(report));
  }
}
