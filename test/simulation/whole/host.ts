// What a client and an endpoint have in common: ports on segments, a neighbour table on each, packets in and out.
import { type Address, addressBytes, addressFromBytes, type Random } from "@holdfast/model";
import {
  type Chunk,
  encodeIp,
  encodePacket,
  IpHeader,
  internetChecksum,
  isMalformed,
  type Packet,
  PROTOCOL,
  parsePacket,
  verifyChecksum,
} from "@holdfast/sctp";
import type { SimulatedClock } from "../clock.ts";
import type { Ledger } from "./ledger.ts";
import { Neighbours } from "./neighbours.ts";
import type { Port, Wire } from "./wire.ts";
import { ALL_VIPS, type Network, networkOf } from "./world.ts";

export interface Surroundings {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly wire: Wire;
  readonly ledger: Ledger;
  /** Address → MAC of whoever has it for good; VIPs are not here. */
  readonly macs: Map<Address, number>;
  /** Associations send messages. */
  isTalking(): boolean;
}

/** A packet that a host received, taken apart. */
export interface Received {
  readonly source: Address;
  readonly destination: Address;
  readonly packet: Packet;
  readonly chunks: readonly Chunk[];
  readonly tag: number;
}

let lastMac = 0;
export function nextMac(): number {
  return ++lastMac;
}
/** Every run counts its MACs anew. */
export function resetMacs(): void {
  lastMac = 0;
}

/** RFC 792. */
const ICMP_TIME_EXCEEDED = 11;
const ICMP_HEADER_SIZE = 8;
const VIPS = new Set(ALL_VIPS);
const header = new IpHeader();

export abstract class Host {
  readonly name: string;
  protected readonly around: Surroundings;
  readonly #neighbours = new Map<Network, Neighbours>();
  readonly #ports = new Map<Network, Port>();

  constructor(name: string, addresses: readonly Address[], around: Surroundings) {
    this.name = name;
    this.around = around;
    for (const network of new Set(addresses.map(networkOf))) {
      if (network === undefined) throw new Error(`an address of ${name} is on no network`);
      const mac = nextMac();
      const port: Port = {
        host: name,
        network,
        mac,
        receive: (frame) => {
          if (frame.kind === "arp") this.#neighbours.get(network)?.heard(frame.address, frame.mac);
          if (frame.kind === "ip") this.#receive(frame.packet);
        },
      };
      around.wire.plug(port);
      this.#neighbours.set(network, new Neighbours(around.clock, around.wire, port));
      this.#ports.set(network, port);
      for (const address of addresses) if (networkOf(address) === network) around.macs.set(address, mac);
    }
  }

  protected abstract received(received: Received): void;

  protected send(
    source: Address,
    destination: Address,
    ports: { readonly source: number; readonly destination: number },
    tag: number,
    chunks: readonly Uint8Array[],
  ): void {
    const packet = ipPacket(source, destination, ports, tag, chunks);
    const network = networkOf(source);
    const port = network && this.#ports.get(network);
    if (network === undefined || port === undefined) return;
    // Members' own addresses do not move: they are known. VIPs are resolved.
    const mac = this.around.macs.get(destination);
    if (mac !== undefined) this.around.wire.send(port, mac, { kind: "ip", packet });
    else this.#neighbours.get(network)?.send(destination, { kind: "ip", packet });
  }

  #receive(bytes: Uint8Array): void {
    const received = read(bytes);
    if (typeof received === "string") this.around.ledger.violate(`${this.name} received ${received}`);
    else if (received !== undefined) this.received(received);
  }
}

/** What a packet is to its receiver; what is wrong with it when nobody may send it. undefined: nothing to act upon. */
function read(bytes: Uint8Array): Received | string | undefined {
  if (header.read(bytes) !== undefined) return "a bad IP packet";
  if (header.protocol === PROTOCOL.ICMP) return readError(bytes);
  const packet = parsePacket(bytes, header.payloadOffset, header.end);
  if (isMalformed(packet)) return `a malformed packet: ${packet.malformed}`;
  if (!verifyChecksum(bytes, packet.start, packet.end)) return "a packet with a wrong checksum";
  const source = addressFromBytes(bytes, header.sourceOffset, header.addressSize);
  const destination = addressFromBytes(bytes, header.destinationOffset, header.addressSize);
  if (!VIPS.has(source) && networkOf(source) !== "core") return `a packet from ${source}`;
  return { source, destination, packet, chunks: packet.chunks, tag: packet.verificationTag };
}

/**
 * Two members whose daemons are dead send a newcomer's packet to each other, until its hops are used up or one of them is
 * alive again, and tells the sender. Stacks take no notice of it.
 */
function readError(bytes: Uint8Array): string | undefined {
  const { payloadOffset, end, destinationOffset, addressSize } = header;
  if (internetChecksum(bytes, payloadOffset, end) !== 0) return "an ICMP message with a wrong checksum";
  if (bytes[payloadOffset] !== ICMP_TIME_EXCEEDED) return `an ICMP message of type ${bytes[payloadOffset]}`;
  const to = addressFromBytes(bytes, destinationOffset, addressSize);
  const quoted = bytes.subarray(payloadOffset + ICMP_HEADER_SIZE, end);
  if (header.read(quoted) !== undefined) return "an ICMP message about no packet";
  const from = addressFromBytes(quoted, header.sourceOffset, header.addressSize);
  return from === to ? undefined : `an ICMP message about a packet of ${from}`;
}

export function ipPacket(
  source: Address,
  destination: Address,
  ports: { readonly source: number; readonly destination: number },
  tag: number,
  chunks: readonly Uint8Array[],
): Uint8Array {
  return encodeIp({
    source: addressBytes(source),
    destination: addressBytes(destination),
    payload: encodePacket({
      sourcePort: ports.source,
      destinationPort: ports.destination,
      verificationTag: tag,
      chunks,
    }),
  });
}
