// AF_PACKET sockets: whole frames of one interface.

import { check, ERRNO, errno, libc, openSocket, SystemCallError, setOption } from "./libc.ts";
import {
  AF_PACKET,
  PACKET_ADD_MEMBERSHIP,
  PACKET_MR_ALLMULTI,
  SOCK_RAW,
  SOL_PACKET,
  SOL_SOCKET,
} from "./numbers.ts";

export const ETH_HEADER_SIZE = 14;
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;
const ETH_P_ALL = 0x0003;

const PACKET_IGNORE_OUTGOING = 23;
const SO_RCVBUFFORCE = 33;

/** struct sockaddr_ll for one interface. */
function linkAddress(interfaceIndex: number, protocol: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setUint16(2, protocol);
  view.setInt32(4, interfaceIndex, true);
  return bytes;
}

/**
 * A socket that sees and sends frames of one interface. `setUp` runs before it hears anything, so
 * that a ring or a filter misses nothing and sees nothing that it should not.
 */
export function openPacketSocket(interfaceIndex: number, setUp: (fd: number) => void = () => {}): number {
  // Protocol 0: deaf until bound.
  const fd = openSocket(AF_PACKET, SOCK_RAW, 0);
  try {
    setUp(fd);
    setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    const address = linkAddress(interfaceIndex, ETH_P_ALL);
    check("bind", libc().bind(fd, address, address.length));
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** All multicast frames, as neighbour solicitations for addresses that the kernel does not have are. */
export function receiveAllMulticast(fd: number, interfaceIndex: number): void {
  const request = new Uint8Array(16);
  const view = new DataView(request.buffer);
  view.setInt32(0, interfaceIndex, true);
  view.setUint16(4, PACKET_MR_ALLMULTI, true);
  setOption(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request);
}

export function setReceiveBuffer(fd: number, bytes: number): void {
  setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes);
}

/** false: the interface is down or its queue full. */
export function sendFrame(fd: number, frame: Uint8Array): boolean {
  return Number(libc().send(fd, frame, frame.length, 0)) === frame.length;
}

/** One frame into `buffer`; its length, or undefined when none waits. */
export function receiveFrame(fd: number, buffer: Uint8Array): number | undefined {
  const length = Number(libc().recv(fd, buffer, buffer.length, 0));
  if (length >= 0) return length;
  const code = errno();
  if (code === ERRNO["EAGAIN"] || code === ERRNO["ENETDOWN"] || code === ERRNO["EINTR"]) return undefined;
  throw new SystemCallError("recv", code);
}
