import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@holdfast/model";
import { FAULTS, isMemberFault, nextBlow } from "./schedule.ts";

const members = (...sound: readonly boolean[]) => sound.map((is, n) => ({ name: `m${n + 1}`, sound: is }));

test("never strikes the last sound member, nor a broken one", () => {
  const random = seededRandom(1);
  for (let i = 0; i < 2_000; i++) {
    assert.equal(nextBlow(random, { members: members(false, true, false), edgeCut: false }), undefined);
    const blow = nextBlow(random, { members: members(true, false, true), edgeCut: false });
    assert.ok(blow !== undefined && isMemberFault(blow.fault) && blow.member !== "m2");
  }
});

test("strikes with everything it has, in the same order for the same seed", () => {
  const run = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 300 }, () =>
      nextBlow(random, { members: members(true, true, true), edgeCut: false }),
    );
  };
  assert.deepEqual(run(7), run(7));
  assert.notDeepEqual(run(7), run(8));
  assert.deepEqual(
    new Set(run(7).map((blow) => blow?.fault)),
    new Set(FAULTS.filter((f) => f !== "fail-disk")),
  );
});

test("one cut at the edges at a time", () => {
  const random = seededRandom(3);
  for (let i = 0; i < 500; i++) {
    const blow = nextBlow(random, { members: members(true, true, true), edgeCut: true });
    assert.ok(blow !== undefined && isMemberFault(blow.fault));
  }
});
