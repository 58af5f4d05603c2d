import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import * as Automerge from "@automerge/automerge";
import { seededRandom } from "@holdfast/model";
import { actorOf, counterOf, documentActorOf, isActor, memberOf } from "./actor.ts";
import { automergeJournal } from "./automerge-segment.ts";
import { encodeChange } from "./change.ts";
import { journalCompliance } from "./compliance.ts";
import { memoryJournal } from "./memory-segment.ts";
import { EMPTY_HEAD } from "./segment.ts";

journalCompliance("in memory", memoryJournal);
journalCompliance("Automerge", automergeJournal);

const ACTOR = actorOf(5, 1_790_000_000_000, seededRandom(3));

test("our chunks are Automerge's own, byte for byte", () => {
  const document = Automerge.getBackend(Automerge.init({ actor: documentActorOf(ACTOR, 9) }));
  let previous: Uint8Array = EMPTY_HEAD;
  for (let tick = 0; tick < 300; tick++) {
    const payload = seededRandom(tick).bytes(1 + tick * 17);
    document.put("_root", String(tick), payload);
    document.commit(undefined, 0);
    const ours = encodeChange(documentActorOf(ACTOR, 9), tick, previous, payload);
    assert.deepEqual(Buffer.from(ours.bytes), Buffer.from(document.getLastLocalChange() as Uint8Array));
    assert.deepEqual(document.getHeads(), [Buffer.from(ours.hash).toString("hex")]);
    previous = ours.hash;
  }
  document.free();
});

test("what is many bytes goes into the document, and comes out of it as it came", () => {
  const segment = automergeJournal.open(ACTOR, 4);
  const all: Buffer[] = [];
  const assertServed = (from: number, to: number) => {
    const served = segment.changes(from, to);
    const wanted = all.slice(from, to);
    // A text of what differs would be of megabytes.
    assert.ok(
      served.length === wanted.length && wanted.every((bytes, i) => bytes.equals(served[i] as Uint8Array)),
      `${from} to ${to} of ${all.length}`,
    );
  };
  for (let tick = 0; tick < 14; tick++) {
    all.push(Buffer.from(segment.append(seededRandom(tick).bytes(100_000)).bytes));
    assertServed(0, tick + 1);
    assertServed(tick, tick + 9);
  }
  for (let from = 0; from <= 14; from++) assertServed(from, from + 3);
  segment.free();
});

test("a compressed chunk is refused unread", () => {
  const segment = memoryJournal.open(ACTOR, 0);
  const change = encodeChange(documentActorOf(ACTOR, 0), 0, EMPTY_HEAD, new Uint8Array(500));
  const bytes = Buffer.concat([
    change.bytes.subarray(0, 8),
    Buffer.from([2, 100]),
    deflateRawSync(change.payload),
  ]);
  assert.equal(segment.verify(bytes), "compressed");
});

test("an actor says whose and which incarnation it is", () => {
  assert.equal(memberOf(ACTOR), 5);
  assert.equal(counterOf(ACTOR), 1_790_000_000_000);
  assert.ok(isActor(ACTOR));
  for (const text of ["", "x".repeat(32), ACTOR.toUpperCase(), `ffff${ACTOR.slice(4)}`, `${ACTOR}0`]) {
    assert.equal(isActor(text), false, text);
  }
});
