import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import { DATAGRAM_SIZE_MAX, TAG_SIZE } from "./message.ts";
import { hasTag, writeTag } from "./tag.ts";

const NETWORK = 0xab01;

/** The bytes with room for a tag, in which something stands. */
function withRoom(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes, ...randomBytes(TAG_SIZE)]);
}

test("a tag is the HMAC of bytes and network, whatever the length of key and bytes, and however often", () => {
  for (const keySize of [0, 1, 32, 63, 64, 65, 200]) {
    const key = new Uint8Array(randomBytes(keySize));
    for (const size of [0, 1, 55, 56, 63, 64, 300, DATAGRAM_SIZE_MAX - TAG_SIZE, 5]) {
      const bytes = new Uint8Array(randomBytes(size));
      const hmac = createHmac("sha256", key).update(bytes).update(Uint8Array.of(0xab, 0x01)).digest();
      const datagram = withRoom(bytes);
      writeTag(datagram, key, NETWORK);
      assert.deepEqual(Buffer.from(datagram), Buffer.concat([bytes, hmac.subarray(0, TAG_SIZE)]));
      assert.ok(hasTag(datagram, key, NETWORK));
    }
  }
});

test("a tag in place of another is as if there had been none", () => {
  const key = new Uint8Array(randomBytes(32));
  const datagram = withRoom(Uint8Array.of(1, 2, 3));
  writeTag(datagram, key, NETWORK);
  const first = datagram.slice();
  writeTag(datagram, key, NETWORK + 1);
  assert.ok(hasTag(datagram, key, NETWORK + 1) && !hasTag(datagram, key, NETWORK));
  writeTag(datagram, key, NETWORK);
  assert.deepEqual(datagram, first);
});

test("no tag that differs in one bit is taken", () => {
  const key = new Uint8Array(randomBytes(32));
  const datagram = withRoom(randomBytes(70));
  writeTag(datagram, key, NETWORK);
  for (let bit = 0; bit < datagram.length * 8; bit++) {
    const at = bit >> 3;
    datagram[at] = (datagram[at] as number) ^ (1 << (bit & 7));
    assert.ok(!hasTag(datagram, key, NETWORK), `bit ${bit}`);
    datagram[at] = (datagram[at] as number) ^ (1 << (bit & 7));
  }
  assert.ok(hasTag(datagram, key, NETWORK));
});
