// A member with a stale or partial configuration does not speak for all: old files, other orders, files that
// were cut short, rules deleted by a member that dies, services that two halves gave one VIP.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { ENDPOINT_PORT, SERVICE_PORT, until } from "@holdfast/testkit";
import { askLoxilb, Operated, rule } from "./cluster.ts";

const RULE_PORT = 55_002;
const TARGET_PORT = 9_999;
const API_PORT = 55_003;
const GRACE_MS = 5_000;
/** VIPs that no client reaches. */
const [SPARE, SMALLEST] = ["192.0.2.177", "192.0.2.10"];

test("mistakes with the configuration cost no association", async (t) => {
  const options = {
    members: 3,
    endpoints: 3,
    clients: [1, 2, 1, 1],
    configuration: { loxilb: { enabled: true, changeGraceMs: GRACE_MS } },
  };
  await Operated.play(options, async (operated) => {
    const { cluster } = operated;
    const spec = (endpoints: readonly number[], over: object = {}) => ({
      ...cluster.serviceSpec(),
      endpoints: endpoints.map((n) => ({ address: operated.endpoint(n), port: ENDPOINT_PORT })),
      ...over,
    });
    const id = `sctp/${cluster.vips[0]}:${SERVICE_PORT}`;
    for (const member of cluster.members) operated.write(member, [spec([0])]);
    await cluster.start();
    for (const index of [0, 1]) operated.servers.push(await cluster.startEndpoint(index, { echo: false }));

    await t.test("a member that comes back with an older file imposes nothing", async () => {
      await operated.connect(0);
      await operated.member(2).killDaemon();
      for (const n of [0, 1]) await operated.reload(operated.member(n), [spec([0, 1])]);
      await operated.everywhere("both endpoints", id, (service) => service?.endpoints.length === 2);
      await operated.connect(1);
      await operated.everywhere("both sessions", id, (service) => service?.sessions === 2);
      await operated.member(2).start();
      await operated.everywhere("both endpoints still", id, (service) => service?.endpoints.length === 2);
      await operated.flowing("an older file");
    });

    await t.test("VIPs in another order are the same service", async () => {
      const said = await operated.reload(operated.member(0), [
        spec([0, 1], { vips: [...cluster.vips].reverse() }),
      ]);
      assert.match(said, /reload: applied/);
      await operated.everywhere(
        "the same service",
        id,
        (service) => service?.vips.join() === cluster.vips.join(),
      );
      assert.equal((await operated.services(operated.member(1))).length, 1);
      await operated.flowing("another order");
    });

    await t.test("a VIP moves between services, whatever their order in the file", async () => {
      const last = cluster.vips.at(-1) as string;
      const second = (vips: readonly string[]) => ({ name: "second", port: SERVICE_PORT, vips });
      const first = (vips: readonly string[]) => spec([0, 1], { vips });
      const others = cluster.vips.filter((vip) => vip !== last);
      const hasLast = (name: string) => async () => {
        const list = await operated.services(operated.member(1));
        return list.find((service) => service.name === name)?.vips.includes(last) === true;
      };
      await operated.reload(operated.member(0), [first(cluster.vips), second([SPARE])]);
      for (const reversed of [false, true]) {
        const order = (services: object[]) => (reversed ? services.reverse() : services);
        await operated.reload(operated.member(0), order([second([SPARE, last]), first(others)]));
        await until(`${last} with the second service`, hasLast("second"));
        await operated.reload(operated.member(0), order([second([SPARE]), first(cluster.vips)]));
        await until(`${last} back`, hasLast("amf"));
      }
      await operated.flowing("a moving VIP");
    });

    await t.test("a file that was cut short takes no service with living associations", async () => {
      for (const n of [1, 2]) assert.match(await operated.reload(operated.member(n), []), /reload: applied/);
      const said = await operated.reload(operated.member(0), []);
      assert.match(said, /SERVICE_REMOVAL_UNCONFIRMED/);
      await operated.everywhere("the service", id, (service) => service?.managedBy === "file@m1");
      await operated.flowing("a file cut short");
      // Nor does a start with that file.
      await operated.member(0).stop();
      await operated.member(0).start();
      await operated.everywhere("the service after a start", id, (service) => service !== undefined);
      await operated.flowing("a start with a file cut short");
    });

    await t.test(
      "a rule that was deleted is everybody's to bring back, whatever becomes of the member that was asked",
      async () => {
        const vip = cluster.vips[0] as Address;
        const ruleId = `sctp/${vip}:${RULE_PORT}`;
        const posted = rule(vip, RULE_PORT, [operated.endpoint(2)], TARGET_PORT);
        const path = `/config/loadbalancer/externalipaddress/${vip}/port/${RULE_PORT}/protocol/sctp`;
        operated.servers.push(await cluster.startEndpoint(2, { port: TARGET_PORT, echo: false }));
        assert.equal(askLoxilb(operated.member(0), "POST", "/config/loadbalancer", posted).status, 200);
        await operated.everywhere("the rule", ruleId, (service) => service !== undefined);
        await operated.connect(2, { remotePort: RULE_PORT });
        for (const end of ["killDaemon", "stop"] as const) {
          const asked = operated.member(end === "stop" ? 1 : 2);
          assert.equal(askLoxilb(asked, "DELETE", path).status, 200);
          const shown = () =>
            askLoxilb(operated.member(0), "GET", "/config/loadbalancer/all").body["lbAttr"] as object[];
          await until(
            "the rule to be hidden elsewhere",
            () => !JSON.stringify(shown()).includes(String(RULE_PORT)),
          );
          await asked[end]();
          await operated.flowing(`a deleted rule, ${end}`);
          assert.equal(askLoxilb(operated.member(0), "POST", "/config/loadbalancer", posted).status, 200);
          await asked.start();
        }
        // Longer than the grace of both.
        await operated.flowing("a rule that is back", (50 * GRACE_MS * 1.5) / 1_000);
        await operated.everywhere("the rule", ruleId, (service) => service !== undefined);

        // Without a POST the others carry it out.
        const client = operated.clients.pop();
        assert.equal(askLoxilb(operated.member(2), "DELETE", path).status, 200);
        await until("the deletion elsewhere", () => {
          const shown = askLoxilb(operated.member(0), "GET", "/config/loadbalancer/all").body;
          return !JSON.stringify(shown).includes(String(RULE_PORT));
        });
        await operated.member(2).killDaemon();
        await operated.everywhere("the rule to be gone", ruleId, (service) => service === undefined);
        await until("its client to be told", () => client?.count("lost") === 1);
        await client?.kill();
        await operated.member(2).start();
        await operated.everywhere("no rule after the return", ruleId, (service) => service === undefined);
        await operated.flowing("a deleted rule");
      },
    );

    await t.test("two halves give one VIP to two services: both live on when they meet", async () => {
      const vip = cluster.vips[0] as Address;
      const [here, there] = [`sctp/${SMALLEST}:${API_PORT}`, `sctp/${vip}:${API_PORT}`];
      const endpoints = [{ address: operated.endpoint(1), port: ENDPOINT_PORT }];
      const service = { name: "shared", vips: [vip], port: API_PORT, endpoints };
      await operated.done(operated.member(0), "POST", "/v1/services", service);
      await operated.everywhere("the service", there, (found) => found !== undefined);
      await operated.connect(3, { remotePort: API_PORT });
      const [m1, m2, m3] = cluster.members;
      assert.ok(m1 && m2 && m3);
      cluster.partition([[m1, m2], [m3]]);
      const mine = { name: "mine", vips: [SMALLEST, SPARE], port: API_PORT, endpoints };
      await operated.done(m1, "POST", "/v1/services", mine);
      const wider = { ...service, vips: [vip, SPARE] };
      await operated.done(m3, "PUT", `/v1/services/${encodeURIComponent(there)}`, wider);
      cluster.mend();
      await operated.everywhere("both services", here, (found) => found?.vips.join() === mine.vips.join());
      await operated.everywhere("the other one without it", there, (found) => found?.vips.join() === vip);
      await operated.flowing("one VIP of two services");
    });
    for (const member of cluster.members) assert.ok(!member.crashed, `${member.name} ended by itself`);
  });
});
