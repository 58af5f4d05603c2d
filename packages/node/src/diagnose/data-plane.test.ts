import assert from "node:assert/strict";
import { test } from "node:test";
import { dataPlaneFindings } from "./data-plane.ts";

const NOTHING = { receiveDrops: 0, transmitDrops: 0 };

test("pairs that go by TC are named, and programs in front are warned of", () => {
  const findings = dataPlaneFindings({
    interfaces: [
      { name: "eth0", hooks: ["xdp", "tcx"], takesRedirected: true, ...NOTHING },
      { name: "br0", hooks: ["tcx"], takesRedirected: false, programsBefore: 2, ...NOTHING },
    ],
    viaTc: [
      { from: "eth0", to: "br0" },
      { from: "eth1", to: "br0" },
    ],
  });
  assert.deepEqual(
    findings.map(({ subject, level }) => [subject, level]),
    [
      ["interface br0", "warn"],
      ["interface br0", "ok"],
    ],
  );
  assert.match(findings[0]?.detail ?? "", /2 TC programs of others/);
  assert.match(findings[1]?.detail ?? "", /comes in by eth0, eth1/);
});

test("nothing is said where there is nothing to say", () => {
  assert.deepEqual(
    dataPlaneFindings({ interfaces: [{ name: "eth0", hooks: ["tcx"], ...NOTHING }], viaTc: [] }),
    [],
  );
});
