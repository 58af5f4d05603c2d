// The fast path for hosts where BPF is not allowed: a ring per interface, the reference translator, raw sockets.

import { type Address, addressBytes, type Logger, silentLogger } from "@holdfast/model";
import {
  IPV4_HEADER_SIZE,
  IpHeader,
  internetChecksum,
  PROTOCOL,
  read16,
  writeChecksum,
} from "@holdfast/sctp";
import { addressOf } from "../../kernel/libc.ts";
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, sendFrame } from "../../kernel/packet-socket.ts";
import { Netlink } from "../../netlink/netlink.ts";
import { ANYWHERE, RouteFinder, type Towards } from "../../netlink/route-finder.ts";
import { writePlainChecksum } from "../../packet/plain/rewrite.ts";
import { arpReply, type OwnsAddress } from "../answer/arp.ts";
import { echoReply } from "../answer/echo.ts";
import { isSolicitation, neighbourAdvertisement } from "../answer/neighbour.ts";
import type { PlainFlows } from "../plain.ts";
import type {
  Fallback,
  FastPath,
  FastPathEndpoint,
  FastPathInterface,
  Flow,
  FlowCounters,
  FlowKey,
  LocalAddress,
  Punt,
} from "../port.ts";
import { Engine } from "../reference/engine.ts";
import { PUNT_TURN_COUNT_MAX, type PuntRates } from "../reference/punt-queue.ts";
import { EgressTable } from "./egress.ts";
import { HostGuard } from "./host-guard.ts";
import { Parts } from "./parts.ts";
import { type Port, Ports } from "./ports.ts";
import type { ReceiveRing, RingFrame } from "./receive-ring.ts";
import { RingPoll } from "./ring-poll.ts";
import { Sender } from "./sender.ts";

/** Frames of all rings that are handled in one turn of the event loop. */
const TURN_FRAME_COUNT_MAX = 512;

export interface UserspaceFastPathOptions {
  /** Names and patterns of the interfaces on which clients and endpoints are met. */
  readonly interfaces: readonly string[];
  /** Default 262,144. */
  readonly flowCountMax?: number;
  readonly puntRates?: PuntRates;
  /** The nftables table that keeps the host's stack from VIP packets; default "holdfast". */
  readonly guardTable?: string;
  readonly logger?: Logger;
  /** Default: anywhere. */
  readonly towards?: Towards;
  /** What was tried before. */
  readonly fallback?: Fallback;
}

/**
 * Opens rings on the interfaces and starts to forward; punts wait for `start`. Throws USERSPACE_SOCKET_FAILED when an
 * interface or a capability is missing, USERSPACE_GUARD_FAILED when nftables is.
 */
export async function openUserspaceFastPath(options: UserspaceFastPathOptions): Promise<FastPath> {
  const logger = options.logger ?? silentLogger;
  const ports = new Ports(options.interfaces, logger);
  try {
    ports.open();
    const guard = new HostGuard(options.guardTable ?? "holdfast");
    guard.protect([]);
    const fastPath = new UserspaceFastPath(ports, guard, options, logger);
    logger.info(
      { interfaces: options.interfaces },
      "Userspace fast path: packets are translated by the daemon itself and stop when it stops.",
    );
    return fastPath;
  } catch (error) {
    ports.close();
    throw error;
  }
}

type From = Pick<Port, "facts"> & { readonly ring: ReceiveRing };

class UserspaceFastPath implements FastPath {
  readonly mode = "userspace";
  readonly fallback?: Fallback;
  readonly #ports: Ports;
  readonly #guard: HostGuard;
  readonly #engine: Engine;
  readonly #netlink = new Netlink();
  readonly #routes: RouteFinder;
  readonly #egress: EgressTable;
  #endpoints: ReadonlySet<Address> = new Set();
  readonly #sender: Sender;
  readonly #poll: RingPoll;
  readonly #parts = new Parts(() => this.#sender.flush());
  readonly #frame: RingFrame = {
    ...{ linkOffset: 0, networkOffset: 0, end: 0 },
    ...{ checksumPartial: false, segmentSize: 0 },
  };
  readonly #header = new IpHeader();
  readonly #owns4: OwnsAddress = (bytes, offset) =>
    this.#engine.tables.local.get(bytes, offset, 4)?.local.owned;
  readonly #owns6: OwnsAddress = (bytes, offset) =>
    this.#engine.tables.local.get(bytes, offset, 16)?.local.owned;
  /** The local addresses that guard and filters know. */
  #guarded = "";
  #started = false;
  #delivering = false;
  #closed = false;

  constructor(ports: Ports, guard: HostGuard, options: UserspaceFastPathOptions, logger: Logger) {
    this.#ports = ports;
    if (options.fallback !== undefined) this.fallback = options.fallback;
    this.#guard = guard;
    this.#routes = new RouteFinder(this.#netlink, logger, options.towards ?? ANYWHERE);
    this.#egress = new EgressTable(() => this.nowMs(), this.#routes);
    this.#netlink.follow((event) => {
      if (!this.#closed) ports.handle(event);
      if (this.#routes.handle(event)) this.#egress.forget();
    });
    this.#sender = new Sender(() => this.#engine.countDrop("send-failed"));
    this.#engine = new Engine({
      nowMs: () => this.nowMs(),
      egress: (destination, entry) => this.#egress.lookUp(destination, entry),
      ...(options.flowCountMax === undefined ? {} : { flowCountMax: options.flowCountMax }),
      ...(options.puntRates === undefined ? {} : { puntRates: options.puntRates }),
    });
    this.#poll = new RingPoll(
      ports.rings(),
      () => this.#turn(),
      (ring, errno) => {
        const port = ports.list.find(({ rings }) => rings[0] === ring);
        // Its other ring hears of it, too.
        if (port === undefined) return;
        logger.warn(
          { interface: port.facts.name, errno },
          "The interface went down; no packets until it is up.",
        );
      },
    );
    ports.onChange = (rings) => this.#poll.replace(rings);
  }

  interfaces(): readonly FastPathInterface[] {
    const links = new Map(this.#netlink.links().map((link) => [link.index, link]));
    return this.#ports.list.map(({ facts: { name, index } }) => ({
      name,
      index,
      hooks: ["ring"],
      receiveDrops: links.get(index)?.receiveDrops ?? 0,
      transmitDrops: links.get(index)?.transmitDrops ?? 0,
    }));
  }

  viaTc(): readonly [] {
    return [];
  }

  mtuTowards(source: Address, destination: Address, direction: "up" | "down"): number | undefined {
    const leaving = { newSource: addressBytes(source), flow: { newSource: source, direction } };
    return this.#egress.lookUp(addressBytes(destination), leaving)?.mtu;
  }

  deviceUp(endpoint: Address): number {
    return this.#routes.deviceUp(endpoint);
  }

  nowMs(): number {
    return performance.now();
  }

  setLocal(addresses: readonly LocalAddress[]): void {
    const texts = addresses.map((local) => local.address);
    const set = texts.toSorted().join(" ");
    if (set !== this.#guarded) {
      // The guard first: a VIP that is served before the host is silenced would be answered twice. Who owns a VIP
      // changes more often than the set, and nft takes its time.
      this.#guard.protect(texts);
      this.#ports.setFilter(texts.map(addressBytes));
      this.#guarded = set;
    }
    this.#engine.tables.setLocal(addresses);
  }

  setEndpoints(endpoints: readonly FastPathEndpoint[]): void {
    this.#endpoints = new Set(endpoints.map(({ address }) => address));
    this.#engine.tables.setEndpoints(endpoints);
  }

  install(flow: Flow): boolean {
    const installed = this.#engine.tables.install(flow);
    if (!installed) this.#engine.count("flow-table-full");
    return installed;
  }

  remove(key: FlowKey): void {
    this.#engine.tables.remove(key);
  }

  counters(key: FlowKey): FlowCounters | undefined {
    return this.#engine.tables.counters(key);
  }

  sweep(cursor: unknown, visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove"): unknown {
    return this.#engine.tables.sweep(cursor, visit);
  }

  get plain(): PlainFlows {
    return this.#engine.tables.plain;
  }

  onPunt(listener: (punt: Punt) => void): void {
    this.#engine.onPunt(listener);
  }

  start(): void {
    this.#started = true;
    this.#scheduleDelivery();
  }

  send(packet: Uint8Array): boolean {
    if (this.#closed || this.#header.read(packet) !== undefined) return false;
    const { sourceOffset, destinationOffset, addressSize } = this.#header;
    // Whatever waits goes first, so that a failure is this packet's.
    this.#sender.flush();
    const failures = this.#engine.totals.get("drop.send-failed") ?? 0;
    const source = packet.subarray(sourceOffset, sourceOffset + addressSize);
    const destination = packet.subarray(destinationOffset, destinationOffset + addressSize);
    this.#sender.queue(addressOf(packet), packet.length, {
      source,
      destination,
      device: this.#routes.deviceFor(source, destination, this.#endpoints),
    });
    // At once: the kernel reads the packet now, and its memory may be anybody's afterwards.
    this.#sender.flush();
    const sent = (this.#engine.totals.get("drop.send-failed") ?? 0) === failures;
    if (sent) this.#engine.count("send.packets");
    return sent;
  }

  totals(): ReadonlyMap<string, number> {
    const totals = this.#engine.totalsNow();
    if (this.#closed) return totals;
    let full = 0;
    let truncated = 0;
    for (const ring of this.#ports.rings()) {
      full += ring.dropCount();
      truncated += ring.truncatedCount;
    }
    if (full > 0) totals.set("drop.receive-ring", full);
    if (truncated > 0) totals.set("drop.frame-too-long", truncated);
    return totals;
  }

  signOfLife(): void {}

  async detach(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#poll.close();
    this.#ports.close();
    this.#sender.close();
    this.#parts.close();
    this.#egress.close();
    this.#netlink.close();
  }

  async uninstall(): Promise<void> {
    await this.detach();
    this.#guard.remove();
  }

  /** Handles what the rings hold, a bounded number of frames; true when more wait. */
  #turn(): boolean {
    let budget = TURN_FRAME_COUNT_MAX;
    for (const { facts, rings } of [...this.#ports.list])
      for (const ring of rings)
        while (budget > 0 && ring.ready) {
          budget -= this.#drainBlock({ facts, ring }, budget);
          // The kernel reads the packets in place: they must be gone before it gets the block back.
          this.#sender.flush();
          ring.release();
        }
    this.#scheduleDelivery();
    return this.#ports.list.some(({ rings }) => rings.some((ring) => ring.ready));
  }

  /** Packets handled, at least 1 so that an empty block is progress, too. */
  #drainBlock(from: From, limit: number): number {
    const frame = this.#frame;
    let count = 0;
    while (count < limit && from.ring.read(frame)) {
      count += this.#handle(from, frame);
    }
    return Math.max(count, 1);
  }

  /** How many packets it was. */
  #handle(from: From, frame: RingFrame): number {
    const { bytes } = from.ring;
    switch (read16(bytes, frame.networkOffset - 2)) {
      case ETH_P_IP:
        return this.#handleIp(from, frame);
      case ETH_P_IPV6:
        if (!isSolicitation(bytes, frame.linkOffset, frame.end)) return this.#handleIp(from, frame);
        this.#answerSolicitation(from, frame);
        break;
      case ETH_P_ARP:
        this.#answerArp(from, frame);
        break;
    }
    return 1;
  }

  #handleIp({ facts, ring }: From, frame: RingFrame): number {
    const { networkOffset, end, checksumPartial, segmentSize } = frame;
    const packet = ring.bytes.subarray(networkOffset, end);
    if (hasWrongHeaderChecksum(packet)) {
      this.#engine.countDrop("ip-checksum");
      return 1;
    }
    const address = ring.address + BigInt(networkOffset);
    if (segmentSize === 0 || this.#header.read(packet) !== undefined) {
      this.#process(facts.index, packet, address, checksumPartial);
      return 1;
    }
    return this.#parts.each(packet, this.#header, segmentSize, (part, at) =>
      this.#process(facts.index, part, at, true),
    );
  }

  /** A packet that lies at `address`, until the sender's next flush at least. */
  #process(interfaceIndex: number, packet: Uint8Array, address: bigint, checksumPartial: boolean): void {
    const verdict = this.#engine.process({
      ...{ bytes: packet, size: packet.length },
      ...{ interfaceIndex, checksumPartial },
    });
    if (verdict.action === "forward" || verdict.action === "forwardPlain") {
      const size = this.#engine.packetSize;
      if (checksumPartial) this.#completeChecksum(packet.subarray(0, size));
      this.#sender.queue(address, size, {
        source: verdict.entry.newSource,
        destination: verdict.destination,
        device: verdict.device ?? 0,
      });
    } else if (verdict.action === "answer") {
      this.send(echoReply(packet, packet.length));
    }
  }

  /** A local stack left the checksum to a device; the way out of here is a raw socket, which has none. */
  #completeChecksum(packet: Uint8Array): void {
    if (this.#header.read(packet) !== undefined) return;
    if (this.#header.protocol === PROTOCOL.SCTP)
      writeChecksum(packet, this.#header.payloadOffset, this.#header.end);
    else writePlainChecksum(packet, this.#header);
  }

  #answerArp({ facts, ring }: From, frame: RingFrame): void {
    const reply = arpReply(ring.bytes, frame.linkOffset, frame.end, facts.mac, this.#owns4);
    this.#answer(ring, reply, "answer.arp");
  }

  #answerSolicitation({ facts, ring }: From, frame: RingFrame): void {
    const { linkOffset, end } = frame;
    const advertisement = neighbourAdvertisement(ring.bytes, linkOffset, end, facts.mac, this.#owns6);
    this.#answer(ring, advertisement, "answer.neighbour");
  }

  #answer(ring: ReceiveRing, answer: Uint8Array | "not-owned" | undefined, name: string): void {
    if (answer === undefined) return;
    if (answer === "not-owned") this.#engine.countDrop("not-owned");
    else if (sendFrame(ring.fd, answer)) this.#engine.count(name);
    else this.#engine.countDrop("send-failed");
  }

  #scheduleDelivery(): void {
    if (!this.#started || this.#delivering || this.#engine.puntCount === 0) return;
    this.#delivering = true;
    setImmediate(() => {
      this.#delivering = false;
      if (this.#closed) return;
      try {
        this.#engine.deliver(PUNT_TURN_COUNT_MAX);
      } finally {
        this.#scheduleDelivery();
      }
    });
  }
}

/** Of IPv4; what cannot be a header is the engine's to name. */
function hasWrongHeaderChecksum(packet: Uint8Array): boolean {
  const first = packet[0] as number;
  if (first >>> 4 !== 4) return false;
  const size = (first & 0x0f) * 4;
  return size >= IPV4_HEADER_SIZE && size <= packet.length && internetChecksum(packet, 0, size) !== 0;
}
