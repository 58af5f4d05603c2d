import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "@holdfast/model";
import { lockDataPlane } from "./lock.ts";

test("a second daemon is refused until the first has gone; another data plane is another matter", async () => {
  const place = `/sys/fs/bpf/test-${process.pid}`;
  const free = await lockDataPlane(place);
  await assert.rejects(
    lockDataPlane(place),
    (error) => error instanceof HoldfastError && error.code === "DAEMON_RUNNING",
  );
  const other = await lockDataPlane(`${place}-other`);
  await other();
  await free();
  await (await lockDataPlane(place))();
});
