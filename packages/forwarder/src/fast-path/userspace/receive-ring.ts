// TPACKET_V3: the kernel writes frames into blocks of memory that we share with it, and hands over a block
// when it is full or a millisecond old. Linux, Documentation/networking/packet_mmap.rst.
import { libc, setOption } from "../../kernel/libc.ts";
import { type Mapping, mapMemory } from "../../kernel/memory.ts";
import { SOL_PACKET } from "../../kernel/numbers.ts";
import { openPacketSocket, receiveAllMulticast } from "../../kernel/packet-socket.ts";
import { attachFilter } from "./socket-filter.ts";

const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const TPACKET_V3 = 2;

/**
 * The kernel hands over a block every millisecond in which anything came, however little, so it takes many
 * small ones to bear an event loop that is busy for half a second: 512. A block holds three jumbo frames;
 * what is longer is a super-packet of a local stack's segmentation offload, which could not be sent on as it
 * is anyway.
 */
const BLOCK_SIZE = 1 << 15;
const BLOCK_COUNT = 512;
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
}

export class ReceiveRing {
  readonly interfaceIndex: number;
  readonly fd: number;
  /** Frames that did not fit a block. */
  truncatedCount = 0;
  readonly #mapping: Mapping;
  readonly #view: DataView;
  readonly #words: Int32Array;
  #block = 0;
  /** Frames of the current block that are still to come. */
  #left = 0;
  #next = 0;
  #inBlock = false;
  #dropCount = 0;

  constructor(interfaceIndex: number) {
    this.interfaceIndex = interfaceIndex;
    this.fd = openPacketSocket(interfaceIndex, (fd) => {
      setOption(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3);
      attachFilter(fd, []);
      const request = new Uint32Array([
        BLOCK_SIZE,
        BLOCK_COUNT,
        FRAME_SIZE,
        (BLOCK_SIZE / FRAME_SIZE) * BLOCK_COUNT,
        RETIRE_MS,
        0,
        0,
      ]);
      setOption(fd, SOL_PACKET, PACKET_RX_RING, new Uint8Array(request.buffer));
    });
    try {
      receiveAllMulticast(this.fd, interfaceIndex);
      this.#mapping = mapMemory(BLOCK_SIZE * BLOCK_COUNT, this.fd);
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

  /** Lets in packets for these addresses only (4 or 16 bytes each), beside ARP and IPv6 multicast. */
  setFilter(addresses: readonly Uint8Array[]): void {
    attachFilter(this.fd, addresses);
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
      const base = this.#block * BLOCK_SIZE;
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
      return true;
    }
    return false;
  }

  /** Gives the current block back to the kernel once all its frames were read. */
  release(): void {
    if (!this.#inBlock || this.#left > 0) return;
    Atomics.store(this.#words, (this.#block * BLOCK_SIZE + BLOCK_STATUS_OFFSET) / 4, BLOCK_KERNEL);
    this.#inBlock = false;
    this.#block = (this.#block + 1) % BLOCK_COUNT;
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

  #status(): number {
    return Atomics.load(this.#words, (this.#block * BLOCK_SIZE + BLOCK_STATUS_OFFSET) / 4);
  }
}
