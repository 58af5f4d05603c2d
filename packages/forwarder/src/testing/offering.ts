// A simulated fast path that begins connections from offers, as the BPF program does.
import { type Address, endpointKey, PROTOCOL_TCP } from "@holdfast/model";
import { IpHeader } from "@holdfast/sctp";
import {
  GIVES_WAY_MS,
  type OfferedService,
  type PlainEntry,
  type PlainFlow,
  type PlainFlows,
  type PlainLife,
  type PlainOffer,
} from "../fast-path/plain.ts";
import { lifeOf, stageOf } from "../fast-path/plain-life.ts";
import type { FlowKey } from "../fast-path/port.ts";
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
          const isIts = (entry: PlainEntry | undefined) => entry?.flow.session === offer.session;
          const life = up && down && isIts(up) ? lifeOf(up, down) : down && restOf(down);
          if (visit(offer, isIts(down) ? life : undefined) === "keep") continue;
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

  /** Whether a SYN may begin a connection there; what is over is retired. */
  #givesWay(key: FlowKey, sequence: number): boolean {
    const table = super.plain;
    const up = table.read(key);
    if (up === undefined) return true;
    const down = table.read(answerKeyOf(PROTOCOL_TCP, up.flow));
    if (down === undefined || up.flow.quiet !== true || stageOf(up.flow) !== "open") return false;
    const { isOver, lastSeenMs } = lifeOf(up, down);
    if (!isOver || this.nowMs() - lastSeenMs > GIVES_WAY_MS) return false;
    const isBehind = (sequence - (up.state.finEnd ?? sequence)) >>> 0 < 0x8000_0000;
    if (!isBehind && !(up.state.reset && down.state.reset)) return false;
    table.remove(key);
    table.install({ ...down.flow, handshake: true });
    return true;
  }

  #begin(bytes: Uint8Array): void {
    const [ip, header] = [new IpHeader(), new PlainHeader()];
    if (ip.read(bytes) !== undefined || ip.protocol !== PROTOCOL_TCP || ip.fragment) return;
    if (header.read(bytes, ip) !== undefined || header.flags !== TCP_FLAG.SYN) return;
    const client = addressAt(bytes, ip.sourceOffset, ip.addressSize);
    const vip = addressAt(bytes, ip.destinationOffset, ip.addressSize);
    const { sourcePort, destinationPort } = header;
    const key = { protocol: PROTOCOL_TCP, source: client, destination: vip, sourcePort, destinationPort };
    const queue = this.#queueOf({ vip, port: destinationPort });
    if (queue.length === 0 || !this.#givesWay(key, header.sequence)) return;
    const offer = queue.shift() as PlainOffer;
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

/** Of a connection that gave way to another one. */
function restOf({ state: { lastSeenMs } }: PlainEntry): PlainLife {
  return { stage: "open", isOver: true, lastSeenMs };
}
