import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  canonicalHealth,
  type HealthStatus,
  healthCheckProblem,
  statusRanges,
  statusText,
} from "./health-check.ts";

describe("statuses of a health check", () => {
  test("one, a range, or a list; in order and without overlaps", () => {
    assert.deepEqual(statusRanges(200), [[200, 200]]);
    assert.deepEqual(statusRanges("200"), [[200, 200]]);
    assert.deepEqual(statusRanges(["300-399", 200, "201-204", 404, "350-370"]), [
      [200, 204],
      [300, 399],
      [404, 404],
    ]);
    assert.equal(statusText(statusRanges([404, "200-204"]) ?? []), "200-204, 404");
  });

  test("what no status can be is refused, with what can be written", () => {
    for (const wrong of [
      99,
      600,
      20,
      "2xx",
      "204-200",
      "200-",
      "",
      [],
      {},
      null,
      true,
      [[200]],
      Array(17).fill(200),
    ])
      assert.match(
        healthCheckProblem({ kind: "https", status: wrong }) ?? "",
        /healthCheck.status must be a status from 100 to 599/,
        JSON.stringify(wrong),
      );
    assert.equal(healthCheckProblem({ kind: "http", status: [200, "300-399"] }), undefined);
    assert.match(healthCheckProblem({ kind: "tcp", status: 200 }) ?? "", /status has no meaning for tcp/);
  });

  test("has one form of each meaning", () => {
    const form = (status: HealthStatus) => canonicalHealth({ kind: "http", status }).status;
    assert.equal(form(["200"]), 200);
    assert.equal(form(["200-203", 204]), "200-204");
    assert.deepEqual(form([404, "200"]), [200, 404]);
    assert.equal(form("100-399"), undefined, "as without");
  });
});
