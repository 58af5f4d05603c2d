// Sends whole Ethernet frames through AF_PACKET (packet(7)).
import { HoldfastError } from "@holdfast/model";
import koffi from "koffi";

export interface FrameSender {
  /** false: the kernel refused the frame. */
  send(interfaceIndex: number, frame: Uint8Array): boolean;
  close(): void;
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
/** struct sockaddr_ll: family, protocol, ifindex, hatype, pkttype, halen, address of 8 bytes. */
const SOCKADDR_LL_SIZE = 20;

/** Throws ANNOUNCER_NOT_PERMITTED without CAP_NET_RAW. */
export function openPacketSocket(): FrameSender {
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const sendto = libc.func(
    "int64_t sendto(int fd, const uint8_t *bytes, size_t size, int flags, const uint8_t *address, uint32_t length)",
  );
  const close = libc.func("int close(int fd)");
  // Protocol 0: it sends and never receives, so no packet of the machine is copied for it.
  const fd: number = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new HoldfastError("ANNOUNCER_NOT_PERMITTED", { errno: koffi.errno() });
  const address = Buffer.alloc(SOCKADDR_LL_SIZE);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt8(6, 11);
  let open = true;
  return {
    send(interfaceIndex, frame) {
      if (!open) return false;
      // Destination and ethertype repeat what the frame says: EtherType in network order, MAC after it.
      address.set(frame.subarray(12, 14), 2);
      address.writeInt32LE(interfaceIndex, 4);
      address.set(frame.subarray(0, 6), 12);
      return sendto(fd, frame, frame.length, 0, address, SOCKADDR_LL_SIZE) === frame.length;
    },
    close() {
      if (open) close(fd);
      open = false;
    },
  };
}
