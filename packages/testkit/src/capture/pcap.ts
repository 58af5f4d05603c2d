// Reading classic pcap, as tcpdump writes it (nanosecond or microsecond, little-endian, Ethernet).

export interface CapturedFrame {
  /** CLOCK_REALTIME in ms. */
  readonly wallMs: number;
  /** Ethernet frame, header first. */
  readonly bytes: Uint8Array;
}

const MAGIC_MICRO = 0xa1b2c3d4;
const MAGIC_NANO = 0xa1b23c4d;
const FILE_HEADER_SIZE = 24;
const RECORD_HEADER_SIZE = 16;

/** Complete records of a capture; a last record that is still being written is left out. */
export function parsePcap(file: Uint8Array): CapturedFrame[] {
  if (file.length < FILE_HEADER_SIZE) return [];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = view.getUint32(0, true);
  if (magic !== MAGIC_MICRO && magic !== MAGIC_NANO)
    throw new Error(`not a pcap file: ${magic.toString(16)}`);
  const fraction = magic === MAGIC_NANO ? 1e6 : 1e3;
  const frames: CapturedFrame[] = [];
  for (let offset = FILE_HEADER_SIZE; offset + RECORD_HEADER_SIZE <= file.length; ) {
    const length = view.getUint32(offset + 8, true);
    const start = offset + RECORD_HEADER_SIZE;
    if (start + length > file.length) break;
    const onTheWire = view.getUint32(offset + 12, true);
    if (onTheWire > length)
      throw new Error(`a packet of ${onTheWire} bytes, of which ${length} were captured`);
    frames.push({
      wallMs: view.getUint32(offset, true) * 1000 + view.getUint32(offset + 4, true) / fraction,
      bytes: file.subarray(start, start + length),
    });
    offset = start + length;
  }
  return frames;
}
