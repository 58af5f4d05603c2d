// What every fast path must do, whatever it is made of. An implementation's tests call `describeFastPath`
// with a harness that opens it between two networks; bpf/, userspace/ and simulated/ all pass.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describeAllowedSources } from "./compliance/allowed-sources.ts";
import { describeForwarding } from "./compliance/forwarding.ts";
import { describeNeighbours } from "./compliance/neighbours.ts";
import { describePlain } from "./compliance/plain.ts";
import { describePunts } from "./compliance/punts.ts";
import type { Harness, Rig, RigOptions } from "./compliance/rig.ts";
import { describeTables } from "./compliance/tables.ts";
import { ENDPOINTS, LOCAL } from "./compliance/world.ts";

export type { Harness, Rig, RigOptions } from "./compliance/rig.ts";

/** Runs `body` on a fresh rig with the world's addresses set and punts flowing. */
export type WithRig = (name: string, body: (rig: Rig) => Promise<void> | void, options?: RigOptions) => void;

export function describeFastPath(name: string, harness: Harness): void {
  const withRig: WithRig = (title, body, options = {}) => {
    test(title, async () => {
      const rig = await harness.open(options);
      try {
        rig.fastPath.setLocal(LOCAL);
        rig.fastPath.setEndpoints(ENDPOINTS);
        rig.fastPath.signOfLife();
        await body(rig);
      } finally {
        await rig.close();
      }
    });
  };
  describe(`fast path: ${name}`, () => {
    describeForwarding(withRig);
    describePunts(withRig);
    describePlain(withRig);
    describeTables(withRig);
    describeNeighbours(withRig);
    describeAllowedSources(withRig);
    withRig(
      "detach and uninstall end without complaint, and nothing is sent afterwards",
      async ({ fastPath }) => {
        await fastPath.uninstall();
        assert.equal(fastPath.send(new Uint8Array(20)), false);
      },
    );
  });
}
