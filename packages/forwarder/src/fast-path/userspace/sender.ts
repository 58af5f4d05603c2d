// Sending whole IP packets through raw sockets: the kernel routes them, finds the neighbour, and accepts a
// source that is not its own. sendmmsg takes a batch with one system call.
import { ERRNO, errno, libc, openSocket, setOption } from "../../kernel/libc.ts";
import { type Mapping, mapMemory } from "../../kernel/memory.ts";
import { AF_INET, AF_INET6, SOCK_RAW, SOL_SOCKET } from "../../kernel/numbers.ts";
import {
  IPV6_FREEBIND,
  layOutPacketInfo,
  PACKET_INFO4,
  PACKET_INFO6,
  type PacketInfo,
} from "../packet-info.ts";

const IPPROTO_RAW = 255;
const IPPROTO_IPV6 = 41;
const IPV6_HDRINCL = 36;
const SO_SNDBUFFORCE = 32;
const SEND_BUFFER_SIZE = 8 << 20;

/** Packets that one system call takes. */
const BATCH_COUNT = 64;

// struct mmsghdr, iovec, sockaddr_in6 and the control message (the larger ones of the two families).
const MESSAGE_SIZE = 64;
const VECTOR_SIZE = 16;
const SOCKET_ADDRESS_SIZE = 28;
const VECTORS = BATCH_COUNT * MESSAGE_SIZE;
const SOCKET_ADDRESSES = VECTORS + BATCH_COUNT * VECTOR_SIZE;
const CONTROLS = SOCKET_ADDRESSES + BATCH_COUNT * SOCKET_ADDRESS_SIZE;
const CONTROL_SIZE = PACKET_INFO6.size;
const ARENA_SIZE = CONTROLS + BATCH_COUNT * CONTROL_SIZE;

/** Where a packet goes: its addresses, and the VRF's device; 0: none. */
export interface Way {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly device: number;
}

/** One raw socket with its batch. */
class FamilySender {
  readonly fd: number;
  readonly #family: number;
  readonly #info: PacketInfo;
  readonly #arena: Mapping;
  readonly #view: DataView;
  readonly #failed: (errno: number) => void;
  #count = 0;

  constructor(family: number, failed: (errno: number) => void) {
    this.#family = family;
    this.#info = family === AF_INET ? PACKET_INFO4 : PACKET_INFO6;
    this.#failed = failed;
    this.fd = openSocket(family, SOCK_RAW, IPPROTO_RAW);
    if (family === AF_INET6) {
      setOption(this.fd, IPPROTO_IPV6, IPV6_HDRINCL, 1);
      setOption(this.fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    }
    setOption(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_SIZE);
    this.#arena = mapMemory(ARENA_SIZE);
    this.#view = new DataView(this.#arena.bytes.buffer);
    this.#layOut();
  }

  #layOut(): void {
    const { address } = this.#arena;
    const nameLength = this.#family === AF_INET ? 16 : SOCKET_ADDRESS_SIZE;
    for (let i = 0; i < BATCH_COUNT; i++) {
      const message = i * MESSAGE_SIZE;
      const name = SOCKET_ADDRESSES + i * SOCKET_ADDRESS_SIZE;
      this.#view.setBigUint64(message, address + BigInt(name), true);
      this.#view.setUint32(message + 8, nameLength, true);
      this.#view.setBigUint64(message + 16, address + BigInt(VECTORS + i * VECTOR_SIZE), true);
      this.#view.setBigUint64(message + 24, 1n, true);
      this.#view.setUint16(name, this.#family, true);
      const control = CONTROLS + i * CONTROL_SIZE;
      this.#view.setBigUint64(message + 32, address + BigInt(control), true);
      this.#view.setBigUint64(message + 40, BigInt(this.#info.size), true);
      layOutPacketInfo(this.#view, control, this.#info);
    }
  }

  /** The packet must stay where it is until `flush`. */
  queue(address: bigint, size: number, { source, destination, device }: Way): void {
    if (this.#count === BATCH_COUNT) this.flush();
    const i = this.#count++;
    this.#view.setBigUint64(VECTORS + i * VECTOR_SIZE, address, true);
    this.#view.setBigUint64(VECTORS + i * VECTOR_SIZE + 8, BigInt(size), true);
    // sin_addr stands at 4, sin6_addr at 8.
    this.#arena.bytes.set(
      destination,
      SOCKET_ADDRESSES + i * SOCKET_ADDRESS_SIZE + (this.#family === AF_INET ? 4 : 8),
    );
    const control = CONTROLS + i * CONTROL_SIZE;
    this.#arena.bytes.set(source, control + this.#info.source);
    this.#view.setUint32(control + this.#info.device, device, true);
  }

  flush(): void {
    const count = this.#count;
    this.#count = 0;
    for (let sent = 0; sent < count; ) {
      const at = this.#arena.address + BigInt(sent * MESSAGE_SIZE);
      const result = libc().sendmmsg(this.fd, at, count - sent, 0);
      if (result > 0) {
        sent += result;
        continue;
      }
      const code = errno();
      if (code === ERRNO["EINTR"]) continue;
      // The first of the rest cannot be sent; the others may.
      this.#failed(code);
      sent += 1;
    }
  }

  close(): void {
    libc().close(this.fd);
    this.#arena.unmap();
  }
}

export class Sender {
  readonly #ipv4: FamilySender;
  readonly #ipv6: FamilySender;

  /** `failed` hears the errno of each packet that the kernel did not take. */
  constructor(failed: (errno: number) => void) {
    this.#ipv4 = new FamilySender(AF_INET, failed);
    try {
      this.#ipv6 = new FamilySender(AF_INET6, failed);
    } catch (error) {
      this.#ipv4.close();
      throw error;
    }
  }

  /** Queues the IP packet of `size` bytes at `address`; it must stay there until `flush`. */
  queue(address: bigint, size: number, way: Way): void {
    (way.destination.length === 4 ? this.#ipv4 : this.#ipv6).queue(address, size, way);
  }

  flush(): void {
    this.#ipv4.flush();
    this.#ipv6.flush();
  }

  close(): void {
    this.#ipv4.close();
    this.#ipv6.close();
  }
}
