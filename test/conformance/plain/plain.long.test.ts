// The scenarios that are marked for it, on tcx and IPv4: those of one member on one, those of three before
// and after one death.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_SURROUNDINGS } from "../scenario.ts";
import { PLAIN_SCENARIOS } from "./registry.ts";
import { runPlain } from "./run.ts";

for (const protocol of ["tcp", "udp"] as const)
  test(`a selection of ${protocol}'s scenarios`, async (t) => {
    const selected = PLAIN_SCENARIOS[protocol].filter((scenario) => scenario.selected === true);
    const outcomes = await runPlain(selected, DEFAULT_SURROUNDINGS, {
      onOutcome: ({ passed, secondTry, reason, number }) => {
        if (!passed && secondTry !== true) t.diagnostic(`second try: ${number}: ${reason}`);
      },
    });
    for (const { number, name, passed, reason } of outcomes)
      assert.ok(passed, `${number} ${name}: ${reason}`);
  });
