// What the kernel's verifier looks at, which a start waits for. One function whose loop it follows along
// every way takes as much as all others together.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { silentLogger } from "@holdfast/model";
import { loadDataPlane } from "./data-plane.ts";

/** Half as much again as it was when the bounds were written (clang 14, Linux 6.18). */
const VERIFIED_COUNT_MAX = { tc: 280_000, xdp: 175_000 };

/** proc_pid_fdinfo(5): of a program, since Linux 5.16. */
function verifiedCount(program: number): number | undefined {
  const [, count] =
    /^verified_insns:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${program}`, "utf8")) ?? [];
  return count === undefined ? undefined : Number(count);
}

test("the kernel verifies the programs in as many steps as a start may wait for", () => {
  const plane = loadDataPlane({ flowCountMax: 1_024, puntRingBytes: 1 << 16, log: silentLogger });
  try {
    const tc = verifiedCount(plane.tcProgram);
    const xdp = plane.xdpProgram === undefined ? undefined : verifiedCount(plane.xdpProgram);
    assert.ok(tc !== undefined && xdp !== undefined, "a kernel that does not tell");
    assert.ok(tc <= VERIFIED_COUNT_MAX.tc, `TC: ${tc}`);
    assert.ok(xdp <= VERIFIED_COUNT_MAX.xdp, `XDP: ${xdp}`);
  } finally {
    plane.close();
  }
});
