// TPACKET_V3: the kernel writes frames into blocks of memory that we share with it, and hands over a block
// when it is full or a millisecond old. Linux, Documentation/networking/packet_mmap.rst.
// An interface has two. Devices and local stacks put segments of TCP and datagrams of UDP together, and only
// the header of virtio before a frame (PACKET_VNET_HDR) says what size they had; but it has no word for
// SCTP's, which the kernel drops then, and a frame that is sent through such a socket must begin with one. So
// TCP and UDP have their own.
import { libc, setOption } from "../../kernel/libc.ts";
import { type Mapping, mapMemory } from "../../kernel/memory.ts";
import { SOL_PACKET } from "../../kernel/numbers.ts";
import { openPacketSocket, receiveAllMulticast } from "../../kernel/packet-socket.ts";
import { attachFilter, type Share } from "./socket-filter.ts";

const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const PACKET_VNET_HDR = 15;
const TPACKET_V3 = 2;

/**
 * The kernel hands over a block every millisecond in which anything came, however little, so it takes many
 * small ones to bear an event loop that is busy for half a second: 512. A block holds three jumbo frames.
 * One of TCP and UDP has to hold the longest super-packet, 64 KiB and its headers; to spare memory there are
 * half as many.
 */
const BLOCKS: Readonly<Record<Share, { readonly size: number; readonly count: number }>> = {
  plain: { size: 1 << 17, count: 256 },
  others: { size: 1 << 15, count: 512 },
};
const FRAME_SIZE = 2048;
/**
 * Milliseconds after which the kernel hands over a block that is not full: the latency of a lonely packet.
 */
const RETIRE_MS = 1;

// struct tpacket_block_desc and tpacket_hdr_v1 inside it.
const BLOCK_STATUS_OFFSET = 8;
const BLOCK_PACKET_COUNT_OFFSET = 12;
const BLOCK_FIRST_OFFSET = 16;
const BLOCK_USER = 1;
const BLOCK_KERNEL = 0;

// struct tpacket3_hdr, and the sockaddr_ll behind it.
const NEXT_OFFSET = 0;
const SNAP_LENGTH_OFFSET = 12;
const LENGTH_OFFSET = 16;
const STATUS_OFFSET = 20;
const MAC_OFFSET = 24;
const NET_OFFSET = 26;
const PACKET_TYPE_OFFSET = 48 + 10;

/** struct virtio_net_hdr, right before the frame. */
const VIRTIO_HEADER_SIZE = 10;
const SEGMENT_TYPE_OFFSET = 1;
const SEGMENT_SIZE_OFFSET = 4;
const SEGMENT_TYPE_NONE = 0;

/** The checksum is left to a device that is not there: CHECKSUM_PARTIAL. */
const STATUS_CHECKSUM_NOT_READY = 1 << 3;
/** A tag was taken off the frame: it belongs to a VLAN's interface, which hears it, too. */
const STATUS_VLAN_VALID = 1 << 4;

const PACKET_OTHER_HOST = 3;

/** One frame in the ring, valid until the next call. */
export interface RingFrame {
  /** Offsets into `bytes` of the ring. */
  linkOffset: number;
  networkOffset: number;
  end: number;
  checksumPartial: boolean;
  /** Of a super-packet: bytes of payload of each segment or datagram but the last. 0: it is none. */
  segmentSize: number;
}

export class ReceiveRing {
  readonly interfaceIndex: number;
  readonly fd: number;
  readonly share: Share;
  /** Frames that did not fit a block. */
  truncatedCount = 0;
  readonly #mapping: Mapping;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #blockSize: number;
  readonly #blockCount: number;
  #block = 0;
  /** Frames of the current block that are still to come. */
  #left = 0;
  #next = 0;
  #inBlock = false;
  #dropCount = 0;

  constructor(interfaceIndex: number, share: Share) {
    this.interfaceIndex = interfaceIndex;
    this.share = share;
    const { size, count } = BLOCKS[share];
    this.#blockSize = size;
    this.#blockCount = count;
    this.fd = openPacketSocket(interfaceIndex, (fd) => {
      setOption(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3);
      if (share === "plain") setOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
      attachFilter(fd, [], share);
      const frameCount = (size / FRAME_SIZE) * count;
      const request = new Uint32Array([size, count, FRAME_SIZE, frameCount, RETIRE_MS, 0, 0]);
      setOption(fd, SOL_PACKET, PACKET_RX_RING, new Uint8Array(request.buffer));
    });
    try {
      receiveAllMulticast(this.fd, interfaceIndex);
      this.#mapping = mapMemory(size * count, this.fd);
    } catch (error) {
      libc().close(this.fd);
      throw error;
    }
    this.#view = new DataView(this.#mapping.bytes.buffer);
    this.#words = new Int32Array(this.#mapping.bytes.buffer);
  }

  /** The ring's memory. Frames may be changed in place until `release`. */
  get bytes(): Uint8Array {
    return this.#mapping.bytes;
  }

  /** Where `bytes` lies, for the kernel. */
  get address(): bigint {
    return this.#mapping.address;
  }

  /** Lets in the share's packets for these addresses (4 or 16 bytes each), beside ARP and IPv6 multicast. */
  setFilter(addresses: readonly Uint8Array[]): void {
    attachFilter(this.fd, addresses, this.share);
  }

  /** Whether a block waits to be read. */
  get ready(): boolean {
    return this.#inBlock || (this.#status() & BLOCK_USER) !== 0;
  }

  /**
   * Fills `frame` with the next one; false at the end of a block: call `release`, then go on while `ready`.
   * Frames for other hosts and of VLANs are skipped.
   */
  read(frame: RingFrame): boolean {
    if (!this.#inBlock) {
      if ((this.#status() & BLOCK_USER) === 0) return false;
      const base = this.#block * this.#blockSize;
      this.#inBlock = true;
      this.#left = this.#view.getUint32(base + BLOCK_PACKET_COUNT_OFFSET, true);
      this.#next = base + this.#view.getUint32(base + BLOCK_FIRST_OFFSET, true);
    }
    const view = this.#view;
    while (this.#left > 0) {
      const at = this.#next;
      this.#left -= 1;
      this.#next = at + view.getUint32(at + NEXT_OFFSET, true);
      const snapLength = view.getUint32(at + SNAP_LENGTH_OFFSET, true);
      const status = view.getUint32(at + STATUS_OFFSET, true);
      if (snapLength !== view.getUint32(at + LENGTH_OFFSET, true)) {
        this.truncatedCount += 1;
        continue;
      }
      if ((status & STATUS_VLAN_VALID) !== 0) continue;
      if (view.getUint8(at + PACKET_TYPE_OFFSET) === PACKET_OTHER_HOST) continue;
      frame.linkOffset = at + view.getUint16(at + MAC_OFFSET, true);
      frame.networkOffset = at + view.getUint16(at + NET_OFFSET, true);
      frame.end = frame.linkOffset + snapLength;
      frame.checksumPartial = (status & STATUS_CHECKSUM_NOT_READY) !== 0;
      frame.segmentSize =
        this.share === "plain" ? this.#segmentSize(frame.linkOffset - VIRTIO_HEADER_SIZE) : 0;
      return true;
    }
    return false;
  }

  /** Gives the current block back to the kernel once all its frames were read. */
  release(): void {
    if (!this.#inBlock || this.#left > 0) return;
    Atomics.store(this.#words, (this.#block * this.#blockSize + BLOCK_STATUS_OFFSET) / 4, BLOCK_KERNEL);
    this.#inBlock = false;
    this.#block = (this.#block + 1) % this.#blockCount;
  }

  /** Frames that found the ring full, since it was opened. */
  dropCount(): number {
    const statistics = new Uint8Array(12);
    const length = new Uint8Array([12, 0, 0, 0]);
    // Reading resets the kernel's counters.
    if (libc().getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, statistics, length) === 0) {
      this.#dropCount += new DataView(statistics.buffer).getUint32(4, true);
    }
    return this.#dropCount;
  }

  /** Nothing may touch `bytes` afterwards. */
  close(): void {
    libc().close(this.fd);
    this.#mapping.unmap();
  }

  #segmentSize(header: number): number {
    if (this.#view.getUint8(header + SEGMENT_TYPE_OFFSET) === SEGMENT_TYPE_NONE) return 0;
    return this.#view.getUint16(header + SEGMENT_SIZE_OFFSET, true);
  }

  #status(): number {
    return Atomics.load(this.#words, (this.#block * this.#blockSize + BLOCK_STATUS_OFFSET) / 4);
  }
}
