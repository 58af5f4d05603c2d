import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "../replication/report.ts";
import { alternate, best, compared } from "./compare.ts";
import type { OtherBuild } from "./other-build.ts";

const row = (value: number, unit = "ms", more: Partial<Row> = {}): Row => ({
  case: "c",
  value,
  unit,
  ...more,
});

test("a ratio above 1 is better for this build, whether more or less is better", () => {
  assert.equal(compared([row(2)], [row(4)], "r")[0]?.ratio, 2);
  assert.equal(compared([row(2, "Mpps")], [row(4, "Mpps")], "r")[0]?.ratio, 0.5);
  assert.equal(compared([row(99, "%", { better: "more" })], [row(100, "%")], "r")[0]?.ratio, 0.99);
});

test("nothing beside nothing is the same, something beside nothing has no ratio", () => {
  assert.equal(compared([row(0)], [row(0)], "r")[0]?.ratio, 1);
  assert.deepEqual(compared([row(0)], [row(3)], "r"), [{ ...row(0), versus: "r", theirs: 3 }]);
  assert.equal(compared([row(3)], [row(0)], "r")[0]?.ratio, 0);
});

test("a case that the other build does not have stands alone", () => {
  assert.deepEqual(compared([row(3)], [], "r"), [row(3)]);
});

test("the best round of each build counts", () => {
  assert.deepEqual(best([[row(5)], [row(3)], [row(4)]]), [row(3)]);
  assert.deepEqual(best([[row(5, "/s")], [row(3, "/s")]]), [row(5, "/s")]);
});

test("builds take turns, and the one that begins changes", async () => {
  const other: OtherBuild = { revision: "r", directory: "", module: () => undefined, close: () => {} };
  const order: string[] = [];
  const rows = await alternate(other, 2, async (build) => {
    order.push(build?.revision ?? "this");
    return [row(build === undefined ? 1 : 2)];
  });
  assert.deepEqual(order, ["this", "r", "r", "this"]);
  assert.deepEqual(rows, [{ ...row(1), versus: "r", theirs: 2, ratio: 2 }]);
});
