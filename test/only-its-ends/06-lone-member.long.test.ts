// The last one: a member that is alone, by configuration or since all others are dead, comes back with what
// it had.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ENDPOINT_PORT, SERVICE_PORT } from "@holdfast/testkit";
import { Operated } from "./cluster.ts";

test("a lone member that dies or stops comes back with the services of its API at once, and their associations live", async () => {
  await Operated.play({ members: 1, clients: [2], withService: false }, async (operated) => {
    const { cluster } = operated;
    const member = operated.member(0);
    await member.start();
    const spec = { ...cluster.serviceSpec(), port: SERVICE_PORT };
    await operated.done(member, "POST", "/v1/services", spec);
    const id = `sctp/${cluster.vips[0]}:${SERVICE_PORT}`;
    const gone = { name: "gone", vips: ["192.0.2.177"], port: SERVICE_PORT };
    await operated.done(member, "POST", "/v1/services", gone);
    await operated.done(
      member,
      "DELETE",
      `/v1/services/${encodeURIComponent(`sctp/192.0.2.177:${SERVICE_PORT}`)}`,
    );
    operated.servers.push(await cluster.startEndpoint(0, { port: ENDPOINT_PORT, echo: false }));
    await operated.connect(0);
    for (const end of ["killDaemon", "stop"] as const) {
      await member[end]();
      await operated.flowing(`no daemon after ${end}`);
      await member.start();
      // With its first answer as a member that is ready, not when somebody posts them again.
      const services = await operated.services(member);
      assert.deepEqual(
        services.map((service) => [service.id, service.managedBy]),
        [[id, "api"]],
      );
      await operated.flowing(`a start after ${end}`);
    }
    assert.ok(!member.crashed);
  });
});
