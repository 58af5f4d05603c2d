import assert from "node:assert/strict";
import { test } from "node:test";
import { startsWith } from "./own-process.ts";

const COUNT = 1000;
const RSS_MIB_MAX = 150;
/**
 * Of a first start: the finalizer with the VIPs, the status and who owns each; statuses of pools once a
 * second. One for each Service was most of the start.
 */
const WRITES_MAX = 3.5 * COUNT;

test("a controller that starts beside a thousand Services moves nothing, writes nothing, and is small", async (t) => {
  const { first, again } = await startsWith(COUNT);
  for (const [what, { inStepMs, processorMs, waitedMs, rssMib }] of Object.entries({ first, again }))
    t.diagnostic(
      `${what}: in step after ${inStepMs} ms (${processorMs} ms of processor, ${waitedMs} ms waiting for one${
        waitedMs > processorMs ? ": starved" : ""
      }), ${rssMib} MiB`,
    );
  // Less where it was starved, and had to be elected again meanwhile: a leader counts its own.
  assert.ok(first.changes > 0);
  assert.deepEqual({ changes: again.changes, writes: again.writes }, { changes: 0, writes: 0 });
  assert.ok(first.writes <= WRITES_MAX, `${first.writes} writes`);
  for (const { rssMib } of [first, again]) assert.ok(rssMib <= RSS_MIB_MAX, `${rssMib} MiB`);
});
