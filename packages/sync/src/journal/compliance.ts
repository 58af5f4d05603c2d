// What every journal must do. Each implementation's test calls `journalCompliance`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@holdfast/model";
import { actorOf } from "./actor.ts";
import type { JournalFactory, Segment } from "./segment.ts";

const ACTOR = actorOf(3, 1234, seededRandom(1));
const payload = (size: number, fill: number) => new Uint8Array(size).fill(fill);

/** Takes a chunk as a reader does. Returns the refusal, or undefined. */
function take(reader: Segment, bytes: Uint8Array): string | undefined {
  const verified = reader.verify(bytes);
  if (typeof verified === "string") return verified;
  reader.apply(verified);
  return undefined;
}

export function journalCompliance(name: string, factory: JournalFactory): void {
  test(`${name}: a reader ends with the writer's ticks, heads and bytes`, () => {
    const writer = factory.open(ACTOR, 7);
    const reader = factory.open(ACTOR, 7);
    // Lengths around every step of the length fields.
    for (const [i, size] of [1, 6, 7, 8, 100, 127, 128, 1000, 1023, 1024, 20000, 131071, 131072].entries()) {
      const change = writer.append(payload(size, i));
      assert.deepEqual(Buffer.from(change.payload), Buffer.from(payload(size, i)));
      assert.equal(take(reader, change.bytes), undefined);
      assert.equal(reader.ticks, i + 1);
      assert.deepEqual(Buffer.from(reader.head), Buffer.from(writer.head));
    }
    assert.deepEqual(reader.changes(0, reader.ticks).map(hex), writer.changes(0, writer.ticks).map(hex));
    assert.deepEqual(reader.changes(3, 5).map(hex), writer.changes(3, 5).map(hex));
    assert.deepEqual(reader.changes(99, 120), []);
    // More than are gathered, from every place.
    for (let i = reader.ticks; i < 70; i++) take(reader, writer.append(payload(5, i)).bytes);
    const all = writer.changes(0, 70).map(hex);
    assert.equal(all.length, 70);
    for (let from = 0; from < 70; from++) {
      assert.deepEqual(reader.changes(from, 70).map(hex), all.slice(from), `${from}`);
      assert.deepEqual(reader.changes(from, from + 2).map(hex), all.slice(from, from + 2), `${from}`);
    }
    writer.free();
    reader.free();
  });

  test(`${name}: a second reader catches up from a reader`, () => {
    const writer = factory.open(ACTOR, 0);
    const [first, second] = [factory.open(ACTOR, 0), factory.open(ACTOR, 0)];
    for (let i = 0; i < 20; i++) take(first, writer.append(payload(50, i)).bytes);
    for (const change of first.changes(0, 20)) assert.equal(take(second, change), undefined);
    assert.deepEqual(hex(second.head), hex(writer.head));
  });

  test(`${name}: every flipped bit, cut and foreign change is refused, and the next good one still fits`, () => {
    const writer = factory.open(ACTOR, 1);
    const reader = factory.open(ACTOR, 1);
    assert.equal(take(reader, writer.append(payload(40, 1)).bytes), undefined);
    const good = writer.append(payload(40, 2));
    for (let bit = 0; bit < good.bytes.length * 8; bit++) {
      const bad = good.bytes.slice();
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.equal(typeof reader.verify(bad), "string", `bit ${bit}`);
    }
    for (let length = 0; length < good.bytes.length; length++) {
      assert.equal(typeof reader.verify(good.bytes.slice(0, length)), "string", `cut at ${length}`);
    }
    // Same content, another segment, another writer, another place in the chain.
    assert.equal(reader.verify(factory.open(ACTOR, 2).append(payload(40, 1)).bytes), "wrong-dependencies");
    const stranger = factory.open(actorOf(4, 1, seededRandom(2)), 1);
    stranger.append(payload(40, 1));
    assert.equal(typeof reader.verify(stranger.append(payload(40, 2)).bytes), "string");
    const later = writer.append(payload(40, 3));
    assert.equal(reader.verify(later.bytes), "wrong-dependencies");
    assert.equal(
      factory.open(ACTOR, 2).verify(factory.open(ACTOR, 1).append(payload(1, 1)).bytes),
      "wrong-actor",
    );
    assert.equal(take(reader, good.bytes), undefined);
    assert.equal(take(reader, later.bytes), undefined);
    assert.equal(take(reader, later.bytes), "wrong-dependencies");
    assert.equal(reader.ticks, 3);
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
