// A minute of chaos; `npm run chaos -- --minutes N` has as many as one likes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { OPERATOR_ACTIONS } from "./operator.ts";
import { chaos } from "./run.ts";

const MINUTES = Number(process.env["CHAOS_MINUTES"] ?? 1);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

for (const operator of [false, true])
  test(`a minute of chaos${operator ? " with an operator" : ""}, seed ${SEED}`, async (t) => {
    const report = await chaos({ minutes: MINUTES, seed: SEED, operator, say: (line) => t.diagnostic(line) });
    assert.deepEqual(report.violations, []);
    assert.equal(report.associations, 21);
    assert.equal(report.associationsLost + report.messagesLost + report.evidence.ownAborts, 0);
    assert.ok(report.messagesSent > 21 * 100, `only ${report.messagesSent} messages`);
    const blows = Object.values(report.blows).reduce((sum, count) => sum + count, 0);
    assert.ok(blows >= 10 * MINUTES, `only ${blows} blows`);
    // An operator who did nothing proves nothing.
    const did = OPERATOR_ACTIONS.filter((action) => (report.blows[action] ?? 0) > 0);
    assert.ok(operator ? did.length >= 3 : did.length === 0, `${did.length} kinds of changes`);
  });
