import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../kernel/libc.ts";
import { retried } from "./object.ts";

function attempts(errors: readonly number[]) {
  let made = 0;
  const result = retried<{ error: number } | { object: string }>(() => {
    const error = errors[made++] ?? 0;
    return error === 0 ? { object: "loaded" } : { error: -error };
  });
  return { made, result };
}

const { EAGAIN, EINTR, EINVAL } = ERRNO as Record<"EAGAIN" | "EINTR" | "EINVAL", number>;

test("a load that a signal disturbed is tried again", () => {
  assert.deepEqual(attempts([EAGAIN, EINTR]), { made: 3, result: { object: "loaded" } });
});

test("a kernel that says no is not asked again", () => {
  assert.deepEqual(attempts([EINVAL]), { made: 1, result: { error: -EINVAL } });
});

test("tries are bounded", () => {
  assert.deepEqual(attempts(Array(100).fill(EAGAIN)), { made: 5, result: { error: -EAGAIN } });
});
