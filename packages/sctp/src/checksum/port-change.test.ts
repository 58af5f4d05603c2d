import assert from "node:assert/strict";
import { test } from "node:test";
import { advance, readChecksum, storeChecksum, verifyChecksum, writeChecksum } from "./crc32c.ts";
import { checksumChange, portDelta } from "./port-change.ts";

/** Changes the ports of bytes[0, length) and its checksum by the increment. */
function changePorts(bytes: Uint8Array, length: number, source: number, destination: number): void {
  const at = (i: number) => bytes[i] as number;
  const delta = portDelta((at(0) << 8) | at(1), (at(2) << 8) | at(3), source, destination);
  bytes.set([source >>> 8, source & 0xff, destination >>> 8, destination & 0xff]);
  storeChecksum(bytes, 0, readChecksum(bytes, 0) ^ checksumChange(delta, length));
}

test("exact for every length from 12 to 16,383", () => {
  const deltas = [1, 0x8000_0000, portDelta(36_000, 5_000, 40_001, 5_000), portDelta(1, 2, 65_535, 38_412)];
  // Advancing the bare register over the delta and then zeros is the definition; one zero more each round.
  const zero = new Uint8Array(1);
  for (const delta of deltas) {
    const bytes = Uint8Array.of(delta, delta >>> 8, delta >>> 16, delta >>> 24);
    let register = advance(0, bytes, 0, 4);
    for (let length = 4; length <= 16_383; length++) {
      if (checksumChange(delta, length) !== register) assert.fail(`length ${length}, delta ${delta}`);
      register = advance(register, zero, 0, 1);
    }
  }
});

test("exact for lengths up to the largest IP packet", () => {
  for (const length of [16_384, 32_767, 32_768, 65_495, 65_515, 65_535]) {
    const bytes = new Uint8Array(length).fill(0x5a);
    writeChecksum(bytes, 0, length);
    changePorts(bytes, length, 1, 65_535);
    assert.ok(verifyChecksum(bytes, 0, length), String(length));
  }
});

test("a corrupt packet stays corrupt, by the same bits", () => {
  const bytes = Uint8Array.from({ length: 1_400 }, (_, i) => i & 0xff);
  writeChecksum(bytes, 0, bytes.length);
  const good = bytes.slice();
  storeChecksum(bytes, 0, readChecksum(bytes, 0) ^ 0x0400_0001);
  changePorts(good, good.length, 40_001, 38_412);
  changePorts(bytes, bytes.length, 40_001, 38_412);
  assert.ok(verifyChecksum(good, 0, good.length));
  assert.ok(!verifyChecksum(bytes, 0, bytes.length));
  assert.equal((readChecksum(bytes, 0) ^ readChecksum(good, 0)) >>> 0, 0x0400_0001);
});

test("unchanged ports change nothing", () => {
  assert.equal(checksumChange(portDelta(5, 6, 5, 6), 1_000), 0);
});
