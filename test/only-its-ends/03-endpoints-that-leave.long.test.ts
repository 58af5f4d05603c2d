// An endpoint that leaves its service's list keeps its associations, in every dialect, whoever was asked and
// dies.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { ENDPOINT_PORT, SERVICE_PORT, until } from "@holdfast/testkit";
import { askLoxilb, Operated, rule, type ServiceItem } from "./cluster.ts";

const RULE_PORT = 55_002;
const GRACE_S = 4;

test("an endpoint that leaves the list drains", async (t) => {
  const options = {
    members: 3,
    endpoints: 2,
    clients: [1, 1, 1, 1, 1, 1],
    withService: false,
    configuration: { loxilb: { enabled: true } },
  };
  await Operated.play(options, async (operated) => {
    const { cluster } = operated;
    const vip = cluster.vips[0] as Address;
    const id = `sctp/${vip}:${SERVICE_PORT}`;
    const path = `/v1/services/${encodeURIComponent(id)}`;
    const second = operated.endpoint(1);
    const spec = (endpoints: readonly number[], over: object = {}) => ({
      ...cluster.serviceSpec(),
      endpoints: endpoints.map((n) => ({ address: operated.endpoint(n), port: ENDPOINT_PORT })),
      ...over,
    });
    const at = async (address: string) => {
      const query = `/v1/sessions?limit=100&endpoint=${encodeURIComponent(address)}`;
      const { items } = (await operated.running[0]?.get<{ items: { phase: string }[] }>(query)) ?? {
        items: [],
      };
      return items.filter(({ phase }) => phase === "established").length;
    };
    const leaves = (service: ServiceItem | undefined) =>
      service?.endpoints.length === 1 &&
      service.leaving[0]?.address === second &&
      service.leaving[0].leftS > 0;
    const isBack = (service: ServiceItem | undefined) =>
      service?.endpoints.length === 2 && service.leaving.length === 0;
    await Promise.all(cluster.members.map((member) => member.start()));
    await operated.done(operated.member(0), "POST", "/v1/services", spec([0, 1]));
    await cluster.settled();
    for (const index of [0, 1]) operated.servers.push(await cluster.startEndpoint(index, { echo: false }));
    await cluster.endpointsUp();
    for (const index of [0, 1]) await operated.connect(index);
    await until("one association at each", async () => (await at(second)) === 1);

    await t.test("out of a replaced list and back, while the member that was asked dies", async () => {
      await operated.done(operated.member(2), "PUT", path, spec([0]));
      await operated.everywhere("the endpoint to leave", id, leaves);
      await operated.member(2).killDaemon();
      await operated.flowing("an endpoint that leaves");
      await operated.connect(2);
      assert.equal(await at(second), 1, "a new association went to an endpoint that leaves");
      await operated.done(operated.member(1), "PUT", path, spec([0, 1]));
      await operated.everywhere("the endpoint to be back", id, isBack);
      await operated.member(2).start();
      await operated.everywhere("the endpoint to stay", id, isBack);
      await operated.flowing("an endpoint that is back");
    });

    await t.test("detached and attached, as LoxiLB's clients do", async () => {
      const named = (oper: number) => rule(vip, SERVICE_PORT, [second], ENDPOINT_PORT, oper);
      assert.equal(askLoxilb(operated.member(1), "POST", "/config/loadbalancer", named(2)).status, 200);
      await operated.everywhere("the endpoint to leave", id, leaves);
      await operated.flowing("a detached endpoint");
      assert.equal(askLoxilb(operated.member(0), "POST", "/config/loadbalancer", named(1)).status, 200);
      await operated.everywhere("the endpoint to be back", id, isBack);
      await operated.flowing("an attached endpoint");
    });

    await t.test("a posted list that flickers, as with pods that are not ready for a moment", async () => {
      const posted = (endpoints: readonly number[]) =>
        rule(
          vip,
          RULE_PORT,
          endpoints.map((n) => operated.endpoint(n)),
          ENDPOINT_PORT,
        );
      const ruleId = `sctp/${vip}:${RULE_PORT}`;
      const post = (n: number, endpoints: readonly number[]) =>
        assert.equal(
          askLoxilb(operated.member(n), "POST", "/config/loadbalancer", posted(endpoints)).status,
          200,
        );
      post(0, [1]);
      await operated.everywhere("the rule", ruleId, (service) => service !== undefined);
      await operated.connect(3, { remotePort: RULE_PORT });
      for (const n of [0, 1, 2]) {
        post(n, [0]);
        await operated.everywhere("the endpoint to leave", ruleId, leaves);
        post((n + 1) % 3, [0, 1]);
        await operated.everywhere("the endpoint to be back", ruleId, isBack);
      }
      await operated.flowing("a list that flickers");
    });

    await t.test("a client that restarts moves to another endpoint", async () => {
      await operated.done(operated.member(0), "PUT", path, spec([0]));
      await operated.everywhere("the endpoint to leave", id, leaves);
      const query = `/v1/sessions?limit=100&endpoint=${encodeURIComponent(second)}&service=${encodeURIComponent(id)}`;
      const { items } = await operated.member(0).get<{ items: { clients: Address[] }[] }>(query);
      const index = cluster.clients.findIndex((_, n) =>
        cluster.clientAddresses(n).includes(items[0]?.clients[0] as Address),
      );
      const client = operated.clients[index];
      await client?.kill();
      operated.clients[index] = await cluster.startClient(index, { rate: 50, blackhole: true });
      await operated.clients[index]?.established(1);
      await until("it to be at the other endpoint", async () => {
        const { items: left } = await operated.member(1).get<{ items: { phase: string }[] }>(query);
        return left.every(({ phase }) => phase !== "established");
      });
      await operated.flowing("a restart");
    });

    await t.test("when the grace is over, and when the operator says so, its clients are told", async () => {
      const removal = { endpointRemoval: { mode: "drain", graceS: GRACE_S } };
      await operated.done(operated.member(0), "PUT", path, spec([0, 1], removal));
      await operated.everywhere("the endpoint to be back", id, isBack);
      const last = await operated.connect(4);
      await until("an association at the second endpoint", async () => (await at(second)) >= 2);
      await operated.done(operated.member(0), "PUT", path, spec([0], removal));
      await operated.member(0).killDaemon();
      await until("the client to be told when the grace is over", () => last.count("lost") === 1);
      operated.clients.splice(operated.clients.indexOf(last), 1);
      await operated.everywhere("nothing to leave", id, (service) => service?.leaving.length === 0);
      await operated.member(0).start();
      await last.kill();

      await operated.done(operated.member(1), "PUT", path, spec([0, 1]));
      const told = await operated.connect(5);
      await until("an association at the second endpoint", async () => (await at(second)) >= 2);
      const endpoint = encodeURIComponent(`${second}:${ENDPOINT_PORT}`);
      await operated.done(operated.member(2), "DELETE", `${path}/endpoints/${endpoint}?sessions=end`);
      await until("its client to be told at once", () => told.count("lost") === 1, GRACE_S * 1_000);
      operated.clients.splice(operated.clients.indexOf(told), 1);
      await operated.flowing("the others");
    });
    for (const member of cluster.members) assert.ok(!member.crashed, `${member.name} ended by itself`);
  });
});
