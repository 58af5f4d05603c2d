// Sends whole IP packets that the kernel routes: raw sockets with the header included, which accept a source that is
// not this host's.

import { HoldfastError } from "@holdfast/model";
import {
  IPV4_DESTINATION_OFFSET,
  IPV4_HEADER_SIZE,
  IPV4_SOURCE_OFFSET,
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_SOURCE_OFFSET,
} from "@holdfast/sctp";
import { ERRNO, errno, errnoName, libc, putAddress } from "../../kernel/libc.ts";
import {
  AF_INET,
  AF_INET6,
  AF_PACKET,
  MSG_DONTWAIT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
} from "../../kernel/numbers.ts";
import {
  IPV6_FREEBIND,
  layOutPacketInfo,
  PACKET_INFO4,
  PACKET_INFO6,
  type PacketInfo,
} from "../packet-info.ts";

const IPPROTO_RAW = 255;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const SO_SNDBUF = 7;
const IP_MTU_DISCOVER = 10;
const IP_PMTUDISC_DONT = 0;
const IPV6_HDRINCL = 36;
/** A burst of the slow path's answers has to fit: what does not is a lost packet. */
const SEND_BUFFER_BYTES = 4 * 1024 * 1024;

/** struct msghdr, with the iovec behind it. */
const MESSAGE_SIZE = 56;
const VECTOR_SIZE = 16;

/** A raw socket of one family, and the message that is filled for each packet. */
class FamilySender {
  readonly fd: number;
  readonly #info: PacketInfo;
  readonly #message = Buffer.alloc(MESSAGE_SIZE);
  readonly #vector = Buffer.alloc(VECTOR_SIZE);
  readonly #address: Buffer;
  readonly #control: Buffer;

  constructor(family: number, info: PacketInfo) {
    this.fd = open(family);
    this.#info = info;
    this.#address = Buffer.alloc(family === AF_INET ? 16 : 28);
    this.#address.writeUInt16LE(family);
    this.#control = Buffer.alloc(info.size);
    layOutPacketInfo(new DataView(this.#control.buffer, this.#control.byteOffset, info.size), 0, info);
    putAddress(this.#message, 0, this.#address);
    this.#message.writeUInt32LE(this.#address.length, 8);
    putAddress(this.#message, 16, this.#vector);
    this.#message.writeBigUInt64LE(1n, 24);
    putAddress(this.#message, 32, this.#control);
    this.#message.writeBigUInt64LE(BigInt(info.size), 40);
  }

  send(packet: Uint8Array, source: Uint8Array, destination: Uint8Array, device: number): boolean {
    // sin_addr stands at 4, sin6_addr at 8.
    this.#address.set(destination, destination.length === 4 ? 4 : 8);
    this.#control.set(source, this.#info.source);
    this.#control.writeUInt32LE(device, this.#info.device);
    putAddress(this.#vector, 0, packet);
    this.#vector.writeBigUInt64LE(BigInt(packet.length), 8);
    return libc().sendmsg(this.fd, this.#message, MSG_DONTWAIT) === packet.length;
  }
}

export class RawSender {
  readonly #ipv4 = new FamilySender(AF_INET, PACKET_INFO4);
  readonly #ipv6 = new FamilySender(AF_INET6, PACKET_INFO6);
  readonly #vrfOf: (source: Uint8Array, destination: Uint8Array) => number;
  #packet = -1;
  readonly #addressLink = Buffer.alloc(20);
  /** By errno name. */
  readonly failures = new Map<string, number>();

  /** Throws RAW_SOCKET_REFUSED without CAP_NET_RAW. `vrfOf`: index of the VRF's device in which to send; 0: none. */
  constructor(vrfOf: (source: Uint8Array, destination: Uint8Array) => number) {
    this.#vrfOf = vrfOf;
    // The packet is as it is: its own don't-fragment bit decides, not the route's MTU.
    setOption(this.#ipv4.fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    setOption(this.#ipv6.fd, IPPROTO_IPV6, IPV6_HDRINCL, 1);
    setOption(this.#ipv6.fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    this.#addressLink.writeUInt16LE(AF_PACKET);
  }

  /** Header first, checksums done. false: the kernel refused it; `failures` says why. */
  send(packet: Uint8Array): boolean {
    let sent: boolean;
    if ((packet[0] as number) >>> 4 === 4 && packet.length >= IPV4_HEADER_SIZE) {
      const source = packet.subarray(IPV4_SOURCE_OFFSET, IPV4_SOURCE_OFFSET + 4);
      const destination = packet.subarray(IPV4_DESTINATION_OFFSET, IPV4_DESTINATION_OFFSET + 4);
      sent = this.#ipv4.send(packet, source, destination, this.#vrfOf(source, destination));
    } else if ((packet[0] as number) >>> 4 === 6 && packet.length >= IPV6_HEADER_SIZE) {
      const source = packet.subarray(IPV6_SOURCE_OFFSET, IPV6_SOURCE_OFFSET + 16);
      const destination = packet.subarray(IPV6_DESTINATION_OFFSET, IPV6_DESTINATION_OFFSET + 16);
      sent = this.#ipv6.send(packet, source, destination, this.#vrfOf(source, destination));
    } else {
      return false;
    }
    return sent || this.#failed();
  }

  /** A whole frame out of one interface, header first. */
  sendFrame(interfaceIndex: number, frame: Uint8Array): boolean {
    if (this.#packet < 0) this.#packet = openSocket(AF_PACKET, 0);
    this.#addressLink.writeInt32LE(interfaceIndex, 4);
    const sent = libc().sendto(this.#packet, frame, frame.length, MSG_DONTWAIT, this.#addressLink, 20);
    return sent === frame.length || this.#failed();
  }

  close(): void {
    libc().close(this.#ipv4.fd);
    libc().close(this.#ipv6.fd);
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
