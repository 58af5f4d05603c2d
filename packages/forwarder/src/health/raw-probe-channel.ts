// Probes over raw sockets. The kernel adds the IP header, and with it the node's own address on the way to
// the endpoint. While such a socket is open, a kernel without SCTP does not answer INIT-ACKs with "protocol
// unreachable"; one with SCTP answers ABORT, for which the endpoint has no association.

import { type Address, addressBytes, addressFromBytes, familyOf, HoldfastError } from "@holdfast/model";
import { IpHeader, internetChecksum, PROTOCOL } from "@holdfast/sctp";
import koffi from "koffi";
import { layOutPacketInfo, PACKET_INFO4, PACKET_INFO6 } from "../fast-path/packet-info.ts";
import { ERRNO, errno, errnoName, libc } from "../kernel/libc.ts";
import { sendMessage } from "../kernel/message.ts";
import { AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from "../kernel/numbers.ts";
import type { ProbeChannel } from "./probe.ts";

const RECEIVE_SIZE = 65_536;
/** Packets read in one turn of the event loop. */
const TURN_COUNT_MAX = 64;
const ICMP_HEADER_SIZE = 8;
/** Destination unreachable; a host without SCTP says protocol (2) or port unreachable (3). */
const ICMP_UNREACHABLE = 3;
const ICMP_REFUSALS: ReadonlySet<number> = new Set([2, 3]);
const ICMP_FRAGMENTATION_NEEDED = 4;
const ICMP_ECHO = 8;
const ICMP_ECHO_REPLY = 0;
const ICMPV6_ECHO = 128;
const ICMPV6_ECHO_REPLY = 129;
const ICMPV6_UNREACHABLE = 1;
const ICMPV6_PORT_UNREACHABLE = 4;
/** RFC 4443 §3.4: what "protocol unreachable" is in IPv6. */
const ICMPV6_PARAMETER_PROBLEM = 4;
const ICMPV6_UNKNOWN_NEXT_HEADER = 1;

interface Sockets {
  readonly sctp: number;
  readonly icmp: number;
}

export class RawProbeChannel implements ProbeChannel {
  readonly #deviceFor: (to: Address) => number;
  readonly #ipv4: Sockets;
  readonly #ipv6: Sockets | undefined;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);
  readonly #polls: ReturnType<typeof koffi.node.poll>[] = [];
  #packetListener: ((packet: Uint8Array) => void) | undefined;
  #echoListener: ((payload: Uint8Array) => void) | undefined;
  #unreachableListener: ((to: Address, quoted: Uint8Array, refused: boolean) => void) | undefined;

  /**
   * Throws RAW_SOCKET_REFUSED without CAP_NET_RAW. `deviceFor`: index of the VRF's device to send in; 0:
   * none.
   */
  constructor(deviceFor: (to: Address) => number = () => 0) {
    this.#deviceFor = deviceFor;
    const sctp4 = open(AF_INET, PROTOCOL.SCTP);
    const icmp4 = open(AF_INET, PROTOCOL.ICMP);
    if (sctp4 === undefined || icmp4 === undefined) {
      throw new HoldfastError("RAW_SOCKET_REFUSED", { reason: "no IPv4" });
    }
    this.#ipv4 = { sctp: sctp4, icmp: icmp4 };
    const sctp6 = open(AF_INET6, PROTOCOL.SCTP);
    const icmp6 = open(AF_INET6, PROTOCOL.ICMPV6);
    this.#ipv6 = sctp6 === undefined || icmp6 === undefined ? undefined : { sctp: sctp6, icmp: icmp6 };
    // IPv4 raw sockets hand over the IP header, IPv6 ones do not.
    this.#listen(this.#ipv4.sctp, (bytes) => this.#sctp(afterIpv4Header(bytes)));
    this.#listen(this.#ipv4.icmp, (bytes) => this.#icmp(afterIpv4Header(bytes), 4));
    if (this.#ipv6 !== undefined) {
      this.#listen(this.#ipv6.sctp, (bytes) => this.#sctp(bytes));
      this.#listen(this.#ipv6.icmp, (bytes) => this.#icmp(bytes, 6));
    }
  }

  send(to: Address, packet: Uint8Array): boolean {
    const sockets = familyOf(to) === 4 ? this.#ipv4 : this.#ipv6;
    return sockets !== undefined && this.#sendTo(sockets.sctp, packet, to);
  }

  ping(to: Address, payload: Uint8Array): boolean {
    const sockets = familyOf(to) === 4 ? this.#ipv4 : this.#ipv6;
    if (sockets === undefined) return false;
    const message = new Uint8Array(ICMP_HEADER_SIZE + payload.length);
    message[0] = familyOf(to) === 4 ? ICMP_ECHO : ICMPV6_ECHO;
    message.set(payload, ICMP_HEADER_SIZE);
    // Of ICMPv6 the kernel fills it in.
    const checksum = internetChecksum(message, 0, message.length);
    message[2] = checksum >>> 8;
    message[3] = checksum & 0xff;
    return this.#sendTo(sockets.icmp, message, to);
  }

  /** The kernel chooses the source; in a VRF one of that VRF's. */
  #sendTo(fd: number, packet: Uint8Array, to: Address): boolean {
    const address = socketAddress(to);
    const device = this.#deviceFor(to);
    if (device === 0)
      return (
        libc().sendto(fd, packet, packet.length, MSG_DONTWAIT, address, address.length) === packet.length
      );
    const info = familyOf(to) === 4 ? PACKET_INFO4 : PACKET_INFO6;
    const control = Buffer.alloc(info.size);
    layOutPacketInfo(new DataView(control.buffer, control.byteOffset, info.size), 0, info);
    control.writeUInt32LE(device, info.device);
    return sendMessage(fd, packet, address, control, MSG_DONTWAIT) === packet.length;
  }

  onEcho(listener: (payload: Uint8Array) => void): void {
    this.#echoListener = listener;
  }

  onPacket(listener: (packet: Uint8Array) => void): void {
    this.#packetListener = listener;
  }

  onUnreachable(listener: (to: Address, quoted: Uint8Array, refused: boolean) => void): void {
    this.#unreachableListener = listener;
  }

  close(): void {
    for (const poll of this.#polls.splice(0)) poll.close();
    for (const sockets of [this.#ipv4, this.#ipv6]) {
      if (sockets === undefined) continue;
      libc().close(sockets.sctp);
      libc().close(sockets.icmp);
    }
  }

  #listen(fd: number, received: (bytes: Uint8Array) => void): void {
    const poll = koffi.node.poll(fd, { readable: true }, () => {
      for (let i = 0; i < TURN_COUNT_MAX; i++) {
        const length = libc().recv(fd, this.#buffer, RECEIVE_SIZE, MSG_DONTWAIT);
        if (length <= 0) return;
        received(this.#buffer.subarray(0, length));
      }
    });
    poll.unref();
    this.#polls.push(poll);
  }

  #sctp(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#packetListener?.(bytes);
  }

  /** Destination unreachable: the quoted packet says to whom. */
  #icmp(bytes: Uint8Array, version: 4 | 6): void {
    if (bytes.length < ICMP_HEADER_SIZE) return;
    if (bytes[0] === (version === 4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY)) {
      this.#echoListener?.(bytes.subarray(ICMP_HEADER_SIZE));
      return;
    }
    const meaning = meaningOf(version, bytes[0] as number, bytes[1] as number);
    if (meaning === undefined) return;
    const quoted = bytes.subarray(ICMP_HEADER_SIZE);
    const ip = new IpHeader();
    // The quoted packet may be cut off; its header must be whole, and an IPv4 one may claim more than is
    // there.
    if (ip.read(quoted, Math.max(quoted.length, claimedSize(quoted))) !== undefined) return;
    if (ip.protocol !== PROTOCOL.SCTP || quoted.length <= ip.payloadOffset) return;
    const to = addressFromBytes(quoted, ip.destinationOffset, ip.addressSize);
    this.#unreachableListener?.(to, quoted.subarray(ip.payloadOffset), meaning === "refused");
  }
}

function meaningOf(version: 4 | 6, type: number, code: number): "refused" | "unreachable" | undefined {
  if (version === 4) {
    if (type !== ICMP_UNREACHABLE || code === ICMP_FRAGMENTATION_NEEDED) return undefined;
    return ICMP_REFUSALS.has(code) ? "refused" : "unreachable";
  }
  if (type === ICMPV6_UNREACHABLE) return code === ICMPV6_PORT_UNREACHABLE ? "refused" : "unreachable";
  return type === ICMPV6_PARAMETER_PROBLEM && code === ICMPV6_UNKNOWN_NEXT_HEADER ? "refused" : undefined;
}

/** Total length as the header says; the header itself must be there. */
function claimedSize(bytes: Uint8Array): number {
  const version = (bytes[0] ?? 0) >>> 4;
  if (version === 4 && bytes.length >= 20) return ((bytes[2] as number) << 8) | (bytes[3] as number);
  if (version === 6 && bytes.length >= 40) return 40 + (((bytes[4] as number) << 8) | (bytes[5] as number));
  return 0;
}

function afterIpv4Header(bytes: Uint8Array): Uint8Array {
  const size = ((bytes[0] ?? 0) & 0x0f) * 4;
  return size >= 20 && bytes.length > size ? bytes.subarray(size) : bytes.subarray(bytes.length);
}

/** struct sockaddr_in or sockaddr_in6 without a port. */
function socketAddress(to: Address): Uint8Array {
  const isIpv4 = familyOf(to) === 4;
  const address = Buffer.alloc(isIpv4 ? 16 : 28);
  address.writeUInt16LE(isIpv4 ? AF_INET : AF_INET6);
  address.set(addressBytes(to), isIpv4 ? 4 : 8);
  return address;
}

/** undefined: this kernel does not have the family. */
function open(family: number, protocol: number): number | undefined {
  const fd = libc().socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd >= 0) return fd;
  if (errno() === ERRNO["EAFNOSUPPORT"]) return undefined;
  throw new HoldfastError("RAW_SOCKET_REFUSED", { reason: errnoName(errno()) });
}
