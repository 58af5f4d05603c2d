// What can be missing, late, twice or wrong around the controller, and what is served meanwhile.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createClient } from "@holdfast/api";
import { SERVICES, startController, VIP_POOLS, type VipPoolObject } from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { restartWith } from "./scale.ts";
import { CLASS, NAMESPACE, openWorld, pod, type TestWorld, TIMES } from "./world.ts";

let world: TestWorld | undefined;
async function open(options: Parameters<typeof openWorld>[0] = {}): Promise<TestWorld> {
  world = await openWorld(options);
  return world;
}
afterEach(async () => {
  await world?.close();
  world = undefined;
});

test("a new leader finds fifty Services as they are: nothing moves", async () => {
  world = await restartWith(50);
});

test("what pools say of their use is written once for many Services, not once for each", async () => {
  const { server, cluster } = await open({ times: { poolStatusMs: 2_000 } });
  await cluster.pool("net-a", ["10.64.0.0/24"], { default: true });
  const names = Array.from({ length: 20 }, (_, index) => `s${index}`);
  const before = server.requests.get("PATCH vippools") ?? 0;
  await Promise.all(names.map((name) => cluster.service(name)));
  await Promise.all(names.map((name) => cluster.address(name)));
  const used = async () =>
    (await cluster.client.get<VipPoolObject>(VIP_POOLS, { name: "net-a" })).status?.used;
  await until("all to be counted", async () => (await used()) === names.length);
  const writes = (server.requests.get("PATCH vippools") ?? 0) - before;
  assert.ok(writes < names.length / 2, `${writes} writes`);
});

test("the API server is away: what is served stays, and what changed is seen when it is back", async () => {
  const { server, cluster, controller, served } = await open();
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  await cluster.service("amf");
  await cluster.slice("amf", [pod("10.0.0.5")]);
  await cluster.address("amf");
  const port = server.port;
  await until("the endpoint", async () => (await served())[0]?.includes("10.0.0.5"));
  await server.close();
  const failures = () => controller.copies.services.counters.failures;
  const before = failures();
  await until("it is missed", () => failures() > before + 5);
  assert.deepEqual(await served(), ["203.0.113.1:38412 -> 10.0.0.5:38412"]);
  server.compact();
  await server.listen(port);
  await cluster.endpoints("amf", [pod("10.0.0.6")]);
  await until("the change", async () => (await served())[0] === "203.0.113.1:38412 -> 10.0.0.6:38412");
});

test("writes that are overtaken, errors and throttling end in the same", async () => {
  const { server, cluster, controller, served } = await open();
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  await cluster.service("amf");
  server.faults.conflicts = 3;
  await cluster.address("amf");
  const { counters } = controller.copies.services;
  for (const refuse of [{ status: 429, retryAfterS: 0.05 }, { status: 503 }]) {
    const before = counters.failures;
    server.faults.refuse = refuse;
    server.endWatches();
    await until("refusals", () => counters.failures > before + 1);
  }
  server.faults.refuse = undefined;
  await cluster.service("smf");
  await cluster.address("smf");
  assert.deepEqual(await served(), ["203.0.113.1:38412 -> ", "203.0.113.2:38412 -> "]);
});

test("a member that is gone is nobody's trouble: the next one is asked, also for a deletion", async () => {
  const { cluster, members } = await open({ memberCount: 3 });
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  await cluster.service("amf");
  await cluster.address("amf");
  await members[0]?.stop();
  await cluster.slice("amf", [pod("10.0.0.5")]);
  const other = createClient({ url: members[2]?.url ?? "" });
  await until("the change", async () => (await other.listServices())[0]?.endpoints.length === 1);
  await members[1]?.stop();
  await cluster.remove("amf");
  await until("its end", () => cluster.isGone("amf"));
  assert.deepEqual(await other.listServices(), []);
});

test("no member answers: Services wait with their finalizers, and are done when one does", async () => {
  const { cluster, members, served } = await open({ memberCount: 2 });
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  await cluster.service("old");
  await cluster.address("old");
  for (const member of members) await member.stop();
  await cluster.remove("old");
  await cluster.service("new");
  await cluster.event("new", "SyncLoadBalancerFailed", /No node answers/);
  assert.ok((await cluster.get("old")).metadata.deletionTimestamp);
  assert.equal((await cluster.get("new")).status?.loadBalancer?.ingress, undefined);
  for (const member of members) await member.start();
  await until("its end", () => cluster.isGone("old"));
  await cluster.address("new");
  assert.equal((await served()).length, 1);
});

test("what members lose or others change there is put right; orphans are collected, others' are not", async () => {
  const { cluster, members, controller, served } = await open();
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  await cluster.service("amf");
  await cluster.address("amf");
  const { registry } = members[0]?.node ?? assert.fail();
  registry.remove("sctp/203.0.113.1:38412", { farewell: "end" });
  await until("it is back", async () => (await served()).length === 1);
  const spec = (name: string, vip: string) => ({
    name,
    protocol: "sctp" as const,
    vips: [vip],
    port: 38412,
    selection: "leastAssociations" as const,
    endpoints: [],
    idleTimeoutS: 900,
    restartNewAddresses: "abort" as const,
    clientPrefixes: [],
    withdrawWhenDown: false,
  });
  registry.create(spec("kubernetes/default/forgotten/38412", "203.0.113.5"));
  registry.create(spec("elsewhere/default/kept/38412", "203.0.113.6"));
  await until("both are seen", () => [...controller.members.services].length === 3);
  await until("the orphan is gone", async () => (await served()).length === 2);
  assert.deepEqual(await served(), ["203.0.113.1:38412 -> ", "203.0.113.6:38412 -> "]);
});

test("a VIP that a Service leaves without associations is the next one's at once", async () => {
  const { cluster } = await open({ times: { pollMs: 3_600_000, pendingMs: 3_600_000 } });
  await cluster.pool("one", ["203.0.113.9/32"]);
  await cluster.pool("other", ["198.51.100.9/32"]);
  await cluster.service("amf", { "holdfast.io/pool": "one" });
  assert.equal(await cluster.address("amf"), "203.0.113.9");
  await cluster.service("next", { "holdfast.io/pool": "one" });
  await cluster.event("next", "AllocationFailed");
  await cluster.annotate("amf", { "holdfast.io/pool": "other" });
  assert.equal(await cluster.address("next"), "203.0.113.9");
});

test("deleted while no controller was there: the next one cleans up", async () => {
  const first = await open();
  await first.cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  await first.cluster.service("amf");
  await first.cluster.address("amf");
  await first.controller.stop();
  await first.cluster.remove("amf");
  world = await first.restart();
  await until("its end", () => (world as TestWorld).cluster.isGone("amf"));
  assert.deepEqual(await (world as TestWorld).served(), []);
});

test("kube-loxilb's Services are taken over with their addresses, secondaries included, and no association ends", async () => {
  const first = await open({ classes: [] });
  await first.cluster.pool("defaultpool", ["203.0.113.0/29"], { default: true });
  await first.cluster.pool("p2", ["198.51.100.0/29"]);
  await first.cluster.service(
    "amf",
    { "loxilb.io/poolSelectSecondary": "p2" },
    { loadBalancerClass: "loxilb.io/loxilb" },
  );
  const where = { namespace: NAMESPACE, name: "amf" };
  const ingress = [{ hostname: "llb-203.0.113.3" }];
  await first.cluster.client.patch(SERVICES, where, { status: { loadBalancer: { ingress } } }, "status");
  const { registry } = first.members[0]?.node ?? assert.fail();
  registry.put(
    {
      name: "default_amf:llb-inst0",
      protocol: "sctp",
      vips: ["203.0.113.3", "198.51.100.5"],
      port: 38412,
      selection: "roundRobin",
      endpoints: [],
      idleTimeoutS: 1800,
      restartNewAddresses: "abort",
      clientPrefixes: [],
      withdrawWhenDown: false,
    },
    "loxilb",
  );
  world = await first.restart({ classes: [CLASS, "loxilb.io/loxilb"] });
  const { cluster, served, controller } = world;
  await until("the address as an address", async () => (await cluster.address("amf")) === "203.0.113.3");
  assert.deepEqual(await served(), ["203.0.113.3+198.51.100.5:38412 -> "]);
  assert.deepEqual(controller.members.counters.creates, 0);
  assert.equal(
    (await cluster.get("amf")).metadata.annotations?.["holdfast.io/vips"],
    "203.0.113.3=defaultpool,198.51.100.5=p2",
  );
});

test("two Services that have one address written down: the older keeps it, the other gets another and is told", async () => {
  const first = await open({ classes: [] });
  await first.cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  const vips = { "holdfast.io/vips": "203.0.113.4=net-a" };
  await first.cluster.service("one", vips);
  await first.cluster.service("two", vips);
  world = await first.restart({ classes: [CLASS] });
  assert.equal(await world.cluster.address("one"), "203.0.113.4");
  assert.equal(await world.cluster.address("two"), "203.0.113.1");
  await world.cluster.event("two", "AssignmentClash", /203\.0\.113\.4/);
});

test("of two replicas one works, and the other when that one is gone; probes and metrics say which", async (t) => {
  const { server, cluster, members, served } = await open({ classes: [], cluster: "another" });
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  const start = (identity: string) =>
    startController({
      connection: { url: server.url, namespace: NAMESPACE },
      members: members.map(({ url }) => ({ name: url, client: createClient({ url }) })),
      cluster: "kubernetes",
      classes: [CLASS],
      allowsAnyAddress: false,
      leaseName: "holdfast-controller",
      listen: "127.0.0.1:0",
      identity,
      log: () => {},
      times: TIMES ?? {},
      electionTimes: { leaseMs: 15_000, renewMs: 10_000, retryMs: 50 },
    });
  const ask = (port: number, path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  const one = await start("one");
  t.after(() => one.stop());
  await until("the first leads", () => one.isLeader && one.isReady);
  const two = await start("two");
  t.after(() => two.stop());
  await until("the second stands by", () => two.isReady);
  await cluster.service("amf");
  await cluster.address("amf");
  assert.match(await (await ask(one.port, "/metrics")).text(), /holdfast_controller_leader 1\n/);
  assert.match(await (await ask(one.port, "/metrics")).text(), /holdfast_controller_services 1\n/);
  assert.match(await (await ask(two.port, "/metrics")).text(), /holdfast_controller_leader 0\n/);
  assert.equal((await ask(two.port, "/readyz")).status, 200);
  assert.equal((await ask(two.port, "/healthz")).status, 200);
  await one.stop();
  await until("the second leads", () => two.isLeader && two.isReady);
  await cluster.service("smf");
  await cluster.address("smf");
  assert.equal((await served()).length, 2);
});

test("the API server is away for longer than a lease: nobody leads, all is served, and then one leads again", async (t) => {
  const { server, cluster, members, served } = await open({ classes: [], cluster: "another" });
  await cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
  const controller = await startController({
    connection: { url: server.url, namespace: NAMESPACE },
    members: members.map(({ url }) => ({ name: url, client: createClient({ url }) })),
    cluster: "kubernetes",
    classes: [CLASS],
    allowsAnyAddress: false,
    leaseName: "holdfast-controller",
    listen: "127.0.0.1:0",
    log: () => {},
    times: TIMES ?? {},
    electionTimes: { leaseMs: 3000, renewMs: 2000, retryMs: 50 },
  });
  t.after(() => controller.stop());
  await cluster.service("amf");
  await cluster.slice("amf", [pod("10.0.0.5")]);
  await until("the endpoint", async () => (await served())[0]?.includes("10.0.0.5"));
  const { port } = server;
  await server.close();
  await until("nobody leads", () => !controller.isLeader);
  assert.deepEqual(await served(), ["203.0.113.1:38412 -> 10.0.0.5:38412"]);
  assert.equal((await fetch(`http://127.0.0.1:${controller.port}/healthz`)).status, 200);
  await server.listen(port);
  await cluster.endpoints("amf", [pod("10.0.0.6")]);
  await until("the change", async () => (await served())[0] === "203.0.113.1:38412 -> 10.0.0.6:38412");
});
