// A simulated fast path that begins connections from offers, as the BPF program does.
import { type Address, endpointKey, PROTOCOL_TCP } from "@holdfast/model";
import { IpHeader } from "@holdfast/sctp";
import type { OfferedService, PlainFlow, PlainFlows, PlainOffer } from "../fast-path/plain.ts";
import { lifeOf } from "../fast-path/plain-life.ts";
import { SimulatedFastPath } from "../fast-path/simulated/simulated-fast-path.ts";
import { addressAt } from "../packet/input.ts";
import { PlainHeader, TCP_FLAG } from "../packet/plain/header.ts";
import { windowScaleOf } from "../packet/plain/options.ts";
import { answerKeyOf } from "../slow-path/plain/flow.ts";
import { downKeyOf } from "../slow-path/plain/offered.ts";

export class OfferingFastPath extends SimulatedFastPath {
  /** Offers of one service that are taken in. */
  offerCountMax = 4_096;
  /** Clients of which it was said that they are there. */
  readonly met: Address[] = [];
  readonly #queues = new Map<string, PlainOffer[]>();

  override get plain(): PlainFlows {
    const table = super.plain;
    return {
      install: (flow) => table.install(flow),
      remove: (key, session) => table.remove(key, session),
      read: (key) => table.read(key),
      stateOf: (key) => table.stateOf(key),
      refresh: (key, bytes) => table.refresh(key, bytes),
      sweep: (cursor, visit) => table.sweep(cursor, visit),
      review: (offers, visit) => {
        for (const offer of offers) {
          const down = table.read(downKeyOf(offer));
          const up = down && table.read(answerKeyOf(PROTOCOL_TCP, down.flow));
          const isIts = [up, down].every((entry) => entry?.flow.session === offer.session);
          if (visit(offer, up && down && isIts ? lifeOf(up, down) : undefined) === "keep") continue;
          for (const entry of [up, down])
            if (entry !== undefined) table.remove(entry.flow.key, offer.session);
        }
      },
      offers: {
        offer: (service, offers) => {
          const queue = this.#queueOf(service);
          const accepted = offers.slice(0, this.offerCountMax - queue.length);
          queue.push(...accepted);
          return accepted.length;
        },
        left: (service) => this.#queueOf(service).length,
        withdraw: (service) =>
          this.#queueOf(service)
            .splice(0)
            .map(({ session }) => session),
        meet: (_, client) => this.met.push(client),
      },
    };
  }

  override inject(...args: Parameters<SimulatedFastPath["inject"]>): ReturnType<SimulatedFastPath["inject"]> {
    this.#begin(args[0]);
    return super.inject(...args);
  }

  #queueOf({ vip, port }: OfferedService): PlainOffer[] {
    const key = endpointKey({ address: vip, port });
    const queue = this.#queues.get(key) ?? [];
    this.#queues.set(key, queue);
    return queue;
  }

  #begin(bytes: Uint8Array): void {
    const [ip, header] = [new IpHeader(), new PlainHeader()];
    if (ip.read(bytes) !== undefined || ip.protocol !== PROTOCOL_TCP || ip.fragment) return;
    if (header.read(bytes, ip) !== undefined || header.flags !== TCP_FLAG.SYN) return;
    const client = addressAt(bytes, ip.sourceOffset, ip.addressSize);
    const vip = addressAt(bytes, ip.destinationOffset, ip.addressSize);
    const { sourcePort, destinationPort } = header;
    const key = { protocol: PROTOCOL_TCP, source: client, destination: vip, sourcePort, destinationPort };
    if (super.plain.read(key) !== undefined) return;
    const offer = this.#queueOf({ vip, port: destinationPort }).shift();
    if (offer === undefined) return;
    const { session, endpoint, endpointPort, natPort, source } = offer;
    const both = {
      ...{ session, handshake: true, learn: false, quiet: true, tcp: { windowScale: 0, shift: 0 } },
      awaiting: { sequence: (header.sequence + 1) >>> 0, scale: windowScaleOf(bytes, header) },
    };
    const up: PlainFlow = {
      ...{ ...both, key, direction: "up", assured: false, newSource: source, newDestination: endpoint },
      ...{ newSourcePort: natPort, newDestinationPort: endpointPort },
    };
    const down: PlainFlow = {
      key: {
        ...{ protocol: PROTOCOL_TCP, source: endpoint, destination: source },
        ...{ sourcePort: endpointPort, destinationPort: natPort },
      },
      ...{ ...both, direction: "down", assured: true, newSource: vip, newDestination: client },
      ...{ newSourcePort: destinationPort, newDestinationPort: sourcePort },
    };
    super.plain.install(up);
    super.plain.install(down);
  }
}
