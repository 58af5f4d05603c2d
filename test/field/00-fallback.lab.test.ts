// A kernel that refuses the programs: `auto` goes on in userspace, and says why to everybody who asks.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { DataPlaneStatus } from "@holdfast/api";
import { BPF_OBJECT_FILE, labObstacle, makeLinks, openFastPath } from "@holdfast/forwarder/testing/fast-path";
import { ElfObject } from "@holdfast/forwarder/testing/programs";
import { dataPlaneMetrics } from "@holdfast/node/testing";
import { Registry } from "prom-client";

/** r0 = r9, which nobody has written. */
const UNREADABLE = Buffer.from("bf90000000000000", "hex");

test("what the verifier says is the fallback's reason, in status and metric", {
  skip: labObstacle() ?? false,
}, async () => {
  makeLinks();
  const build = fileURLToPath(import.meta.resolve("@holdfast/forwarder/testing/fast-path"));
  execFileSync("bash", [join(build, "../../../build.sh")]);
  const directory = mkdtempSync(join(tmpdir(), "holdfast-fallback-"));
  try {
    const bytes = readFileSync(BPF_OBJECT_FILE);
    const object = new ElfObject(bytes);
    for (const section of ["tc", "xdp.frags"]) UNREADABLE.copy(object.section(section) as Buffer);
    const objectFile = join(directory, "refused.bpf.o");
    writeFileSync(objectFile, bytes);
    const fastPath = await openFastPath({
      mode: "auto",
      interfaces: ["hfclient", "hfcore"],
      objectFile,
      guardTable: `hf-fallback-${process.pid}`,
    });
    try {
      assert.equal(fastPath.mode, "userspace");
      assert.equal(fastPath.fallback?.code, "BPF_LOAD_FAILED");
      assert.match(fastPath.fallback?.reason ?? "", /R9 !read_ok/);
      assert.deepEqual(
        fastPath.interfaces().map(({ name, hooks }) => [name, hooks]),
        [
          ["hfclient", ["ring"]],
          ["hfcore", ["ring"]],
        ],
      );
      const registry = new Registry();
      const status = { fallback: fastPath.fallback, interfaces: [], viaTc: [] } as DataPlaneStatus;
      dataPlaneMetrics([registry], () => status);
      assert.match(await registry.metrics(), /holdfast_fast_path_fallback\{code="BPF_LOAD_FAILED"\} 1/);
    } finally {
      await fastPath.uninstall();
    }
    // What the configuration wishes is no fallback.
    const asked = await openFastPath({
      mode: "userspace",
      interfaces: ["hfclient"],
      guardTable: `hf-fallback-${process.pid}`,
    });
    assert.equal(asked.fallback, undefined);
    await asked.uninstall();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
