import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryRecord, arbitrarySessionId } from "./arbitrary.ts";
import { join } from "./join.ts";
import {
  CANDIDATE_COUNT_MAX_PER_MEMBER,
  CLIENT_ADDRESS_COUNT_MAX,
  PENDING_GENERATION_COUNT_MAX,
} from "./record.ts";
import { endOf, isEnded } from "./sctp/facts.ts";

const ID = fc.constant(fc.sample(arbitrarySessionId, { numRuns: 1, seed: 1 })[0] as string);
const record = arbitraryRecord(ID);

const RUNS = { numRuns: 400 };

test("joining is associative", () => {
  fc.assert(
    fc.property(record, record, record, (a, b, c) => {
      assert.deepEqual(join(join(a, b), c), join(a, join(b, c)));
    }),
    RUNS,
  );
});

test("joining is commutative", () => {
  fc.assert(
    fc.property(record, record, (a, b) => {
      assert.deepEqual(join(a, b), join(b, a));
    }),
    RUNS,
  );
});

test("joining is idempotent, and tells by identity that nothing is new", () => {
  fc.assert(
    fc.property(record, record, (a, b) => {
      const joined = join(a, b);
      assert.equal(join(joined, joined), joined);
      assert.equal(join(joined, a), joined);
      assert.equal(join(joined, b), joined);
    }),
    RUNS,
  );
});

test("no order of joins leaves the bounds", () => {
  fc.assert(
    fc.property(record, record, record, (a, b, c) => {
      const { clients, generations } = join(join(a, b), c);
      assert.ok(clients.size <= CLIENT_ADDRESS_COUNT_MAX);
      assert.ok(generations.size <= PENDING_GENERATION_COUNT_MAX);
      for (const generation of generations.values()) {
        const counts = new Map<number, number>();
        for (const { member } of generation.candidates.values())
          counts.set(member, (counts.get(member) ?? 0) + 1);
        for (const count of counts.values()) assert.ok(count <= CANDIDATE_COUNT_MAX_PER_MEMBER);
      }
    }),
    RUNS,
  );
});

test("a time-out made now ends whatever is known, other members' time-outs included", () => {
  fc.assert(
    fc.property(record, (known) => {
      const timedOut = join(known, { id: known.id, end: endOf(known, "idle") });
      assert.ok(isEnded(timedOut));
      assert.ok(!isEnded(join(timedOut, { id: known.id, activity: 99 })) || timedOut.end?.absorbing);
    }),
    RUNS,
  );
});
