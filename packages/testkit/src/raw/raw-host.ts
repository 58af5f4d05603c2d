// A host of the lab without an SCTP stack: sends any bytes as IP packets or frames, and hears everything on
// its cables.
import { networkInterfaces } from "node:os";
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import koffi from "koffi";
import { type CapturedPacket, readPacket } from "../capture/packet.ts";
import type { Host } from "../lab/host.ts";
import { checked, inNamespace, libc } from "./namespace.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_RAW = 255;
const IPPROTO_SCTP = 132;
const ETH_P_ALL_BE = 0x0300;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DONT = 0;
const IPPROTO_IPV6 = 41;
const IPV6_HDRINCL = 36;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const SO_RCVBUFFORCE = 33;
const PACKET_OUTGOING = 4;
const RECEIVE_BUFFER_BYTES = 16 * 1024 * 1024;
const FRAME_SIZE_MAX = 66_000;
/** Packets kept; more push the oldest out. */
const HEARD_COUNT_MAX = 100_000;

export interface HeardPacket extends CapturedPacket {
  readonly network: string;
  /** Sent by this host itself. */
  readonly outgoing: boolean;
}

export class RawHost {
  readonly host: Host;
  /** Every IP packet seen on the host's cables since the start; `receive` fills it. */
  readonly heard: HeardPacket[] = [];
  readonly #senders = new Map<string, { readonly ipv4: number; readonly ipv6: number }>();
  readonly #networkOf = new Map<number, string>();
  readonly #link: number;
  readonly #guards: readonly number[];
  readonly #frame = Buffer.alloc(FRAME_SIZE_MAX);
  readonly #from = Buffer.alloc(20);
  readonly #fromLength = Buffer.alloc(4);
  readonly #address4 = Buffer.alloc(16);
  readonly #address6 = Buffer.alloc(28);
  /** Addresses of the host, when each is routed by itself. */
  readonly #bySource: ReadonlySet<Address>;
  #closed = false;

  /** `quiet` (default): the kernel believes that somebody speaks SCTP here, and sends no ICMP for it. */
  constructor(
    host: Host,
    options: {
      readonly quiet?: boolean;
      /**
       * Packets from these addresses of the host leave by the route for that source (`ip rule from`), as a
       * stack's do.
       */
      readonly routedBySource?: readonly Address[];
    } = {},
  ) {
    this.host = host;
    this.#bySource = new Set(options.routedBySource);
    this.#address4.writeUInt16LE(AF_INET);
    this.#address6.writeUInt16LE(AF_INET6);
    this.#link = inNamespace(host.namespace, () => {
      for (const name of Object.keys(networkInterfaces())) {
        this.#networkOf.set(libc().if_nametoindex(name), name);
      }
      const fd = open(AF_PACKET, ETH_P_ALL_BE);
      option(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
      return fd;
    });
    this.#guards =
      (options.quiet ?? true)
        ? inNamespace(host.namespace, () => [open(AF_INET, IPPROTO_SCTP), open(AF_INET6, IPPROTO_SCTP)])
        : [];
    host.onEnd(() => this.close());
  }

  /** Routed by the host's kernel; `network` forces the cable. The source may be anybody's. */
  send(packet: Uint8Array, network = ""): void {
    const v4 = (packet[0] as number) >>> 4 === 4;
    const sender = this.#sender(network, this.#bySource.size === 0 ? "" : this.#routedSource(packet, v4));
    if (v4) {
      this.#address4.set(packet.subarray(16, 20), 4);
      checked("sendto", libc().sendto(sender.ipv4, packet, packet.length, 0, this.#address4, 16));
    } else {
      this.#address6.set(packet.subarray(24, 40), 8);
      const result = libc().sendto(sender.ipv6, packet, packet.length, 0, this.#address6, 28);
      // The neighbour table is one for all namespaces; after a flood it is full for a while, and says so like
      // this. Lost, then, as on a wire: senders retransmit.
      if (result < 0 && koffi.errno() === koffi.os.errno["EINVAL"]) return;
      checked("sendto", result);
    }
  }

  /** A whole Ethernet frame. */
  sendFrame(network: string, frame: Uint8Array): void {
    const index = [...this.#networkOf].find(([, name]) => name === network)?.[0];
    if (index === undefined) throw new Error(`${this.host.name} is not on ${network}`);
    const address = Buffer.alloc(20);
    address.writeUInt16LE(AF_PACKET);
    address.writeInt32LE(index, 4);
    checked("sendto", libc().sendto(this.#link, frame, frame.length, 0, address, 20));
  }

  /** Takes what arrived since the last call into `heard`, and returns it. */
  receive(): HeardPacket[] {
    const fresh: HeardPacket[] = [];
    for (;;) {
      this.#fromLength.writeUInt32LE(20);
      const size = Number(
        libc().recvfrom(this.#link, this.#frame, FRAME_SIZE_MAX, 0, this.#from, this.#fromLength),
      );
      if (size < 0) break;
      const packet = readPacket({
        wallMs: performance.timeOrigin + performance.now(),
        bytes: Uint8Array.from(this.#frame.subarray(0, size)),
      });
      if (packet === undefined) continue;
      const network = this.#networkOf.get(this.#from.readInt32LE(4)) ?? "?";
      fresh.push({ ...packet, network, outgoing: this.#from[10] === PACKET_OUTGOING });
    }
    this.heard.push(...fresh);
    if (this.heard.length > HEARD_COUNT_MAX) this.heard.splice(0, HEARD_COUNT_MAX / 2);
    return fresh;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const senders = [...this.#senders.values()].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
    for (const fd of [this.#link, ...this.#guards, ...senders]) libc().close(fd);
  }

  #routedSource(packet: Uint8Array, v4: boolean): Address | "" {
    const source = addressFromBytes(v4 ? packet.subarray(12, 16) : packet.subarray(8, 24));
    return this.#bySource.has(source) ? source : "";
  }

  #sender(network: string, source: Address | ""): { readonly ipv4: number; readonly ipv6: number } {
    const key = `${network} ${source}`;
    const known = this.#senders.get(key);
    if (known !== undefined) return known;
    const made = inNamespace(this.host.namespace, () => {
      const sockets = { ipv4: open(AF_INET, IPPROTO_RAW), ipv6: open(AF_INET6, IPPROTO_RAW) };
      option(sockets.ipv4, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
      option(sockets.ipv6, IPPROTO_IPV6, IPV6_HDRINCL, 1);
      for (const fd of network === "" ? [] : [sockets.ipv4, sockets.ipv6]) {
        const name = Buffer.from(`${network}\0`);
        checked("SO_BINDTODEVICE", libc().setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length));
      }
      if (source === "") return sockets;
      if (source.includes(":")) bindTo(sockets.ipv6, AF_INET6, source);
      else bindTo(sockets.ipv4, AF_INET, source);
      return sockets;
    });
    this.#senders.set(key, made);
    return made;
  }
}

/** The kernel then asks for the route of this source. */
function bindTo(fd: number, family: number, source: Address): void {
  const address = Buffer.alloc(family === AF_INET ? 16 : 28);
  address.writeUInt16LE(family);
  address.set(addressBytes(source), family === AF_INET ? 4 : 8);
  checked("bind", libc().bind(fd, address, address.length));
}

function open(domain: number, protocol: number): number {
  return checked("socket", libc().socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

function option(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  checked("setsockopt", libc().setsockopt(fd, level, name, bytes, 4));
}
