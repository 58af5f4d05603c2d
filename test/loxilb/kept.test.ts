// What LoxiLB's clients are told of a rule that the disk did not take: no success, and why.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "@holdfast/model";
import { startRig } from "./rig.ts";

const RULE = {
  serviceArguments: { externalIP: "203.0.113.1", port: 38412, protocol: "sctp", mode: 2 },
  endpoints: [{ endpointIP: "10.0.0.5", targetPort: 38412, weight: 1 }],
};

test("a rule that could not be kept is no success, says so once, and is there", async () => {
  let asked = 0;
  const rig = await startRig({
    kept: async () => {
      asked++;
      throw new HoldfastError("CONFIGURATION_NOT_KEPT", { reason: "configuration: ENOSPC" });
    },
  });
  try {
    const [member] = rig.members;
    assert.ok(member);
    const reply = await fetch(`${member.url}/netlox/v1/config/loadbalancer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(RULE),
    });
    const { result } = (await reply.json()) as { result?: string };
    assert.match(result ?? "", /not on this member's disk.*ENOSPC/);
    assert.equal(asked, 1);
    assert.equal(member.node.registry.list().length, 1);
  } finally {
    await rig.stop();
  }
});
