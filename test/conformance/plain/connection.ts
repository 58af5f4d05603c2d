// A TCP connection between the scripted client and the scripted endpoint of a service, with the numbers that
// both have reached.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { until } from "@holdfast/testkit";
import type { End, PlainContext, ScriptedService } from "./context.ts";
import { ACK, FIN, type Heard, type Place, PSH, RST, SYN, segment, textOf } from "./segments.ts";

/** MSS 1,440, which an MTU of 1,500 takes in both families; window scale 2. */
export const SYN_OPTIONS = new Uint8Array([2, 4, 5, 0xa0, 1, 3, 3, 2]);
/** 65,535 << 2: beyond this a number lies outside. */
export const FAR = 0x1000_0000;

export interface Connecting {
  readonly client?: Place;
  readonly options?: Uint8Array;
  readonly sequence?: number;
  /** What comes with the SYN; the SYN-ACK acknowledges it. */
  readonly data?: string;
}

const other = (end: End): End => (end === "client" ? "endpoint" : "client");

export class Connection {
  readonly context: PlainContext;
  readonly service: ScriptedService;
  readonly client: Place;
  /** The next number of each end. */
  readonly next: Record<End, number>;
  readonly options: Uint8Array;
  readonly #data: string;
  #syn: Heard | undefined;
  #spoken = 0;

  constructor(context: PlainContext, service: ScriptedService, connecting: Connecting = {}) {
    this.context = context;
    this.service = service;
    this.client = connecting.client ?? context.newClient();
    this.options = connecting.options ?? SYN_OPTIONS;
    this.#data = connecting.data ?? "";
    const first = connecting.sequence ?? randomInt(2 ** 32);
    this.next = { client: first, endpoint: randomInt(2 ** 32) };
  }

  /** Its SYN is at the endpoint. */
  static async begun(context: PlainContext, service: ScriptedService, connecting?: Connecting) {
    const connection = new Connection(context, service, connecting);
    await connection.syn();
    return connection;
  }

  static async open(context: PlainContext, service: ScriptedService, connecting?: Connecting) {
    const connection = await Connection.begun(context, service, connecting);
    await connection.opens();
    return connection;
  }

  /** The SYN as it came to the endpoint. */
  get atEndpoint(): Heard {
    assert.ok(this.#syn, "there was no SYN");
    return this.#syn;
  }

  get natPort(): number {
    return this.atEndpoint.source.port;
  }

  /** Sends a SYN, again while nothing comes: a service is a moment young, or an owner. */
  async syn(): Promise<Heard> {
    const sequence = this.next.client;
    const fields = { flags: SYN, sequence, options: this.options, payload: this.#data };
    const packet = segment(this.client, this.service.place, fields);
    let sentMs = Number.NEGATIVE_INFINITY;
    const earlier = this.context.arrived("endpoint").length;
    this.#syn = await until(
      "the SYN at the endpoint",
      () => {
        if (performance.now() - sentMs > 1_000) {
          this.context.send("client", packet);
          sentMs = performance.now();
        }
        return this.context
          .arrived("endpoint")
          .slice(earlier)
          .find((heard) => heard.flags === SYN && heard.sequence === sequence && this.#isTo(heard));
      },
      20_000,
      2,
    );
    this.next.client = (sequence + 1 + this.#data.length) >>> 0;
    return this.#syn;
  }

  #isTo({ destination }: Heard): boolean {
    return destination.port === this.service.endpoint.port;
  }

  async synAck(): Promise<Heard> {
    const sequence = this.next.endpoint;
    this.next.endpoint = (sequence + 1) >>> 0;
    this.send("endpoint", { flags: SYN | ACK, sequence, options: this.options });
    return this.hears(
      "client",
      "the SYN-ACK",
      (heard) => heard.flags === (SYN | ACK) && heard.sequence === sequence,
    );
  }

  /** The rest of the handshake. */
  async opens(): Promise<void> {
    await this.synAck();
    await this.ack("client");
  }

  /** Sends, with the numbers that are next where none are given. */
  send(
    from: End,
    fields: {
      readonly flags: number;
      readonly sequence?: number;
      readonly acknowledgment?: number;
      readonly payload?: string | Uint8Array;
      readonly options?: Uint8Array;
      readonly urgent?: number;
    },
    extras = {},
  ): void {
    const numbers = { sequence: this.next[from], acknowledgment: this.next[other(from)] };
    this.context.send(from, this.packet(from, { ...numbers, ...fields }, extras));
  }

  packet(from: End, fields: Parameters<typeof segment>[2], extras = {}): Uint8Array {
    const { client, service } = this;
    const way: [Place, Place] =
      from === "client"
        ? [client, service.place]
        : [service.endpoint, { address: service.place.address, port: this.natPort }];
    return segment(...way, fields, extras);
  }

  isOwn(at: End, { source, destination }: Heard): boolean {
    return at === "client"
      ? destination.port === this.client.port && destination.address === this.client.address
      : source.port === this.natPort && this.#isTo({ destination } as Heard);
  }

  heard(at: End): Heard[] {
    return this.context.arrived(at).filter((heard) => this.isOwn(at, heard));
  }

  hears(at: End, what: string, isIt: (heard: Heard) => boolean, limitMs?: number): Promise<Heard> {
    return this.context.hears(at, what, (heard) => this.isOwn(at, heard) && isIt(heard), limitMs);
  }

  /** A bare acknowledgment, and its arrival with both numbers as they were. */
  ack(from: End): Promise<Heard> {
    this.send(from, { flags: ACK });
    const [sequence, acknowledgment] = [this.next[from], this.next[other(from)]];
    return this.hears(
      other(from),
      "an ACK",
      (heard) =>
        heard.flags === ACK && heard.sequence === sequence && heard.acknowledgment === acknowledgment,
    );
  }

  /** Bytes nobody has sent before arrive whole, with their numbers, and are acknowledged. */
  async speak(from: End, payload = `${from} ${++this.#spoken} of ${this.client.port}`): Promise<Heard> {
    const sequence = this.next[from];
    this.send(from, { flags: ACK | PSH, payload });
    this.next[from] = (sequence + payload.length) >>> 0;
    const heard = await this.hears(
      other(from),
      `'${payload}'`,
      (each) => each.sequence === sequence && textOf(each) === payload,
    );
    assert.ok(heard.isChecksumRight, "its checksum");
    await this.ack(other(from));
    return heard;
  }

  /** It lives: both ends are heard. */
  async lives(): Promise<void> {
    await this.speak("client");
    await this.speak("endpoint");
  }

  /** A FIN arrives; it is acknowledged when `acknowledged`. */
  async fin(from: End, acknowledged = true): Promise<void> {
    const sequence = this.next[from];
    this.send(from, { flags: FIN | ACK });
    this.next[from] = (sequence + 1) >>> 0;
    await this.hears(
      other(from),
      "the FIN",
      (heard) => heard.flags === (FIN | ACK) && heard.sequence === sequence,
    );
    if (acknowledged) await this.ack(other(from));
  }

  /** Nothing with a RST has arrived there. */
  wasNotReset(...ends: readonly End[]): void {
    for (const end of ends)
      assert.equal(
        this.heard(end).filter(({ flags }) => (flags & RST) !== 0).length,
        0,
        `a reset at the ${end}`,
      );
  }

  /** It has ended for a reason, as the member says. */
  async ended(limitMs = 15_000): Promise<void> {
    await until(
      `the connection of port ${this.client.port} to end`,
      async () => {
        const flows = await this.context.flows(this.service);
        const own = flows.filter(({ clientPort }) => clientPort === this.client.port);
        return own.every(({ phase }) => phase === "closed");
      },
      limitMs,
      50,
    );
  }

  phase(phase: string): Promise<void> {
    return this.context.phase(this.service, this.client, phase);
  }
}
