// The contract with loxicmd and kube-loxilb: every call that they make, every rule by which they read a
// reply.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { KubeLoxilb, type KubeVersion, Loxicmd } from "./clients.ts";
import { addSession, type RigMember, startRig } from "./rig.ts";

const VIP = "123.123.123.1";
const SECONDARIES = ["124.124.124.1", "125.125.125.1"];
const ID = `sctp/${VIP}:55002`;
const LB = {
  ip: VIP,
  port: 55002,
  targetPort: 9999,
  endpoints: ["31.31.31.1"],
  secondaries: SECONDARIES,
  name: "sctpmh1",
};

const GRACE_MS = 300;
/** A grace that no loaded machine waits out. */
const LONG_MS = 3_600_000;

interface LbReply {
  lbAttr: {
    serviceArguments: Record<string, unknown>;
    secondaryIPs: { secondaryIP: string }[] | null;
    allowedSources: null;
    endpoints: { endpointIP: string; targetPort: number; weight: number; state: string; counter: string }[];
  }[];
}

/** Waits for a condition. */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const limit = performance.now() + 20_000;
  while (!(await condition())) {
    assert.ok(performance.now() < limit, `waited too long until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("loxicmd", () => {
  let rig: Awaited<ReturnType<typeof startRig>>;
  let member: RigMember;
  let cli: Loxicmd;
  before(async () => {
    rig = await startRig({ members: 2, graceMs: 100 });
    member = rig.members[0] as RigMember;
    cli = new Loxicmd(member.url);
  });
  after(() => rig.stop());
  const list = async () => (await cli.get<LbReply>("/config/loadbalancer/all"))?.lbAttr ?? [];

  test("create lb makes a service that /v1 shows, at every member", async () => {
    assert.equal(await cli.createLb(LB), "Success");
    const service = rig.members[1]?.node.registry.find(ID);
    assert.deepEqual(service?.vips, [VIP, ...SECONDARIES]);
    assert.equal(service?.name, "sctpmh1");
    assert.deepEqual(service?.endpoints, [{ address: "31.31.31.1", port: 9999, weight: 1, state: "active" }]);
  });

  test("get lb has what the wide table prints, at every member", async () => {
    const rules = await new Loxicmd(rig.members[1]?.url ?? "").get<LbReply>("/config/loadbalancer/all");
    const [rule] = rules?.lbAttr ?? [];
    assert.equal(rule?.serviceArguments["externalIP"], VIP);
    assert.equal(rule?.serviceArguments["port"], 55002);
    assert.equal(rule?.serviceArguments["protocol"], "sctp");
    assert.equal(rule?.serviceArguments["mode"], 2);
    assert.equal(rule?.serviceArguments["monitor"], true);
    assert.equal(rule?.serviceArguments["name"], "sctpmh1");
    assert.ok(!("sel" in (rule?.serviceArguments ?? {})), "zero fields are absent");
    assert.deepEqual(
      rule?.secondaryIPs,
      SECONDARIES.map((secondaryIP) => ({ secondaryIP })),
    );
    assert.equal(rule?.allowedSources, null);
    assert.equal(rule?.endpoints[0]?.state, "active");
    assert.match(rule?.endpoints[0]?.counter ?? "", /^\d+:\d+$/);
  });

  test("replies have the content type without a charset", async () => {
    for (const path of ["/config/loadbalancer/all", "/config/conntrack/all", "/version", ""]) {
      const reply = await cli.request("GET", path);
      assert.equal(reply.contentType, "application/json", path);
      assert.equal(reply.status, 200, path);
    }
    const reply = await cli.request("DELETE", "/config/loadbalancer/name/nobody");
    assert.deepEqual(
      [reply.status, reply.contentType, reply.text],
      [200, "application/json", '{"result":"Success"}'],
    );
  });

  test("secondaries change with a second post", async () => {
    assert.equal(await cli.createLb({ ...LB, secondaries: ["124.124.124.9", "124.124.124.10"] }), "Success");
    assert.deepEqual((await list())[0]?.secondaryIPs, [
      { secondaryIP: "124.124.124.9" },
      { secondaryIP: "124.124.124.10" },
    ]);
    assert.equal(await cli.createLb(LB), "Success");
  });

  test("get ct: a forward and a reverse entry for each path, with the packets of all members", async () => {
    for (const { node } of rig.members)
      addSession(node.view, {
        primary: VIP,
        port: 55002,
        client: "1.1.1.1",
        clientPort: 20000,
        endpoint: "31.31.31.1",
        natPort: 20000,
      });
    for (const { url } of rig.members) {
      const reply = await new Loxicmd(url).get<{ ctAttr: Record<string, unknown>[] }>(
        "/config/conntrack/all",
      );
      const forward = reply?.ctAttr.find((ct) => ct["destinationIP"] === VIP && ct["sourceIP"] === "1.1.1.1");
      assert.deepEqual(forward, {
        destinationIP: VIP,
        sourceIP: "1.1.1.1",
        destinationPort: 55002,
        sourcePort: 20000,
        conntrackAct: `fdnat-${VIP},31.31.31.1:55002:w0`,
        packets: 21,
        bytes: 2100,
        protocol: "sctp",
        conntrackState: "est",
        ident: "0:0",
        servName: "sctpmh1",
      });
      const reverse = reply?.ctAttr.find(
        (ct) => ct["destinationIP"] === VIP && ct["sourceIP"] === "31.31.31.1",
      );
      assert.equal(reverse?.["conntrackAct"], `fsnat-${VIP},1.1.1.1:55002:w0`);
      assert.equal(reverse?.["destinationPort"], 20000);
    }
  });

  test("get ep, create ep, delete ep", async () => {
    type Endpoints = { Attr: Record<string, unknown>[] };
    const all = async () => (await cli.get<Endpoints>("/config/endpoint/all"))?.Attr ?? [];
    const known = (await all()).find((endpoint) => endpoint["hostName"] === "31.31.31.1");
    assert.equal(known?.["name"], "31.31.31.1_sctp_9999");
    assert.equal(known?.["probeType"], "sctp");
    assert.equal(known?.["currState"], "ok");
    const extra = {
      hostName: "31.31.31.7",
      name: "x",
      inactiveReTries: 2,
      probeType: "ping",
      probeDuration: 60,
    };
    assert.equal(await cli.change("POST", "/config/endpoint", extra), "Success");
    assert.equal((await all()).filter((endpoint) => endpoint["hostName"] === "31.31.31.7").length, 1);
    const path = "/config/endpoint/epipaddress/31.31.31.7?name=x&probe_port=0&probe_type=ping";
    assert.equal(await cli.change("DELETE", path), "Success");
    assert.equal((await all()).filter((endpoint) => endpoint["hostName"] === "31.31.31.7").length, 0);
    assert.equal((await cli.request("POST", "/config/endpoint", {})).status, 422);
  });

  test("a host state drains the endpoint", async () => {
    const set = (state: string) =>
      cli.change("POST", "/config/endpointhoststate", {
        hostName: "31.31.31.1",
        epPort: 9999,
        epProto: "sctp",
        state,
      });
    assert.equal(await set("red"), "Success");
    assert.equal(member.node.registry.find(ID).endpoints[0]?.state, "drain");
    assert.equal(await cli.createLb(LB), "Success");
    assert.equal(
      member.node.registry.find(ID).endpoints[0]?.state,
      "drain",
      "a repeated post does not undo it",
    );
    assert.equal(await cli.createLb({ ...LB, endpoints: ["31.31.31.9"] }), "Success");
    assert.equal(await cli.createLb(LB), "Success");
    const back = member.node.registry.find(ID);
    assert.equal(back.endpoints[0]?.state, "drain", "nor does a list that was without it for a moment");
    assert.deepEqual(
      back.leaving?.map(({ address }) => address),
      ["31.31.31.9"],
    );
    assert.equal(await set("green"), "Success");
    assert.equal(member.node.registry.find(ID).endpoints[0]?.state, "active");
  });

  test("get hastate tells the truth about this member", async () => {
    const states = await cli.get<{ Attr: { instance: string; state: string }[] }>("/config/cistate/all");
    assert.deepEqual(
      states?.Attr.map(({ instance, state }) => [instance, state]),
      [["llb-inst0", "MASTER"]],
    );
    const other = new Loxicmd(rig.members[1]?.url ?? "");
    assert.equal(
      (await other.get<{ Attr: { state: string }[] }>("/config/cistate/all"))?.Attr[0]?.state,
      "BACKUP",
    );
    const unknown = await cli.request("POST", "/config/cistate", {
      instance: "nobody",
      state: "MASTER",
      vip: "1.2.3.4",
    });
    assert.equal(unknown.status, 404);
    assert.match(unknown.text, /cluster instance not found/);
  });

  test("create, set, get and delete bfd; `default` is the first instance", async () => {
    const session = {
      instance: "default",
      remoteIp: "10.0.0.2",
      sourceIp: "10.0.0.1",
      port: 0,
      interval: 200000,
      retryCount: 3,
      state: "",
    };
    assert.equal(await cli.change("POST", "/config/bfd", session), "Success");
    assert.equal(
      await cli.change("POST", "/config/bfd", { instance: "default", remoteIp: "10.0.0.2", retryCount: 5 }),
      "Success",
    );
    const all = await cli.get<{ Attr: Record<string, unknown>[] }>("/config/bfd/all");
    assert.deepEqual(all?.Attr, [
      {
        instance: "llb-inst0",
        remoteIp: "10.0.0.2",
        sourceIP: "10.0.0.1",
        port: 3784,
        interval: 200000,
        retryCount: 5,
        state: "BFDDown",
      },
    ]);
    // A client's mistake, which LoxiLB answers with 500.
    const low = await cli.request("POST", "/config/bfd", { ...session, interval: 1000 });
    assert.equal(low.status, 400);
    assert.match(low.text, /bfd interval too low/);
    assert.equal(await cli.change("DELETE", "/config/bfd/remoteIP/10.0.0.2?instance=default"), "Success");
    assert.equal((await cli.request("DELETE", "/config/bfd/remoteIP/10.0.0.2?instance=default")).status, 404);
  });

  test("BGP neighbours are stored and shown", async () => {
    const neighbour = { ipAddress: "10.9.9.9", remoteAs: 64512, remotePort: 0, setMultiHop: false };
    assert.equal(await cli.change("POST", "/config/bgp/neigh", neighbour), "Success");
    const all = await cli.get<{ bgpNeiAttr: Record<string, unknown>[] }>("/config/bgp/neigh/all");
    assert.equal(all?.bgpNeiAttr[0]?.["ipAddress"], "10.9.9.9");
    assert.equal(all?.bgpNeiAttr[0]?.["remoteAs"], 64512);
    assert.equal(await cli.change("DELETE", "/config/bgp/neigh/10.9.9.9?remoteAs=64512"), "Success");
  });

  test("what is stored and not acted on is bounded, in bytes too, and goes when it is deleted", async () => {
    const body = (name: string) => ({ name, prefixList: [{ ipPrefix: "x".repeat(60_000) }] });
    const post = (name: string) => cli.change("POST", "/config/bgp/policy/definedsets/prefix", body(name));
    let stored = 0;
    while ((await post(`P${stored}`)) === "Success") stored += 1;
    assert.ok(stored > 10 && stored < 20, `${stored} of 60 kB each`);
    // Another kind has no room either, one entry has a bound of its own, and kinds are not anybody's to make
    // up.
    assert.notEqual(
      await cli.change("POST", "/config/bgp/policy/definitions", body("D").prefixList[0]),
      "Success",
    );
    const path = "/config/bgp/policy/definedsets";
    assert.notEqual(await cli.change("POST", `${path}/made-up`, { name: "Q" }), "Success");
    for (let i = 0; i < stored; i++) await cli.change("DELETE", `${path}/prefix/P${i}`);
    assert.equal(await post("again"), "Success");
    assert.equal(await cli.change("DELETE", `${path}/prefix/again`), "Success");
  });

  test("version, status, params, metrics", async () => {
    const version = await cli.get<{ version: string; buildInfo: string }>("/version");
    assert.ok((version?.version ?? "") !== "" && (version?.buildInfo ?? "") !== "");
    const status = await cli.get<{ processAttr: Record<string, string>[] }>("/status/process");
    assert.equal(status?.processAttr[0]?.["pid"], String(process.pid));
    assert.ok((await cli.get<{ kernel: string }>("/status/device"))?.kernel);
    assert.ok(
      Array.isArray((await cli.get<{ filesystemAttr: unknown[] }>("/status/filesystem"))?.filesystemAttr),
    );
    assert.equal(await cli.change("POST", "/config/params", { logLevel: "warning" }), "Success");
    assert.equal((await cli.get<{ logLevel: string }>("/config/params"))?.logLevel, "warning");
    assert.equal((await cli.request("POST", "/config/params", { logLevel: "loud" })).status, 400);
    const metrics = await cli.request("GET", "/metrics");
    for (const name of [
      "active_conntrack_count 1",
      "lb_rule_count 1",
      "loxilb_lb_rules 1",
      "healthy_host_count 1",
      "loxilb_requests_total 3",
    ])
      assert.ok(metrics.text.includes(name), name);
    assert.deepEqual(await cli.get("/metrics/lbrulecount"), { lbRuleCount: 1 });
    for (const name of ["nothing", "__proto__", "constructor"])
      assert.equal((await cli.request("GET", `/metrics/${name}`)).status, 404);
    assert.equal(await cli.change("DELETE", "/config/metrics"), "Success");
    const off = await cli.request("GET", "/metrics");
    assert.deepEqual([off.status, off.text], [503, "Prometheus option is disabled."]);
  });

  test("what this node does not do is refused in the form that every client notices", async () => {
    const refused = [
      await cli.createLb({ ...LB, port: 80, protocol: "icmp", secondaries: [] }),
      await cli.createLb({ ...LB, port: 81, mode: 3 }),
      await cli.createLb({ ...LB, port: 82, mode: 4, secondaries: [] }),
      await cli.createLb({ ...LB, port: 83, sel: 6 }),
      await cli.change("POST", "/config/loadbalancer", {
        serviceArguments: { externalIP: VIP, port: 84, protocol: "sctp", mode: 2, host: "a.example" },
        endpoints: [],
      }),
    ];
    for (const result of refused) {
      assert.match(result ?? "nothing printed", /^Error: /);
      // kube-loxilb takes any text with "exist" for success.
      assert.doesNotMatch(result ?? "", /exist/);
    }
    assert.equal((await list()).length, 1);
  });

  test("mistakes get LoxiLB's status, text and body", async () => {
    const post = (serviceArguments: object, more: object = {}) =>
      cli.request("POST", "/config/loadbalancer", {
        serviceArguments: { externalIP: VIP, port: 90, protocol: "sctp", mode: 2, ...serviceArguments },
        endpoints: [],
        ...more,
      });
    const cases: [Awaited<ReturnType<typeof post>>, number, RegExp][] = [
      [await post({ externalIP: "1.2.3" }), 400, /malformed-service error/],
      [await post({}, { secondaryIPs: [{ secondaryIP: "x" }] }), 400, /malformed-secIP error/],
      [
        await post(
          {},
          {
            secondaryIPs: ["2.2.2.1", "2.2.2.2", "2.2.2.3", "2.2.2.4"].map((secondaryIP) => ({
              secondaryIP,
            })),
          },
        ),
        400,
        /secondaryIP-args len error/,
      ],
      [
        await post(
          {},
          {
            endpoints: Array.from({ length: 33 }, (_, i) => ({
              endpointIP: `3.3.3.${i + 1}`,
              targetPort: 1,
            })),
          },
        ),
        400,
        /endpoints-range error/,
      ],
      [await post({ port: 70000 }), 400, /serv-port-args range error/],
      [await post({ protocol: "gre" }), 422, /should be one of/],
      [await post({ externalIP: undefined }), 422, /externalIP in body is required/],
      [await cli.request("POST", "/config/loadbalancer", {}), 422, /serviceArguments in body is required/],
      [await cli.request("POST", "/config/loadbalancer", []), 422, /must be of type object/],
      [await cli.request("GET", "/config/nothing"), 404, /not found/],
    ];
    for (const [reply, status, text] of cases) {
      assert.equal(reply.status, status, reply.text);
      assert.match(reply.text, text);
      assert.equal((JSON.parse(reply.text) as { code: number }).code >= 400, true);
    }
    const broken = await fetch(`${member.url}/netlox/v1/config/loadbalancer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{",
    });
    assert.equal(broken.status, 400);
    await broken.body?.cancel();
  });

  test("attachEP and detachEP change the endpoints alone", async () => {
    const oper = (operation: number, endpointIP: string) =>
      cli.change("POST", "/config/loadbalancer", {
        serviceArguments: {
          externalIP: VIP,
          port: 55002,
          protocol: "sctp",
          mode: 2,
          oper: operation,
          name: "sctpmh1",
        },
        endpoints: [{ endpointIP, targetPort: 9999, weight: 1 }],
      });
    assert.equal(await oper(1, "31.31.31.2"), "Success");
    assert.deepEqual(
      (await list())[0]?.endpoints.map((e) => e.endpointIP),
      ["31.31.31.1", "31.31.31.2"],
    );
    assert.equal(await oper(2, "31.31.31.2"), "Success");
    assert.deepEqual(
      (await list())[0]?.endpoints.map((e) => e.endpointIP),
      ["31.31.31.1"],
    );
    assert.deepEqual((await list())[0]?.secondaryIPs?.length, 2);
  });

  test("every form of DELETE deletes; deleting again is Success", async () => {
    const place = `externalipaddress/${VIP}/port/55002`;
    const forms = [
      "/config/loadbalancer/all",
      "/config/loadbalancer/name/sctpmh1",
      `/config/loadbalancer/${place}/protocol/sctp?bgp=false&block=0`,
      `/config/loadbalancer/${place}/portmax/0/protocol/sctp`,
      `/config/loadbalancer/hosturl/any/${place}/protocol/sctp`,
      `/config/loadbalancer/hosturl/any/${place}/portmax/0/protocol/sctp?bgp=false&block=0`,
    ];
    for (const form of forms) {
      assert.equal(await cli.createLb(LB), "Success", form);
      assert.equal(await cli.change("DELETE", form), "Success", form);
      assert.deepEqual(await list(), [], `${form}: gone for LoxiLB's clients at once`);
      await until("the service is gone", () => member.node.registry.list().length === 0);
      assert.equal(await cli.change("DELETE", form), "Success", `${form} again`);
    }
  });
});

test("with a token the raw Authorization header must be it", async () => {
  const rig = await startRig({ token: "0123456789abcdef" });
  try {
    const { url } = rig.members[0] as RigMember;
    const without = await new Loxicmd(url).request("GET", "/config/loadbalancer/all");
    assert.equal(without.status, 401);
    assert.match(without.text, /Invalid authentication credentials/);
    assert.equal(
      (await new Loxicmd(url, "Bearer 0123456789abcdef").request("GET", "/config/loadbalancer/all")).status,
      401,
    );
    assert.equal(
      (await new Loxicmd(url, "0123456789abcdef").request("GET", "/config/loadbalancer/all")).status,
      200,
    );
    assert.equal((await new Loxicmd(url).request("GET", "/version")).status, 200);
  } finally {
    await rig.stop();
  }
});

for (const version of ["0.8.8", "0.9.6", "0.9.8.4", "head"] as const satisfies readonly KubeVersion[]) {
  describe(`kube-loxilb ${version}`, () => {
    let rig: Awaited<ReturnType<typeof startRig>>;
    let kube: KubeLoxilb[];
    before(async () => {
      rig = await startRig({ members: 2, graceMs: GRACE_MS });
      kube = rig.members.map(({ url }) => new KubeLoxilb(url, version));
    });
    after(() => rig.stop());
    const service = { ...LB, endpoints: ["192.168.80.10"], targetPort: 30412 };
    const registry = () => (rig.members[0] as RigMember).node.registry;

    test("health, roles and BGP when a node comes alive, and when it is purged", async () => {
      for (const client of kube) {
        assert.ok(await client.health());
        assert.ok(await client.alive("192.168.80.9"));
        assert.ok(await client.purge("192.168.80.9"));
        assert.ok(await client.purge("192.168.80.9"));
      }
    });

    test("the same rule from several writers to all members is one service", async () => {
      const posts = Array.from({ length: 20 }, (_, i) => (kube[i % 2] as KubeLoxilb).post(service));
      assert.ok((await Promise.all(posts)).every(Boolean));
      assert.equal(registry().list().length, 1);
      assert.deepEqual(registry().find(ID).vips, [VIP, ...SECONDARIES]);
    });

    test("DELETE and POST within seconds is a change: the service never goes", async () => {
      const seen: number[] = [];
      const unsubscribe = (rig.members[0] as RigMember).node.store.subscribe(() =>
        seen.push(registry().list().length),
      );
      rig.grace.ms = LONG_MS;
      for (const client of kube) assert.ok(await client.remove(service));
      rig.grace.ms = GRACE_MS;
      assert.equal(registry().find(ID).removal?.mode, "change");
      // An annotation changed: the secondaries are others now. The second member hears of it from the first.
      assert.ok(await (kube[0] as KubeLoxilb).post({ ...service, secondaries: ["124.124.124.2"] }));
      unsubscribe();
      assert.equal(registry().find(ID).removal, undefined, "nothing is left to end it");
      assert.deepEqual(registry().find(ID).vips, [VIP, "124.124.124.2"]);
      assert.ok(!seen.includes(0), "the service was gone for a moment");
    });

    test("zero endpoints: DELETE, then a post with null", async () => {
      for (const client of kube) assert.ok(await client.remove(service));
      for (const client of kube) assert.ok(await client.post({ ...service, endpoints: null }));
      assert.deepEqual(registry().find(ID).endpoints, []);
      for (const client of kube) assert.ok(await client.post(service));
      assert.equal(registry().find(ID).endpoints.length, 1);
    });

    test("what is not offered is noticed by every version that notices anything", async () => {
      const accepted = await (kube[0] as KubeLoxilb).post({
        ...service,
        port: 80,
        protocol: "icmp",
        secondaries: [],
      });
      assert.equal(accepted, version === "0.8.8");
      assert.equal(registry().list().length, 1);
    });

    test("calls beside the rules are accepted", async () => {
      const client = kube[0] as KubeLoxilb;
      const rule = {
        ruleArguments: { sourceIP: "10.42.1.2/32" },
        opts: { doSnat: true, toIP: "172.18.0.254" },
      };
      const calls: [string, string, unknown?][] = [
        ["POST", "/config/firewall", rule],
        ["DELETE", "/config/firewall?sourceIP=10.42.1.2/32"],
        ["POST", "/config/bgp/policy/definedsets/prefix", { name: "P1", prefixList: [] }],
        ["DELETE", "/config/bgp/policy/definedsets/prefix/P1"],
        ["POST", "/config/bgp/policy/definitions", { name: "D1", statements: [] }],
        ["DELETE", "/config/bgp/policy/definitions/D1"],
        [
          "POST",
          "/config/bgp/policy/apply",
          { ipAddress: "1.2.3.4", policyType: "import", policies: ["D1"] },
        ],
        ["DELETE", "/config/bgp/policy/apply", { ipAddress: "1.2.3.4", policyType: "import" }],
        ["POST", "/config/k8smeta", { pods: null, services: null, nodes: null }],
      ];
      for (const [method, path, body] of calls)
        assert.ok(await client.send(method, path, body), `${method} ${path}`);
    });

    test("a deleted service is gone at every member, and its deletion never wedges", async () => {
      for (const client of kube) assert.ok(await client.remove(service));
      await until("the service is gone", () => registry().list().length === 0);
      for (const client of kube) assert.ok(await client.remove(service));
    });
  });
}
