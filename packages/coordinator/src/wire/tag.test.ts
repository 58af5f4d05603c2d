import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import { DATAGRAM_SIZE_MAX, TAG_SIZE } from "./message.ts";
import { tagOf } from "./tag.ts";

test("a tag is the HMAC of bytes and network, whatever the length of key and bytes, and however often", () => {
  for (const keySize of [0, 1, 32, 63, 64, 65, 200]) {
    const key = new Uint8Array(randomBytes(keySize));
    for (const size of [0, 1, 55, 56, 63, 64, 300, DATAGRAM_SIZE_MAX, 5]) {
      const bytes = new Uint8Array(randomBytes(size));
      const network = 0xab01;
      const expected = createHmac("sha256", key).update(bytes).update(Uint8Array.of(0xab, 0x01)).digest();
      assert.deepEqual(Buffer.from(tagOf(bytes, key, network)), expected.subarray(0, TAG_SIZE));
    }
  }
});

test("tags that were made stay as they are when others are made", () => {
  const key = new Uint8Array(randomBytes(32));
  const first = tagOf(Uint8Array.of(1), key, 1);
  const before = Uint8Array.from(first);
  tagOf(Uint8Array.of(2), key, 1);
  assert.deepEqual(Uint8Array.from(first), before);
});
