// A changed port changes the CRC32c by an amount that depends on the difference and the length only:
//
//   crc' = crc ^ (Δ · x^(8·length) mod P)
//
// since CRC is linear over GF(2), the ports are the packet's first four bytes, and the initial value and
// final XOR cancel out. Nothing of the packet is read, and a corrupt packet stays corrupt by exactly the same
// bits.
//
// Multiplying by x^(8·2^k) is linear, so four 256-entry tables do it (64 KiB for all sixteen k); a length is
// the product of its bits.
import { POLYNOMIAL } from "./crc32c.ts";

/** Lengths that fit an IP packet. */
const LENGTH_BIT_COUNT = 16;

const POWERS = makePowers();

/** In the reflected representation a factor x is a shift to the right. */
function timesX(value: number): number {
  return (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
}

function makePowers(): Int32Array {
  const tables = new Int32Array(LENGTH_BIT_COUNT * 4 * 256);
  // Images of the 32 basis vectors under "times x^8", squared from one k to the next.
  let images = Array.from({ length: 32 }, (_, bit) => {
    let value = 1 << bit;
    for (let i = 0; i < 8; i++) value = timesX(value);
    return value | 0;
  });
  for (let k = 0; k < LENGTH_BIT_COUNT; k++) {
    for (let slice = 0; slice < 4; slice++) {
      const base = (k * 4 + slice) * 256;
      for (let byte = 1; byte < 256; byte++) {
        const low = byte & -byte;
        const image = images[slice * 8 + 31 - Math.clz32(low)] as number;
        tables[base + byte] = (tables[base + (byte ^ low)] as number) ^ image;
      }
    }
    images = images.map((image) => timesPower(tables, k, image));
  }
  return tables;
}

function timesPower(tables: Int32Array, k: number, value: number): number {
  const base = k << 10;
  return (
    (tables[base + (value & 0xff)] as number) ^
    (tables[base + 256 + ((value >>> 8) & 0xff)] as number) ^
    (tables[base + 512 + ((value >>> 16) & 0xff)] as number) ^
    (tables[base + 768 + (value >>> 24)] as number)
  );
}

/** XOR of old and new ports, as the checksum sees their four bytes (first byte lowest). Signed. */
export function portDelta(
  oldSourcePort: number,
  oldDestinationPort: number,
  newSourcePort: number,
  newDestinationPort: number,
): number {
  const source = oldSourcePort ^ newSourcePort;
  const destination = oldDestinationPort ^ newDestinationPort;
  return (source >>> 8) | ((source & 0xff) << 8) | ((destination >>> 8) << 16) | ((destination & 0xff) << 24);
}

/**
 * What to XOR into the checksum (as `readChecksum` returns it) when the ports change by `delta` in a packet
 * of `length` bytes, common header included, 4 … 65,535. Signed; zero for a zero delta.
 */
export function checksumChange(delta: number, length: number): number {
  let value = delta;
  for (let k = 0, bits = length; bits !== 0; k++, bits >>>= 1) {
    if (bits & 1) value = timesPower(POWERS, k, value);
  }
  return value;
}
