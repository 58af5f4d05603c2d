// The tables of program/checksum.h: powers of x modulo the CRC32c polynomial, and the reduction of a product.
import { checksumChange } from "@holdfast/sctp";
import { LIMITS, RODATA } from "./abi.ts";

/** x^0 in the reflected representation. */
const ONE = 0x8000_0000;

/** Fills the programs' .rodata. */
export function fillTables(rodata: ArrayBuffer): void {
  const powers = new Int32Array(rodata, RODATA.powers, LIMITS.POWER_COUNT);
  for (let length = 0; length < powers.length; length++) powers[length] = checksumChange(ONE, length);
  const high = new Int32Array(rodata, RODATA.highPowers, 4);
  for (let n = 0; n < high.length; n++) high[n] = checksumChange(ONE, n * LIMITS.POWER_COUNT);
  // What stands in the product's low word is 32 powers too high.
  const reduction = new Int32Array(rodata, RODATA.reduction, 4 * 256);
  for (let slice = 0; slice < 4; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      reduction[slice * 256 + byte] = checksumChange(byte << (8 * slice), 4);
    }
  }
}
