// The compliance suite for the BPF fast path between two veth pairs, by one of its hooks.
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { type BpfFastPathOptions, openBpfFastPath } from "../bpf/bpf-fast-path.ts";
import { describeFastPath } from "../compliance.ts";
import { labHarness, labObstacle, makeLinks } from "./lab.ts";
import { SharedPlanes } from "./shared-planes.ts";

export function describeBpfFastPath(name: string, mode: BpfFastPathOptions["mode"]): void {
  const obstacle = labObstacle();
  if (obstacle !== undefined) {
    describe(`fast path: ${name}`, () => test("needs a lab", { skip: obstacle }, () => {}));
    return;
  }
  const { load } = new SharedPlanes();
  let isReady = false;
  const harness = labHarness((interfaces, options) => {
    makeLinks();
    // What XDP redirects into a veth arrives only where the other end receives by NAPI.
    for (const wire of isReady ? [] : ["client0", "core0"])
      execFileSync("ethtool", ["-K", wire, "gro", "on"]);
    isReady = true;
    // No test here is about a daemon that dies, and machines are slow.
    return openBpfFastPath({ mode, interfaces, flowCountMax: 4096, deadAfterMs: 600_000, load, ...options });
  });
  describeFastPath(name, harness);
}
