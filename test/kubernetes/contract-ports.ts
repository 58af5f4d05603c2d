// The part of the contract about ports: protocols beside each other, and whence clients may come.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { associate, pod, type World } from "./world.ts";

const ID = "sctp/203.0.113.1:38412";
const N2 = { name: "n2", port: 38412, protocol: "SCTP" as const };
const WEB = { name: "web", port: 80, protocol: "TCP" as const };
const DNS = { name: "dns", port: 53, protocol: "UDP" as const };

export function describePorts(worldOf: () => World): void {
  describeProtocols(worldOf);
  describeOrder(worldOf);
  describeDrains(worldOf);
  describeRefusals(worldOf);
  describeSourceRanges(worldOf);
}

const portsOf = async ({ cluster }: World, name: string) =>
  (await cluster.get(name)).status?.loadBalancer?.ingress?.[0]?.ports;

function describeProtocols(worldOf: () => World): void {
  test("ports of SCTP, TCP and UDP beside each other: a service each, with one VIP and its own state", async () => {
    const { cluster } = worldOf();
    await cluster.service("mixed", { "holdfast.io/idle-timeout": "600" }, { ports: [N2, WEB, DNS] });
    await cluster.slice("mixed", [pod("10.0.0.5")], {
      ports: [N2, { ...WEB, port: 8080 }, { ...DNS, port: 5353 }],
    });
    await cluster.address("mixed");
    await until("all three", async () => {
      assert.deepEqual(await worldOf().served(), [
        "203.0.113.1:38412 -> 10.0.0.5:38412",
        "203.0.113.1:53 -> 10.0.0.5:5353",
        "203.0.113.1:80 -> 10.0.0.5:8080",
      ]);
      return true;
    });
    assert.deepEqual(await portsOf(worldOf(), "mixed"), [
      { port: 38412, protocol: "SCTP" },
      { port: 80, protocol: "TCP" },
      { port: 53, protocol: "UDP" },
    ]);
    const web = await worldOf().view("tcp/203.0.113.1:80");
    assert.deepEqual([web.name, web.idle?.establishedS], ["kubernetes/default/mixed/80-tcp", 600]);
    assert.equal((await worldOf().view(ID)).idleTimeoutS, 600);
    await cluster.event("mixed", "EnsuredLoadBalancer", /UDP port 53/);
  });

  test("one number of two protocols is two ports", async () => {
    const { cluster } = worldOf();
    const ports = [
      { ...DNS, name: "dns" },
      { ...DNS, name: "dns-tcp", protocol: "TCP" as const },
    ];
    await cluster.service("dns", {}, { ports });
    await cluster.slice("dns", [pod("10.0.0.5")], { ports });
    await cluster.address("dns");
    for (const protocol of ["tcp", "udp"])
      await until(`the ${protocol} port`, async () => {
        const view = await worldOf().view(`${protocol}/203.0.113.1:53`);
        return view.endpoints.length === 1;
      });
    await cluster.patch("dns", { spec: { ports: ports.slice(0, 1) } });
    await until("one of them", async () => (await worldOf().served()).length === 1);
    assert.equal((await worldOf().view("udp/203.0.113.1:53")).removal, undefined);
  });
}

function describeOrder(worldOf: () => World): void {
  test("VIPs in another order are the same service, which stays", async () => {
    const { cluster, controller } = worldOf();
    await cluster.service("amf", { "holdfast.io/pool": "net-a", "holdfast.io/secondary-pools": "net-b" });
    await cluster.slice("amf", [pod("10.0.0.5")]);
    assert.equal(await cluster.address("amf"), "203.0.113.1");
    const { revision } = await until("its pod", async () => {
      const view = await worldOf().view(ID);
      return view.endpoints.length === 1 ? view : undefined;
    });
    await cluster.annotate("amf", { "holdfast.io/pool": "net-b", "holdfast.io/secondary-pools": "net-a" });
    await until("the address", async () => (await cluster.address("amf")) === "198.51.100.1");
    const { lists } = controller.members.counters;
    await until("looks at the members", () => controller.members.counters.lists > lists + 3);
    const view = await worldOf().view(ID);
    assert.deepEqual([view.revision, view.removal], [revision, undefined]);
    assert.equal(controller.members.counters.removals, 0);
  });

  test("a VIP before the others, and then without them: the port is served all the time, or at once again", async () => {
    const { cluster, controller } = worldOf();
    await cluster.service("amf", { "holdfast.io/pool": "net-a" });
    await cluster.slice("amf", [pod("10.0.0.5")]);
    await cluster.address("amf");
    const serves = (line: string) =>
      until(`it serves ${line}`, async () => {
        assert.deepEqual(await worldOf().served(), [line]);
        return true;
      });
    await serves("203.0.113.1:38412 -> 10.0.0.5:38412");
    await cluster.annotate("amf", { "holdfast.io/pool": "net-b", "holdfast.io/secondary-pools": "net-a" });
    await serves("203.0.113.1+198.51.100.1:38412 -> 10.0.0.5:38412");
    assert.equal(controller.members.counters.removals, 0);
    await cluster.annotate("amf", { "holdfast.io/secondary-pools": null });
    await serves("198.51.100.1:38412 -> 10.0.0.5:38412");
    const refused = (await cluster.events("amf")).filter((event) => /^SyncLoadBalancerFailed/.test(event));
    assert.deepEqual(refused, []);
  });
}

function describeDrains(worldOf: () => World): void {
  test("a VIP that a Service leaves with associations is given to nobody else, and may be its own again", async () => {
    const { cluster } = worldOf();
    await cluster.service("amf", { "holdfast.io/pool": "net-a" });
    await cluster.slice("amf", [pod("10.0.0.5")]);
    assert.equal(await cluster.address("amf"), "203.0.113.1");
    associate(worldOf());
    await cluster.annotate("amf", { "holdfast.io/pool": "net-b" });
    await until("the new address", async () => (await cluster.address("amf")) === "198.51.100.1");
    assert.equal((await worldOf().view(ID)).removal?.mode, "drain");
    await cluster.service("next", { "holdfast.io/pool": "net-a" });
    await cluster.slice("next", [pod("10.0.0.6")]);
    assert.equal(await cluster.address("next"), "203.0.113.2");
    await cluster.service("other", {}, { loadBalancerIP: "203.0.113.1" });
    await cluster.event("other", "AllocationFailed", /used by default\/amf/);
    await cluster.annotate("amf", { "holdfast.io/pool": null, "holdfast.io/ip": "203.0.113.1" });
    await until("the old address", async () => (await cluster.address("amf")) === "203.0.113.1");
    assert.equal((await worldOf().view(ID)).removal, undefined);
  });

  test("a Service that drops its first VIP and keeps the second waits for its own associations, and says so", async () => {
    const { cluster } = worldOf();
    const both = { "holdfast.io/pool": "net-a", "holdfast.io/secondary-pools": "net-b" };
    await cluster.service("amf", both);
    await cluster.slice("amf", [pod("10.0.0.5")]);
    await cluster.address("amf");
    associate(worldOf());
    await cluster.annotate("amf", { "holdfast.io/pool": "net-b", "holdfast.io/secondary-pools": null });
    const said = await cluster.event("amf", "SyncLoadBalancerFailed");
    assert.match(said, /sctp\/203\.0\.113\.1:38412, as which it was served before, drains/);
    assert.match(said, /at the latest after \d{4}-\d\d-\d\dT/);
    await until("its condition", async () =>
      (await cluster.get("amf")).status?.conditions?.some(
        ({ status, message = "" }) => status === "False" && message.includes("drains"),
      ),
    );
    // What its own associations keep it from, nobody else's does.
    await cluster.annotate("amf", both);
    await until("all as before", async () => (await worldOf().served())[0]?.startsWith("203.0.113.1+198"));
    assert.equal((await worldOf().view(ID)).removal, undefined);
    await cluster.annotate("amf", { "holdfast.io/pool": "net-b", "holdfast.io/secondary-pools": null });
    await until("it drains again", async () => (await worldOf().view(ID)).removal?.mode === "drain");
    worldOf().members[0]?.node.registry.remove(ID, { farewell: "end" });
    await until("the second VIP alone", async () =>
      (await worldOf().served())[0]?.startsWith("198.51.100.1:38412"),
    );
    await until("its address", async () => (await cluster.address("amf")) === "198.51.100.1");
  });
}

function describeRefusals(worldOf: () => World): void {
  test("a port that the members refuse says so, the others are served", async () => {
    const { cluster, members } = worldOf();
    members[0]?.node.registry.create({
      name: "by hand",
      protocol: "tcp",
      vips: ["203.0.113.1"],
      port: 80,
      selection: "leastAssociations",
      endpoints: [],
      idleTimeoutS: 900,
      restartNewAddresses: "abort",
      clientPrefixes: [],
      withdrawWhenDown: false,
    });
    await cluster.service("mixed", { "holdfast.io/ip": "203.0.113.1" }, { ports: [N2, WEB] });
    const both = await until("its ports", async () => {
      const ports = await portsOf(worldOf(), "mixed");
      return ports !== undefined && ports.length === 2 ? ports : undefined;
    });
    assert.deepEqual(both, [
      { port: 38412, protocol: "SCTP" },
      { port: 80, protocol: "TCP", error: "holdfast.io/AddressInUse" },
    ]);
    const { status } = await cluster.get("mixed");
    const programmed = status?.conditions?.find(({ type }) => type === "holdfast.io/Programmed");
    assert.equal(programmed?.status, "False");
  });

  test("what is for SCTP alone says nothing of the TCP port beside it", async () => {
    const { cluster } = worldOf();
    await cluster.service(
      "mixed",
      { "holdfast.io/health": "sctp", "holdfast.io/nat-port": "require" },
      { ports: [N2, WEB] },
    );
    await cluster.address("mixed");
    const web = await until("the TCP port", () => worldOf().view("tcp/203.0.113.1:80"));
    assert.deepEqual([web.natPort, web.healthCheck], ["keep", undefined]);
    const n2 = await worldOf().view(ID);
    assert.deepEqual([n2.natPort, n2.healthCheck?.kind], ["require", "sctp"]);
  });
}

function describeSourceRanges(worldOf: () => World): void {
  test("source ranges become the members' allowed sources, change with them and go with them", async () => {
    const { cluster } = worldOf();
    const allowed = async () => (await worldOf().view(ID)).allowedSources;
    await cluster.service("amf", {}, { loadBalancerSourceRanges: ["10.64.0.0/16", "10.1.2.0/24"] });
    await cluster.address("amf");
    assert.deepEqual(await allowed(), ["10.1.2.0/24", "10.64.0.0/16"]);
    await cluster.patch("amf", { spec: { loadBalancerSourceRanges: ["10.64.0.0/16"] } });
    await until("one range", async () => String(await allowed()) === "10.64.0.0/16");
    await cluster.patch("amf", { spec: { loadBalancerSourceRanges: ["0.0.0.0/0"] } });
    await until("everybody", async () => (await allowed())?.length === 0);
    await cluster.annotate("amf", {
      "service.beta.kubernetes.io/load-balancer-source-ranges": "10.9.0.0/16",
    });
    await cluster.patch("amf", { spec: { loadBalancerSourceRanges: null } });
    await until("the annotation's", async () => String(await allowed()) === "10.9.0.0/16");
    await cluster.annotate("amf", { "service.beta.kubernetes.io/load-balancer-source-ranges": null });
    await until("everybody again", async () => (await allowed())?.length === 0);
  });

  test("source ranges of one family keep the other out", async () => {
    const { cluster } = worldOf();
    await cluster.pool("six", ["2001:db8::/125"], { default: true });
    await cluster.service(
      "amf",
      {},
      {
        ipFamilies: ["IPv4", "IPv6"],
        ipFamilyPolicy: "RequireDualStack",
        loadBalancerSourceRanges: ["0.0.0.0/0"],
      },
    );
    assert.equal(await cluster.address("amf"), "203.0.113.1,2001:db8::1");
    assert.deepEqual((await worldOf().view(ID)).allowedSources, ["0.0.0.0/0"]);
  });
}
