import assert from "node:assert/strict";
import { Session } from "node:inspector";
import { test } from "node:test";
import { silentLogger } from "@holdfast/model";
import { labObstacle } from "../compliance/lab.ts";
import { loadDataPlane } from "./data-plane.ts";

/** Far shorter than verifying the programs takes. */
const SAMPLE_INTERVAL_US = 100;

test("programs load while a profiler signals the thread", { skip: labObstacle() }, () => {
  const profiler = new Session();
  profiler.connect();
  profiler.post("Profiler.enable");
  profiler.post("Profiler.setSamplingInterval", { interval: SAMPLE_INTERVAL_US });
  profiler.post("Profiler.start");
  try {
    const plane = loadDataPlane({ flowCountMax: 1_024, puntRingBytes: 1 << 16, log: silentLogger });
    assert.notEqual(plane.xdpProgram, undefined);
    plane.close();
  } finally {
    profiler.post("Profiler.stop");
    profiler.disconnect();
  }
});
