// sendmsg: a packet with control messages.

import { libc, putAddress } from "./libc.ts";

/** struct msghdr, and iovec. */
const MESSAGE_SIZE = 56;
const VECTOR_SIZE = 16;

/** sendmsg of one piece with one control message; what it returns. */
export function sendMessage(
  fd: number,
  bytes: Uint8Array,
  address: Uint8Array,
  control: Uint8Array,
  flags: number,
): number {
  const vector = Buffer.alloc(VECTOR_SIZE);
  putAddress(vector, 0, bytes);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const message = Buffer.alloc(MESSAGE_SIZE);
  putAddress(message, 0, address);
  message.writeUInt32LE(address.length, 8);
  putAddress(message, 16, vector);
  message.writeBigUInt64LE(1n, 24);
  putAddress(message, 32, control);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  return libc().sendmsg(fd, message, flags);
}
