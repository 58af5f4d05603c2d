// Canonical address text to the bytes of a frame (RFC 4291 §2.2).
import { type Address, familyOf } from "@holdfast/model";

/** 4 or 16 bytes. `address` is canonical text, so this cannot fail. */
export function addressToBytes(address: Address): Uint8Array {
  if (familyOf(address) === 4) return Uint8Array.from(address.split("."), Number);
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups = [...left, ...new Array<string>(8 - left.length - right.length).fill("0"), ...right];
  const bytes = new Uint8Array(16);
  groups.forEach((group, index) => {
    const value = Number.parseInt(group, 16);
    bytes[index * 2] = value >> 8;
    bytes[index * 2 + 1] = value & 0xff;
  });
  return bytes;
}
