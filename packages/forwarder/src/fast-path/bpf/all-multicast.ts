// Neighbour solicitations for a VIP go to a group that the kernel has not joined: the interfaces have to take all
// multicast frames, or the network card filters them out before any program sees them.

import { libc } from "../../kernel/libc.ts";
import {
  AF_PACKET,
  PACKET_ADD_MEMBERSHIP,
  PACKET_MR_ALLMULTI,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_PACKET,
} from "../../kernel/numbers.ts";

/** Lasts until the returned function is called, or the process ends: a dead daemon's VIPs are not answered for. */
export function receiveAllMulticast(interfaceIndexes: readonly number[]): () => void {
  // Protocol 0: the socket hears nothing itself.
  const fd = libc().socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) return () => {};
  for (const index of interfaceIndexes) {
    const request = Buffer.alloc(16);
    request.writeInt32LE(index);
    request.writeUInt16LE(PACKET_MR_ALLMULTI, 4);
    libc().setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request, request.length);
  }
  return () => libc().close(fd);
}
