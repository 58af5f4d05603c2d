// An exchange of datagrams between the scripted client and the scripted endpoint of a service.
import assert from "node:assert/strict";
import { pause, until } from "@holdfast/testkit";
import type { End, PlainContext, ScriptedService } from "./context.ts";
import { datagram, type Heard, type Place, textOf } from "./segments.ts";

export class Exchange {
  readonly context: PlainContext;
  readonly service: ScriptedService;
  readonly client: Place;
  #first: Heard | undefined;
  #spoken = 0;

  constructor(context: PlainContext, service: ScriptedService, client = context.newClient()) {
    this.context = context;
    this.service = service;
    this.client = client;
  }

  /** A question has arrived at the endpoint. */
  static async asked(context: PlainContext, service: ScriptedService, client?: Place): Promise<Exchange> {
    const exchange = new Exchange(context, service, client);
    await exchange.ask();
    return exchange;
  }

  get natPort(): number {
    assert.ok(this.#first, "nothing was asked");
    return this.#first.source.port;
  }

  text(from: End): string {
    return `${from} ${++this.#spoken} of ${this.client.address}:${this.client.port}/${this.service.place.port}`;
  }

  packet(from: End, data: string | Uint8Array, extras = {}): Uint8Array {
    return from === "client"
      ? datagram(this.client, this.service.place, data, extras)
      : datagram(this.service.endpoint, { address: this.context.vip, port: this.natPort }, data, extras);
  }

  send(from: End, data: string | Uint8Array, extras = {}): void {
    this.context.send(from, this.packet(from, data, extras));
  }

  /** From the client; sent again while nothing comes: a service is a moment young, or an owner. */
  async ask(): Promise<Heard> {
    const text = this.text("client");
    let sentMs = Number.NEGATIVE_INFINITY;
    const earlier = this.context.arrived("endpoint").length;
    const heard = await until(
      `'${text}' at the endpoint`,
      async () => {
        if (performance.now() - sentMs > 1_000) {
          this.send("client", text);
          sentMs = performance.now();
        }
        return this.context
          .arrived("endpoint")
          .slice(earlier)
          .find((each) => textOf(each) === text);
      },
      20_000,
      2,
    );
    this.#first ??= heard;
    assert.equal(heard.source.address, this.context.vip);
    assert.equal(heard.destination.port, this.service.endpoint.port);
    assert.ok(heard.isChecksumRight, "its checksum");
    return heard;
  }

  async answer(): Promise<Heard> {
    const text = this.text("endpoint");
    this.send("endpoint", text);
    const heard = await this.context.hears("client", `'${text}'`, (each) => textOf(each) === text);
    assert.deepEqual(heard.source, this.service.place);
    assert.deepEqual(heard.destination, this.client);
    assert.ok(heard.isChecksumRight, "its checksum");
    return heard;
  }

  /** Question, answer, question: it is no one-shot any more. */
  async lively(): Promise<void> {
    await this.ask();
    await this.answer();
    const { source } = await this.ask();
    assert.equal(source.port, this.natPort);
  }

  phase(phase: string): Promise<void> {
    return this.context.phase(this.service, this.client, phase);
  }

  async ended(limitMs = 15_000): Promise<void> {
    await until(
      `the exchange of port ${this.client.port} to end`,
      async () =>
        (await this.context.flows(this.service))
          .filter(({ clientPort }) => clientPort === this.client.port)
          .every(({ phase }) => phase === "closed"),
      limitMs,
      50,
    );
  }

  /** Goes on for `ms` with one end alone speaking. */
  async monologue(from: End, ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    while (performance.now() < endMs) {
      if (from === "client") await this.ask();
      else await this.answer();
      await pause(300);
    }
  }
}
