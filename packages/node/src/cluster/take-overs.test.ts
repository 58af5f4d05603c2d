import assert from "node:assert/strict";
import { test } from "node:test";
import type { TakeOver } from "@holdfast/api";
import { ManualClock } from "@holdfast/model/testing";
import { FIRST_PACKET_LIMIT_MS, isTakeOver, type Moved, TakeOverWatch } from "./take-overs.ts";

const VIP = "203.0.113.1";
const DEATH: Moved = { vip: VIP, from: "m2", to: "m1", cause: "death", detectionMs: 110.04, durationMs: 120 };

function rig() {
  const clock = new ManualClock();
  const kept: TakeOver[] = [];
  let packets = 7;
  const watch = new TakeOverWatch({
    self: "m1",
    clock,
    log: {
      append: (takeOver) => void kept.push(takeOver),
      after: () => kept.map((value, index) => ({ origin: 1, run: 1, sequence: index + 1, value })),
    },
    watchPackets: () => () => packets,
    sessionsOf: () => 3,
  });
  return { clock, kept, watch, packet: () => packets++ };
}

test("the steps of a death are told from the last sign of life", () => {
  const { clock, kept, watch, packet } = rig();
  watch.owns([VIP]);
  clock.advance(10);
  watch.moved(DEATH);
  assert.equal(kept.length, 0);
  clock.advance(20);
  packet();
  clock.advance(5);
  const [one, ...more] = kept;
  assert.deepEqual(more, []);
  assert.ok(one !== undefined);
  assert.equal(isTakeOver(one), true);
  assert.deepEqual(
    [one.verdictMs, one.announcedMs, one.firstPacketMs, one.from, one.sessions],
    [110, 120, 145, "m2", 3],
  );
});

test("a packet that passed before the announcement was done counts; none within the limit is none", () => {
  const { clock, kept, watch, packet } = rig();
  watch.owns([VIP]);
  packet();
  clock.advance(5);
  watch.moved(DEATH);
  assert.equal(kept.length, 1);
  watch.owns([]);
  watch.owns([VIP]);
  watch.moved(DEATH);
  clock.advance(FIRST_PACKET_LIMIT_MS - 100);
  assert.equal(kept.length, 1);
  clock.advance(200);
  assert.equal(kept.length, 2);
  assert.equal(kept[1]?.firstPacketMs, undefined);
});

test("what nobody had before, what others took, and what was lost again is told as what it is", () => {
  const { clock, kept, watch } = rig();
  watch.owns([VIP]);
  watch.moved({ ...DEATH, cause: "first", from: undefined });
  watch.owns([VIP, "203.0.113.2"]);
  watch.moved({ ...DEATH, vip: "203.0.113.2", to: "m3" });
  clock.advance(2 * FIRST_PACKET_LIMIT_MS);
  assert.deepEqual(kept, []);
  watch.owns([VIP, "203.0.113.3"]);
  watch.moved({ ...DEATH, vip: "203.0.113.3", cause: "planned", detectionMs: undefined });
  watch.owns([VIP]);
  assert.deepEqual(
    kept.map(({ vip, cause, verdictMs, firstPacketMs }) => [vip, cause, verdictMs, firstPacketMs]),
    [["203.0.113.3", "planned", undefined, undefined]],
  );
});
