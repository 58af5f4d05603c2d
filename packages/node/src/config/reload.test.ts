import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "@holdfast/model";
import { parseConfiguration } from "./load.ts";
import { checkReload } from "./reload.ts";

const configurationOf = (text: string) => parseConfiguration(text, "holdfast.yaml").configuration;
const SERVICE = "services: [{ vips: [203.0.113.1], port: 5 }]\n";

test("what may change is named", () => {
  const before = configurationOf("");
  assert.deepEqual(checkReload(before, configurationOf("")), []);
  assert.deepEqual(checkReload(before, configurationOf(`log: { level: debug }\n${SERVICE}`)).toSorted(), [
    "log.level",
    "services",
  ]);
});

const refused: [text: string, field: string][] = [
  ["cluster: { memberNumberCount: 16 }", "cluster.memberNumberCount"],
  ["interfaces: [{ name: eth9, role: path }]", "interfaces"],
  ["api: { listen: 127.0.0.1:1 }", "api.listen"],
  ["dataPlane: { mode: tc }", "dataPlane.mode"],
  ["coordinator: { probeIntervalMs: 20 }", "coordinator.probeIntervalMs"],
];
for (const [text, field] of refused) {
  test(`${field} needs a restart, also beside what may change`, () => {
    assert.throws(
      () => checkReload(configurationOf(""), configurationOf(`${text}\n${SERVICE}`)),
      (error) =>
        error instanceof HoldfastError &&
        error.code === "CONFIG_CHANGE_NEEDS_RESTART" &&
        error.details["field"] === field &&
        !error.message.includes("{"),
    );
  });
}
