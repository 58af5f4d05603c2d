// What is found out without listing ports and tags must be what the lists say.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryRecord, arbitrarySessionId } from "../arbitrary.ts";
import { join } from "../join.ts";
import type { SessionRecord } from "../record.ts";
import { commitOf, endpointTagsOf, hasSamePorts, natPortsOf } from "./facts.ts";

const ID = fc.constant(fc.sample(arbitrarySessionId, { numRuns: 1, seed: 1 })[0] as string);
const record = arbitraryRecord(ID);

function listed(of: SessionRecord): { ports: string[]; tags: number[] } {
  const ports = natPortsOf(of).map((c) => `${c.endpoint} ${c.endpointPort} ${c.natPort}`);
  return { ports: ports.sort(), tags: endpointTagsOf(of).sort((a, b) => a - b) };
}

/** The same INIT, established by the answer that came. */
function established(of: SessionRecord): SessionRecord | undefined {
  if (of.commit !== undefined) return undefined;
  const [generation] = of.generations.values();
  const [candidate] = generation?.candidates.values() ?? [];
  if (generation === undefined || candidate === undefined) return undefined;
  const latest = { ...generation, phase: "established" as const };
  const commit = { ...commitOf(of, generation.clientTag, candidate), generation: latest };
  return join(of, { id: of.id, commit, generations: new Map([[generation.clientTag, latest]]) });
}

test("records that are said to hold the same ports and tags do", () => {
  let sameCount = 0;
  fc.assert(
    fc.property(record, record, (a, b) => {
      for (const other of [b, join(a, b), established(a)]) {
        if (other === undefined || !hasSamePorts(a, other)) continue;
        sameCount++;
        assert.deepEqual(listed(other), listed(a));
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(sameCount > 0, "nothing was compared");
});

test("an answer that is committed holds what it held, and that is seen, in a copy of the record as well", () => {
  let count = 0;
  fc.assert(
    fc.property(record, (before) => {
      const after = established(before);
      if (after === undefined || before.generations.size > 1) return;
      count++;
      assert.ok(hasSamePorts(before, after));
      assert.ok(hasSamePorts(structuredClone(before), after));
    }),
    { numRuns: 2_000 },
  );
  assert.ok(count > 0, "no answer was committed");
});
