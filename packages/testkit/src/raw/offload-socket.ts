// Frames with the mark of checksum offload, as a local SCTP stack in the kernel hands them over: the checksum
// field is empty, and whoever sends the frame to a real wire fills it in.
import type { Host } from "../lab/host.ts";
import { checked, inNamespace, libc } from "./namespace.ts";

const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0o2000000 | 0o4000;
const ETH_P_ALL_BE = 0x0300;
const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const VNET_HEADER_SIZE = 10;
const NEEDS_CHECKSUM = 1;
const SCTP_CHECKSUM_OFFSET = 8;
const FRAME_SIZE_MAX = 66_000;
const PACKET_OUTGOING = 4;

export interface OffloadFrame {
  readonly bytes: Uint8Array;
  /** The checksum is still to be filled in. */
  readonly partial: boolean;
}

export class OffloadSocket {
  readonly #fd: number;
  readonly #address = Buffer.alloc(20);
  readonly #from = Buffer.alloc(20);
  readonly #length = Buffer.alloc(4);
  readonly #buffer = Buffer.alloc(FRAME_SIZE_MAX);
  #closed = false;

  constructor(host: Host, network: string) {
    this.#fd = inNamespace(host.namespace, () => {
      const fd = checked("socket", libc().socket(AF_PACKET, SOCK_RAW_CLOEXEC_NONBLOCK, ETH_P_ALL_BE));
      const on = Buffer.from([1, 0, 0, 0]);
      checked("PACKET_VNET_HDR", libc().setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, on, 4));
      this.#address.writeUInt16LE(AF_PACKET);
      this.#address.writeInt32LE(libc().if_nametoindex(network), 4);
      return fd;
    });
    host.onEnd(() => this.close());
  }

  /** A frame as it is, nothing left to do. */
  send(frame: Uint8Array): void {
    const bytes = new Uint8Array([...new Uint8Array(VNET_HEADER_SIZE), ...frame]);
    checked("sendto", libc().sendto(this.#fd, bytes, bytes.length, 0, this.#address, 20));
  }

  /** `sctpOffset`: where the SCTP header starts in the frame. */
  sendPartial(frame: Uint8Array, sctpOffset: number): void {
    const bytes = Buffer.alloc(VNET_HEADER_SIZE + frame.length);
    bytes[0] = NEEDS_CHECKSUM;
    bytes.writeUInt16LE(sctpOffset, 6);
    bytes.writeUInt16LE(SCTP_CHECKSUM_OFFSET, 8);
    bytes.set(frame, VNET_HEADER_SIZE);
    checked("sendto", libc().sendto(this.#fd, bytes, bytes.length, 0, this.#address, 20));
  }

  /** Frames that arrived since the last call; the host's own are left out. */
  receive(): OffloadFrame[] {
    const frames: OffloadFrame[] = [];
    for (;;) {
      this.#length.writeUInt32LE(20);
      const size = Number(
        libc().recvfrom(this.#fd, this.#buffer, FRAME_SIZE_MAX, 0, this.#from, this.#length),
      );
      if (size < VNET_HEADER_SIZE) return frames;
      if (this.#from[10] === PACKET_OUTGOING) continue;
      frames.push({
        bytes: Uint8Array.from(this.#buffer.subarray(VNET_HEADER_SIZE, size)),
        partial: ((this.#buffer[0] as number) & NEEDS_CHECKSUM) !== 0,
      });
    }
  }

  close(): void {
    if (!this.#closed) libc().close(this.#fd);
    this.#closed = true;
  }
}
