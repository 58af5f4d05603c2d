import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@holdfast/model";
import fc from "fast-check";
import { LIMITS_DEFAULT } from "../limits.ts";
import { NatPorts, type ReleaseReason } from "./allocator.ts";

const REST_MS: Record<ReleaseReason, number> = {
  verified: LIMITS_DEFAULT.natPortRestVerifiedMs,
  unseen: LIMITS_DEFAULT.natPortRestUnseenMs,
  evicted: LIMITS_DEFAULT.natPortRestEvictedLeastMs,
};

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("allocate" as const),
      clientPort: fc.integer({ min: 1, max: 65_535 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("release" as const),
      which: fc.nat(),
      reason: fc.constantFrom<ReleaseReason>("verified", "unseen", "evicted"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("reserve" as const),
      port: fc.integer({ min: 1, max: 65_535 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 400_000 }) }),
  },
);

test("whatever happens: own slot only, never a port in use, never one before its rest is over", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.integer({ min: 0, max: 63 }),
      (steps, memberNumber) => {
        const natPorts = new NatPorts({
          memberNumber,
          memberNumberCount: 64,
          random: seededRandom(1),
          limits: LIMITS_DEFAULT,
        });
        const used = new Set<number>();
        const restsUntil = new Map<number, number>();
        let nowMs = 0;
        for (const s of steps) {
          switch (s.kind) {
            case "allocate": {
              const port = natPorts.allocate("192.0.2.1", 1, s.clientPort, `${s.clientPort}`, nowMs);
              if (port === undefined) break;
              assert.equal(port & 63, memberNumber);
              assert.ok(!used.has(port));
              assert.ok((restsUntil.get(port) ?? 0) <= nowMs);
              used.add(port);
              break;
            }
            case "release": {
              const port = [...used][s.which % Math.max(1, used.size)];
              if (port === undefined) break;
              natPorts.release("192.0.2.1", 1, port, s.reason, nowMs);
              used.delete(port);
              restsUntil.set(port, nowMs + REST_MS[s.reason]);
              break;
            }
            case "reserve":
              natPorts.reserve("192.0.2.1", 1, s.port);
              if ((s.port & 63) === memberNumber) used.add(s.port);
              break;
            case "wait":
              nowMs += s.ms;
          }
        }
        assert.equal(natPorts.counts().used, used.size);
      },
    ),
    { numRuns: 200 },
  );
});
