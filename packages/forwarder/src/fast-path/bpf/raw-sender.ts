// Sends whole IP packets that the kernel routes: raw sockets with the header included, which accept a source that is
// not this host's.

import { HoldfastError } from "@holdfast/model";
import {
  IPV4_DESTINATION_OFFSET,
  IPV4_HEADER_SIZE,
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_SIZE,
} from "@holdfast/sctp";
import { ERRNO, errno, errnoName, libc } from "./native.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_RAW = 255;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DONT = 0;
const IPV6_HDRINCL = 36;
const MSG_DONTWAIT = 0x40;
/** A burst of the slow path's answers has to fit: what does not is a lost packet. */
const SEND_BUFFER_BYTES = 4 * 1024 * 1024;

export class RawSender {
  readonly #ipv4: number;
  readonly #ipv6: number;
  #packet = -1;
  readonly #address4 = Buffer.alloc(16);
  readonly #address6 = Buffer.alloc(28);
  readonly #addressLink = Buffer.alloc(20);
  /** By errno name. */
  readonly failures = new Map<string, number>();

  /** Throws BPF_NOT_PERMITTED without CAP_NET_RAW. `mark`: SO_MARK of what is sent; 0 for none. */
  constructor() {
    this.#ipv4 = open(AF_INET);
    this.#ipv6 = open(AF_INET6);
    // The packet is as it is: its own don't-fragment bit decides, not the route's MTU.
    setOption(this.#ipv4, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    setOption(this.#ipv6, IPPROTO_IPV6, IPV6_HDRINCL, 1);
    this.#address4.writeUInt16LE(AF_INET);
    this.#address6.writeUInt16LE(AF_INET6);
    this.#addressLink.writeUInt16LE(AF_PACKET);
  }

  /** Header first, checksums done. false: the kernel refused it; `failures` says why. */
  send(packet: Uint8Array): boolean {
    let sent: number;
    if ((packet[0] as number) >>> 4 === 4 && packet.length >= IPV4_HEADER_SIZE) {
      this.#address4.set(packet.subarray(IPV4_DESTINATION_OFFSET, IPV4_DESTINATION_OFFSET + 4), 4);
      sent = libc().sendto(this.#ipv4, packet, packet.length, MSG_DONTWAIT, this.#address4, 16);
    } else if ((packet[0] as number) >>> 4 === 6 && packet.length >= IPV6_HEADER_SIZE) {
      this.#address6.set(packet.subarray(IPV6_DESTINATION_OFFSET, IPV6_DESTINATION_OFFSET + 16), 8);
      sent = libc().sendto(this.#ipv6, packet, packet.length, MSG_DONTWAIT, this.#address6, 28);
    } else {
      return false;
    }
    return sent === packet.length || this.#failed();
  }

  /** A whole frame out of one interface, header first. */
  sendFrame(interfaceIndex: number, frame: Uint8Array): boolean {
    if (this.#packet < 0) this.#packet = openSocket(AF_PACKET, 0);
    this.#addressLink.writeInt32LE(interfaceIndex, 4);
    const sent = libc().sendto(this.#packet, frame, frame.length, MSG_DONTWAIT, this.#addressLink, 20);
    return sent === frame.length || this.#failed();
  }

  close(): void {
    libc().close(this.#ipv4);
    libc().close(this.#ipv6);
    if (this.#packet >= 0) libc().close(this.#packet);
  }

  #failed(): false {
    const name = errnoName(errno());
    this.failures.set(name, (this.failures.get(name) ?? 0) + 1);
    return false;
  }
}

function open(family: number): number {
  const fd = openSocket(family, IPPROTO_RAW);
  const size = Buffer.alloc(4);
  size.writeInt32LE(SEND_BUFFER_BYTES);
  libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, size, 4);
  return fd;
}

function openSocket(family: number, protocol: number): number {
  const fd = libc().socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd >= 0) return fd;
  // A kernel without IPv6 has nothing to send there.
  if (family === AF_INET6 && errno() === ERRNO["EAFNOSUPPORT"]) return -1;
  throw new HoldfastError("RAW_SOCKET_REFUSED", { reason: errnoName(errno()) });
}

function setOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  libc().setsockopt(fd, level, name, bytes, 4);
}
