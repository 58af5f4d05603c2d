// What an idle member's sweeps ask of the kernel.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { libbpf } from "../../kernel/libbpf.ts";
import { labObstacle } from "../compliance/lab.ts";
import { FAMILIES, upFlow } from "../compliance/world.ts";
import type { Flow } from "../port.ts";
import { TestRunner } from "./test-run.ts";

const obstacle = labObstacle();
const skip = obstacle === undefined ? {} : { skip: obstacle };

test(
  "maps that are known to be empty are not read, and read again once something was installed",
  skip,
  () => {
    const runner = new TestRunner({ flowCountMax: 64 });
    const reads = mock.method(libbpf(), "lookupBatch").mock;
    const sweep = () => {
      const before = reads.callCount();
      const seen: Flow[] = [];
      let cursor: unknown;
      do {
        cursor = runner.flows.sweep(cursor, (flow) => {
          seen.push(flow);
          return "keep";
        });
      } while (cursor !== undefined);
      return { seen: seen.length, reads: reads.callCount() - before };
    };
    try {
      assert.deepEqual(sweep(), { seen: 0, reads: 2 }, "nobody knows yet");
      assert.deepEqual(sweep(), { seen: 0, reads: 0 });
      for (const family of FAMILIES) {
        const flow = upFlow(family);
        assert.ok(runner.flows.install(flow));
        assert.deepEqual(sweep(), { seen: 1, reads: 1 }, "the other family's is empty");
        assert.deepEqual(sweep(), { seen: 1, reads: 1 });
        runner.flows.remove(flow.key);
        assert.deepEqual(sweep(), { seen: 0, reads: 1 });
        assert.deepEqual(sweep(), { seen: 0, reads: 0 });
      }
    } finally {
      mock.restoreAll();
      runner.close();
    }
  },
);
