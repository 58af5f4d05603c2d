// Neighbour solicitations for a VIP go to a group that the kernel has not joined: the interfaces have to take all
// multicast frames, or the network card filters them out before any program sees them.
import { libc } from "./native.ts";

const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC = 0o2000003;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_ALLMULTI = 2;

/** Lasts until the returned function is called, or the process ends: a dead daemon's VIPs are not answered for. */
export function receiveAllMulticast(interfaceIndexes: readonly number[]): () => void {
  // Protocol 0: the socket hears nothing itself.
  const fd = libc().socket(AF_PACKET, SOCK_RAW_CLOEXEC, 0);
  if (fd < 0) return () => {};
  for (const index of interfaceIndexes) {
    const request = Buffer.alloc(16);
    request.writeInt32LE(index);
    request.writeUInt16LE(PACKET_MR_ALLMULTI, 4);
    libc().setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request, request.length);
  }
  return () => libc().close(fd);
}
