// LoxiLB's clients as they are: what they post is taken, what is meant is done, and what they leave out stays as it is.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { ServiceSpecSchema, validate } from "@holdfast/api";
import { until } from "@holdfast/testkit";
import { ARTICLE_V088, kubeHead, LOXICMD_CREATE, loxicmdApply, loxicmdApplyOld } from "../loxilb/bodies.ts";
import { addSession, type RigMember, startRig } from "../loxilb/rig.ts";

const VIP = "123.123.123.1";
const ID = `sctp/${VIP}:55002`;
const VIPS = [VIP, "124.124.124.1", "125.125.125.1"];

const GRACE_MS = 20;
/** A grace that no loaded machine waits out. */
const LONG_MS = 3_600_000;

interface Rule {
  serviceArguments: Record<string, unknown>;
  secondaryIPs: { secondaryIP: string }[] | null;
  endpoints: { endpointIP: string; targetPort: number; weight: number }[];
}

describe("rules of LoxiLB's clients", () => {
  let rig: Awaited<ReturnType<typeof startRig>>;
  let members: RigMember[];
  before(async () => {
    rig = await startRig({ members: 2, graceMs: GRACE_MS });
    members = rig.members;
  });
  after(() => rig.stop());
  beforeEach(async () => {
    rig.grace.ms = GRACE_MS;
    for (const service of registry().list()) registry().remove(service.id);
    for (const name of [...store().notes().keys()]) store().setNote(name, undefined);
  });

  const member = (index: number) => members[index] as RigMember;
  const registry = () => member(0).node.registry;
  const store = () => member(0).node.store;
  const service = () => registry().find(ID);

  async function post(body: string, at = 0): Promise<{ result: string; warnings?: string[] }> {
    const response = await fetch(`${member(at).url}/netlox/v1/config/loadbalancer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    assert.equal(response.status, 200);
    return (await response.json()) as { result: string };
  }
  async function remove(at = 0): Promise<void> {
    const path = `config/loadbalancer/externalipaddress/${VIP}/port/55002/protocol/sctp?bgp=true&block=0`;
    const response = await fetch(`${member(at).url}/netlox/v1/${path}`, {
      method: "DELETE",
      headers: { "content-type": "application/json" },
      body: kubeHead(),
    });
    assert.deepEqual(await response.json(), { result: "Success" });
  }
  async function list(at = 0): Promise<Rule[]> {
    const response = await fetch(`${member(at).url}/netlox/v1/config/loadbalancer/all`);
    return ((await response.json()) as { lbAttr: Rule[] }).lbAttr;
  }
  const shown = async (at = 0): Promise<Rule> => {
    const [rule, ...others] = await list(at);
    assert.ok(rule !== undefined && others.length === 0, "one rule");
    return rule;
  };

  test("the article's own example runs: mode 0 with secondaries is fullNAT, shown as it was posted", async () => {
    const { result, warnings } = await post(ARTICLE_V088);
    assert.equal(result, "Success");
    assert.match(warnings?.join() ?? "", /mode default works as fullnat/);
    assert.deepEqual(service().vips, VIPS);
    for (const at of [0, 1]) {
      const rule = await shown(at);
      assert.equal(rule.serviceArguments["mode"], undefined, "0 is absent, as in Go");
      assert.equal(rule.serviceArguments["bgp"], true);
      assert.equal(rule.secondaryIPs?.length, 2);
    }
    // The same again is the same; kube-loxilb posts it every minute.
    assert.equal((await post(ARTICLE_V088, 1)).result, "Success");
    assert.deepEqual(service().vips, VIPS);
  });

  test("one-armed modes work as fullNAT and say so; modes that go past the node are refused", async () => {
    for (const mode of [0, 1, 5]) {
      const { result, warnings } = await post(kubeHead({ mode }));
      assert.deepEqual([result, warnings?.length], ["Success", 1], `mode ${mode}`);
      assert.equal((await shown()).serviceArguments["mode"] ?? 0, mode);
    }
    assert.equal((await post(kubeHead({ mode: 2 }))).warnings, undefined);
    for (const mode of [3, 4]) assert.match((await post(kubeHead({ mode }))).result, /^Error: mode/);
    assert.equal((await shown()).serviceArguments["mode"], 2, "a refused post changes nothing");
  });

  test("fields that only LoxiLB's clients read are kept at every member, and shown", async () => {
    await post(LOXICMD_CREATE);
    const { serviceArguments } = await shown(1);
    assert.equal(serviceArguments["block"], 7);
    assert.equal(serviceArguments["bgp"], true);
    assert.equal(serviceArguments["inactiveTimeOut"], 600);
    await post(kubeHead());
    assert.equal((await shown(1)).serviceArguments["managed"], true);
  });

  for (const [name, apply] of [
    ["apply", loxicmdApply],
    ["apply of older versions", loxicmdApplyOld],
  ] as const)
    test(`save and ${name} on a running cluster change nothing`, async () => {
      await post(LOXICMD_CREATE);
      registry().setEndpointState(ID, "31.31.31.1:9999", "drain");
      const [before, rule] = [service(), await shown()];
      const saved = JSON.parse(JSON.stringify(rule)) as Rule;
      assert.equal((await post(apply(saved), 1)).result, "Success");
      assert.deepEqual(service(), before);
      assert.deepEqual(await shown(1), rule);
    });

  test("after a DELETE what was said before is forgotten, but what LoxiLB's clients never see", async () => {
    rig.grace.ms = LONG_MS;
    await post(LOXICMD_CREATE);
    registry().put({
      ...validate(ServiceSpecSchema, { vips: VIPS, port: 55002, restartNewAddresses: "accept" }).value,
    });
    await remove();
    await post(
      '{"serviceArguments":{"externalIP":"123.123.123.1","port":55002,"protocol":"sctp","sel":4,"mode":2},"secondaryIPs":null,"endpoints":[]}',
    );
    assert.deepEqual(service().vips, [VIP]);
    assert.equal(service().name, ID);
    assert.equal(service().restartNewAddresses, "accept");
    assert.equal((await shown()).serviceArguments["block"], undefined);
  });

  test("weights above 255 are shown as the same shares, and come back as what they were", async () => {
    await post(LOXICMD_CREATE);
    const endpoints = [600, 300, 1, 0].map((weight, index) => ({
      address: `31.31.31.${index + 1}`,
      port: 9999,
      weight,
      state: "active" as const,
    }));
    registry().put(validate(ServiceSpecSchema, { vips: VIPS, port: 55002, endpoints }).value);
    const rule = await shown();
    assert.deepEqual(
      rule.endpoints.map(({ weight }) => weight),
      [255, 128, 1, 0],
    );
    await post(loxicmdApply(rule));
    assert.deepEqual(
      service().endpoints.map(({ weight }) => weight),
      [600, 300, 1, 0],
    );
  });

  test("oper 1 for a rule that is not there makes it; oper 2 of the last endpoint deletes it", async () => {
    assert.equal((await post(kubeHead({ oper: 1 }))).result, "Success");
    assert.deepEqual(service().vips, VIPS);
    assert.equal((await post(kubeHead({ oper: 1, endpoints: ["192.168.80.11"] }), 1)).result, "Success");
    assert.equal((await shown()).endpoints.length, 2);
    assert.equal((await post(kubeHead({ oper: 2, endpoints: ["192.168.80.10"] }))).result, "Success");
    assert.deepEqual(
      (await shown()).endpoints.map(({ endpointIP }) => endpointIP),
      ["192.168.80.11"],
    );
    assert.equal((await post(kubeHead({ oper: 2, endpoints: ["192.168.80.11"] }))).result, "Success");
    assert.deepEqual(await list(), [], "the rule is deleted");
    // Nothing to detach from is no error: every member is told, and one was first.
    assert.equal((await post(kubeHead({ oper: 2, endpoints: ["192.168.80.11"] }), 1)).result, "Success");
    await until("the service is gone", () => {
      member(0).node.keeper.look();
      return registry().list().length === 0;
    });
  });

  test("an attach within the grace of a deletion is a change: the association's endpoint never left", async () => {
    rig.grace.ms = LONG_MS;
    await post(kubeHead());
    assert.equal((await post(kubeHead({ oper: 2 }))).result, "Success");
    assert.deepEqual(await list(), []);
    assert.equal(service().endpoints.length, 1, "what is held goes on serving");
    assert.equal((await post(kubeHead({ oper: 1 }))).result, "Success");
    assert.equal((await shown()).endpoints[0]?.endpointIP, "192.168.80.10");
    assert.deepEqual([service().removal, service().leaving], [undefined, undefined]);
  });

  test("probe fields become the service's health check, and are shown", async () => {
    await post(kubeHead({ probe: { type: "http", port: 8080, request: "ready" } }));
    assert.deepEqual(service().healthCheck, { kind: "http", port: 8080, path: "/ready" });
    const { serviceArguments } = await shown(1);
    assert.deepEqual(
      ["probetype", "probeport", "probereq"].map((name) => serviceArguments[name]),
      ["http", 8080, "/ready"],
    );
    // A post without probe fields says nothing of them.
    await post(kubeHead());
    assert.equal(service().healthCheck?.kind, "http");
    await remove();
    await post(kubeHead());
    assert.equal(service().healthCheck, undefined);
  });

  test("endpoints that are posted by themselves say how a host is asked, also for rules that come later", async () => {
    const send = async (method: string, path: string, body?: object) => {
      const response = await fetch(`${member(1).url}/netlox/v1/config/endpoint${path}`, {
        method,
        headers: { "content-type": "application/json" },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return [response.status, ((await response.json()) as { result?: string }).result];
    };
    // loxicmd create ep 192.168.80.10 --probetype=http --probereq=ready --l4port=8080 --period=30 --retries=4
    const ep = {
      hostName: "192.168.80.10",
      name: "",
      inactiveReTries: 4,
      probeType: "http",
      probeReq: "ready",
      probeResp: "",
      probeDuration: 30,
      probePort: 8080,
    };
    const check = { kind: "http", port: 8080, path: "/ready", intervalMs: 30_000, downCount: 4 };
    await post(kubeHead({ endpoints: ["192.168.80.10", "192.168.80.11"] }));
    assert.deepEqual(await send("POST", "", ep), [200, "Success"]);
    assert.deepEqual(
      service().endpoints.map(({ healthCheck }) => healthCheck),
      [check, undefined],
    );
    const all = (await (await fetch(`${member(0).url}/netlox/v1/config/endpoint/all`)).json()) as {
      Attr: Record<string, unknown>[];
    };
    const row = all.Attr.find(({ hostName }) => hostName === "192.168.80.10");
    assert.deepEqual(
      [
        row?.["name"],
        row?.["probeType"],
        row?.["probePort"],
        row?.["probeDuration"],
        row?.["inactiveReTries"],
      ],
      ["192.168.80.10_http_8080", "http", 8080, 30, 4],
    );
    // A rule that comes, and one that comes again.
    await remove();
    await post(kubeHead());
    assert.deepEqual(service().endpoints[0]?.healthCheck, check);
    await post(kubeHead({ endpoints: ["192.168.80.12"] }));
    await post(kubeHead({ oper: 1, endpoints: ["192.168.80.10"] }));
    assert.deepEqual(service().endpoints.at(-1)?.healthCheck, check);
    // By the name of one endpoint: that one alone.
    const one = {
      ...ep,
      name: "192.168.80.12_sctp_30412",
      hostName: "192.168.80.12",
      probeType: "none",
      probePort: 0,
    };
    assert.deepEqual(await send("POST", "", one), [200, "Success"]);
    assert.deepEqual(service().endpoints[0]?.healthCheck, { kind: "none" });
    assert.deepEqual(
      await send("DELETE", "/epipaddress/192.168.80.10?name=&probe_port=8080&probe_type=http"),
      [200, "Success"],
    );
    assert.equal(service().endpoints.at(-1)?.healthCheck, undefined);
    for (const wrong of [
      { ...ep, probeType: "gopher" },
      { ...ep, hostName: "nobody" },
      { ...ep, probePort: 70000 },
    ])
      assert.equal((await send("POST", "", wrong))[0], 400);
    await send("DELETE", "/epipaddress/192.168.80.12?name=&probe_port=0&probe_type=");
    assert.equal(store().notes().size, 1, "the rule's own note is left");
  });

  test("sources that are everybody are no filter; others become the service's", async () => {
    const withSources = (prefix: string) =>
      kubeHead().replace('"allowedSources":[]', `"allowedSources":[{"prefix":"${prefix}"}]`);
    assert.equal((await post(withSources("0.0.0.0/0"))).result, "Success");
    assert.equal((await post(withSources("10.1.2.3/8"))).result, "Success");
  });
});

describe("a member that comes back is posted an old cache", () => {
  const place = `externalipaddress/${VIP}/port/55002/protocol/sctp?bgp=true&block=0`;
  let rig: Awaited<ReturnType<typeof startRig>>;
  let members: [RigMember, RigMember, RigMember];
  before(async () => {
    rig = await startRig({ members: 3, graceMs: GRACE_MS });
    members = rig.members as [RigMember, RigMember, RigMember];
  });
  after(() => rig.stop());
  const send = async (
    to: RigMember,
    method: "POST" | "DELETE",
    body: string,
    agent = "Go-http-client/1.1",
  ) => {
    const path = method === "POST" ? "" : `/${place}`;
    const response = await fetch(`${to.url}/netlox/v1/config/loadbalancer${path}`, {
      method,
      headers: { "content-type": "application/json", "user-agent": agent },
      body,
    });
    return (await response.json()) as { result: string; warnings?: string[] };
  };
  const rules = () => members[0].node.registry.list().length;
  const gone = () =>
    until("the service is gone", () => {
      for (const { node } of members) node.keeper.look();
      return rules() === 0;
    });
  beforeEach(async () => {
    for (const member of members) member.isDead = false;
    for (const member of members) await send(member, "DELETE", kubeHead());
    await gone();
    const kept = [...members[0].node.store.notes().keys()].filter((name) =>
      name.startsWith("loxilb/deleted"),
    );
    assert.deepEqual(kept, [], "of a deletion that all were told of nothing is kept");
  });

  /** Posted everywhere, deleted through the first two while the third is away; it comes back. */
  async function deletedMeanwhile(wait: () => Promise<unknown> = gone): Promise<void> {
    for (const member of members) assert.equal((await send(member, "POST", kubeHead())).result, "Success");
    members[2].isDead = true;
    for (const member of members.slice(0, 2)) await send(member, "DELETE", kubeHead());
    await wait();
    members[2].isDead = false;
  }

  test("what was deleted meanwhile does not come back", async () => {
    await deletedMeanwhile();
    const { result, warnings } = await send(members[2], "POST", kubeHead());
    assert.equal(result, "Success", "kube-loxilb would end itself over anything else");
    assert.match(warnings?.join() ?? "", /not made from an old cache/);
    assert.equal(rules(), 0);
    // kube-loxilb tries its DELETE again until every member took it.
    for (const member of members) assert.equal((await send(member, "DELETE", kubeHead())).result, "Success");
    assert.equal(rules(), 0);
    // Now it may be made anew through any of them.
    assert.equal((await send(members[2], "POST", kubeHead())).warnings, undefined);
    assert.equal(rules(), 1);
  });

  test("nor is a deletion undone that still has its grace", async () => {
    rig.grace.ms = LONG_MS;
    await deletedMeanwhile(async () => {});
    assert.match((await send(members[2], "POST", kubeHead())).warnings?.join() ?? "", /old cache/);
    const { registry } = members[0].node;
    assert.equal(registry.find(ID).removal?.mode, "change");
    assert.equal((await send(members[0], "POST", kubeHead())).warnings, undefined);
    assert.equal(registry.find(ID).removal, undefined);
    rig.grace.ms = GRACE_MS;
  });

  test("who makes it anew tells the others, too: whatever the order", async () => {
    await deletedMeanwhile();
    await send(members[2], "POST", kubeHead());
    assert.equal(rules(), 0);
    await send(members[0], "POST", kubeHead());
    assert.equal(rules(), 1);
    // From now on it is there, and the third member's posts are as good as any.
    await send(members[2], "POST", kubeHead({ endpoints: ["192.168.80.10", "192.168.80.11"] }));
    assert.equal(members[0].node.registry.find(ID).endpoints.length, 2);
  });

  test("another rule of that address, a person's post, and a post when nobody else is left are meant", async () => {
    await deletedMeanwhile();
    await send(members[2], "POST", kubeHead({ endpoints: ["192.168.80.77"] }));
    assert.equal(rules(), 1, "other endpoints");
    await deletedMeanwhile();
    await send(members[2], "POST", kubeHead(), "curl/8.14.1");
    assert.equal(rules(), 1, "curl");
    await deletedMeanwhile();
    await send(
      members[2],
      "POST",
      LOXICMD_CREATE.replace("31.31.31.1", "192.168.80.10").replace("9999", "30412"),
    );
    assert.equal(rules(), 1, "loxicmd");
    await deletedMeanwhile();
    for (const member of members.slice(0, 2)) member.isDead = true;
    await send(members[2], "POST", kubeHead());
    assert.equal(rules(), 1, "those that were told are not here");
  });
});

interface Conntrack {
  sourceIP: string;
  destinationIP: string;
  conntrackAct: string;
  packets?: number;
}

async function conntrack({ url }: RigMember): Promise<Conntrack[]> {
  const response = await fetch(`${url}/netlox/v1/config/conntrack/all`);
  return ((await response.json()) as { ctAttr: Conntrack[] }).ctAttr;
}

test("conntrack: pairs with traffic alone, and no count falls when a member dies or begins anew", async () => {
  const rig = await startRig({ members: 3 });
  try {
    const [a, b, c] = rig.members as [RigMember, RigMember, RigMember];
    await fetch(`${a.url}/netlox/v1/config/loadbalancer`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: LOXICMD_CREATE,
    });
    for (const { node } of rig.members)
      addSession(node.view, {
        primary: VIP,
        port: 55002,
        client: "1.1.1.1",
        clientPort: 20000,
        endpoint: "31.31.31.1",
        natPort: 20008,
      });
    b.flow.packets = 4;
    b.flow.bytes = 400;
    const entries = await conntrack(a);
    assert.deepEqual(
      entries.map(({ destinationIP, sourceIP, packets }) => [destinationIP, sourceIP, packets]),
      [
        [VIP, "1.1.1.1", 25],
        [VIP, "31.31.31.1", 25],
      ],
    );
    assert.equal(entries[1]?.conntrackAct, `fsnat-${VIP},1.1.1.1:55002:w0`, "the port it leaves with");
    const packets = async (member: RigMember) =>
      (await conntrack(member)).find(({ sourceIP }) => sourceIP === "1.1.1.1")?.packets;
    // Who was never asked itself knows as much as the one that was.
    await until("the others know", async () => {
      const [id] = [...c.node.view.values()].map((record) => record.id);
      return c.counters.remembered(id as string, "m0").length > 0;
    });
    a.isDead = true;
    assert.equal(await packets(c), 25);
    b.flow.packets += 10;
    assert.equal(await packets(c), 35);
    // It returns with empty maps.
    a.flow.packets = 1;
    a.isDead = false;
    assert.equal(await packets(c), 36);
  } finally {
    await rig.stop();
  }
});
