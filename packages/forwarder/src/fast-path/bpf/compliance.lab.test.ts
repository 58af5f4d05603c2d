// The BPF fast path between two veth pairs: the suite that every fast path passes.
import { describe, test } from "node:test";
import { labHarness, labObstacle } from "../compliance/lab.ts";
import { describeFastPath } from "../compliance.ts";
import { openBpfFastPath } from "./bpf-fast-path.ts";

const obstacle = labObstacle();
if (obstacle !== undefined) {
  describe("fast path: BPF", () => test("needs a lab", { skip: obstacle }, () => {}));
} else {
  describeFastPath(
    "BPF, TC",
    labHarness((interfaces, options) =>
      openBpfFastPath({ mode: "tc", interfaces, flowCountMax: 4096, ...options }),
    ),
  );
}
