// The BPF fast path between two veth pairs, by every hook: the suite that every fast path passes.
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { labHarness, labObstacle, makeLinks } from "../compliance/lab.ts";
import { describeFastPath, type Harness } from "../compliance.ts";
import { type BpfFastPathOptions, openBpfFastPath } from "./bpf-fast-path.ts";

function harness(mode: BpfFastPathOptions["mode"]): Harness {
  return labHarness((interfaces, options) => {
    makeLinks();
    // What XDP redirects into a veth arrives only where the other end receives by NAPI.
    for (const wire of ["client0", "core0"]) execFileSync("ethtool", ["-K", wire, "gro", "on"]);
    // No test here is about a daemon that dies, and machines are slow.
    return openBpfFastPath({ mode, interfaces, flowCountMax: 4096, deadAfterMs: 600_000, ...options });
  });
}

const obstacle = labObstacle();
if (obstacle !== undefined) {
  describe("fast path: BPF", () => test("needs a lab", { skip: obstacle }, () => {}));
} else {
  describeFastPath("BPF, TC", harness("tc"));
  describeFastPath("BPF, XDP generic", harness("xdp-generic"));
  describeFastPath("BPF, XDP native", harness("xdp"));
}
