// LoxiLB's clients, body for body, against three members that carry associations: the article's own example,
// an annotation that changes while a member is dead, a member that comes back, and checks that are not SCTP.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, type Member, type Peer, until } from "@holdfast/testkit";
import { ARTICLE_V088, kubeHead } from "../loxilb/bodies.ts";

const VIPS: readonly Address[] = ["123.123.123.1", "124.124.124.1", "125.125.125.1"];
const PORT = 55_002;
const TARGET_PORT = 30_412;
const RULE = `/config/loadbalancer/externalipaddress/${VIPS[0]}/port/${PORT}/protocol/sctp?bgp=true&block=0`;
/** What kube-loxilb waits for a member that is dead, between DELETE and POST, is longer than this; … */
const MESSAGES_MEANWHILE = 400;
/** … of an association with so many messages a second. */
const RATE = 50;

/** A request as kube-loxilb sends it, from inside the member: the port listens on the loopback only. */
function ask(member: Member, method: string, path: string, body?: string): Record<string, unknown> {
  const program = `
    const [method, path, body] = process.argv.slice(1);
    const headers = { "Content-Type": "application/json", "User-Agent": "Go-http-client/1.1" };
    fetch("http://127.0.0.1:11111/netlox/v1" + path, { method, headers, ...(body && { body }) })
      .then(async (r) => console.log(JSON.stringify(await r.json())));`;
  const words = ["-e", program, method, path, ...(body === undefined ? [] : [body])];
  return JSON.parse(member.host.run(process.execPath, words)) as Record<string, unknown>;
}

describe("LoxiLB's clients and living associations", () => {
  let cluster: Cluster;
  let members: readonly Member[];
  let client: Peer;
  before(async () => {
    cluster = new Cluster({
      members: 3,
      clients: [3, 3],
      endpoints: 2,
      vips: VIPS,
      withService: false,
      configuration: {
        loxilb: { enabled: true },
        health: { intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 1 },
      },
    });
    members = cluster.members;
    await Promise.all(members.map((member) => member.start()));
    for (const index of [0, 1]) await cluster.startEndpoint(index, { port: TARGET_PORT });
  });
  after(() => cluster.close());

  const endpoint = (index: number) => cluster.endpoints[index]?.addresses("core")[0] as Address;
  const withEndpoints = (body: string) =>
    body.replace(
      /"endpoints":\[.*\]/,
      `"endpoints":${JSON.stringify([0, 1].map((index) => ({ endpointIP: endpoint(index), targetPort: TARGET_PORT, weight: 1, state: "", counter: "" })))}`,
    );
  const everywhere = (list: readonly Member[], method: string, path: string, body?: string) => {
    for (const member of list)
      assert.equal(ask(member, method, path, body)["result"], "Success", member.name);
  };
  const figures = async () => {
    const [only] = await client.associations();
    assert.ok(only);
    return only;
  };
  /** Messages go on, over the one association that there ever was. */
  async function flows(count: number): Promise<void> {
    const since = (await figures()).echoes;
    await until("messages go on", async () => (await figures()).echoes >= since + count);
    const { ups, lost, restarts, up } = await figures();
    assert.deepEqual({ ups, lost, restarts, up }, { ups: 1, lost: 0, restarts: 0, up: true });
  }

  test("the article's own example, as kube-loxilb v0.8.8 posts it, carries an association over all three addresses", async () => {
    everywhere(members, "POST", "/config/loadbalancer", withEndpoints(ARTICLE_V088));
    await cluster.settled();
    client = await cluster.startClient(0, { remotePort: PORT, rate: RATE });
    await client.established(1);
    await until("all three paths", async () =>
      [...(await client.paths()).values()].every(
        (paths) => paths.length === 3 && paths.every(({ state }) => state === "active"),
      ),
    );
    await flows(RATE);
  });

  test("exactly one member is MASTER of the instance", async () => {
    await until("one master", () => {
      const states = members.map(
        (member) => (ask(member, "GET", "/config/cistate/all")["Attr"] as { state: string }[])[0]?.state,
      );
      return states.filter((state) => state === "MASTER").length === 1 && states.length === 3;
    });
  });

  test("an annotation that changes while a member is dead ends no association", async () => {
    const [dead, ...living] = members as [Member, ...Member[]];
    await dead.killNode();
    everywhere(living, "DELETE", RULE, withEndpoints(ARTICLE_V088));
    const rules = (member: Member) => ask(member, "GET", "/config/loadbalancer/all")["lbAttr"] as unknown[];
    assert.ok(
      living.every((member) => rules(member).length === 0),
      "deleted, as far as kube-loxilb knows",
    );
    await flows(MESSAGES_MEANWHILE);
    everywhere(living, "POST", "/config/loadbalancer", withEndpoints(kubeHead()));
    assert.ok(living.every((member) => rules(member).length === 1));
    await flows(RATE);
    // Back again, it is posted what kube-loxilb has.
    dead.host.plug();
    await dead.start();
    everywhere([dead], "POST", "/config/loadbalancer", withEndpoints(kubeHead()));
    assert.equal(rules(dead).length, 1);
    await flows(RATE);
  });

  test("a rule that was deleted while a member was away does not come back with its old cache", async () => {
    const [away, ...living] = members as [Member, ...Member[]];
    const rules = (member: Member) => ask(member, "GET", "/config/loadbalancer/all")["lbAttr"] as unknown[];
    await away.killDaemon();
    everywhere(living, "DELETE", RULE, withEndpoints(kubeHead()));
    await away.start();
    await until("the member knows of the deletion", () => rules(away).length === 0);
    const answer = ask(away, "POST", "/config/loadbalancer", withEndpoints(kubeHead()));
    assert.equal(answer["result"], "Success");
    assert.match(String(answer["warnings"]), /old cache/);
    assert.deepEqual(
      members.map((member) => rules(member).length),
      [0, 0, 0],
    );
    // Made anew it is posted to all, and the association, which the grace has kept, goes on.
    everywhere(members, "POST", "/config/loadbalancer", withEndpoints(kubeHead()));
    await until("the rule is everywhere", () => members.every((member) => rules(member).length === 1));
    await flows(RATE);
  });

  test("a host that no service has is asked all the same", async () => {
    const [first, second] = members as [Member, Member];
    const nobody = endpoint(0).replace(/\d+$/, "250");
    const there = second.host.addresses("core")[0] as Address;
    for (const hostName of [there, nobody])
      everywhere(
        [first],
        "POST",
        "/config/endpoint",
        JSON.stringify({ hostName, name: "", probeType: "ping", probeDuration: 1, inactiveReTries: 1 }),
      );
    const stateOf = (hostName: string) =>
      (
        ask(first, "GET", "/config/endpoint/all")["Attr"] as {
          hostName: string;
          currState: string;
          avgDelay?: string;
        }[]
      ).find((row) => row.hostName === hostName);
    await until("nobody is missed", () => stateOf(nobody)?.currState === "nok");
    await until("an answer", () => stateOf(there)?.avgDelay !== undefined);
    assert.equal(stateOf(there)?.currState, "ok");
    for (const hostName of [there, nobody])
      everywhere(
        [first],
        "DELETE",
        `/config/endpoint/epipaddress/${hostName}?name=&probe_type=&probe_port=0`,
      );
  });

  test("an HTTP check that fails takes newcomers elsewhere and ends nothing; when it is answered they are back", async () => {
    const [first] = members as [Member, ...Member[]];
    const [session] = (await first.get<{ items: { endpoint: string }[] }>("/v1/sessions")).items;
    const used = session?.endpoint.startsWith(`${endpoint(0)}:`) === true ? 0 : 1;
    // create ep …  --probetype=http --l4port=8080 --probereq=ready --period=1 --retries=2
    const posted = JSON.stringify({
      hostName: endpoint(used),
      name: "",
      inactiveReTries: 2,
      probeType: "http",
      probeReq: "ready",
      probeResp: "yes",
      probeDuration: 1,
      probePort: 8080,
    });
    everywhere([first], "POST", "/config/endpoint", posted);
    const states = () =>
      members.map((member) =>
        (
          ask(member, "GET", "/config/endpoint/all")["Attr"] as { hostName: string; currState: string }[]
        ).find(({ hostName }) => hostName === endpoint(used)),
      );
    await until("every member's check fails", () => states().every((row) => row?.currState === "nok"));
    await flows(5 * RATE);
    const newcomer = await cluster.startClient(1, { remotePort: PORT, associations: 4, rate: 5 });
    await newcomer.established(4);
    const count = async () => {
      const { items } = await first.get<{ items: { endpoint: string; phase: string }[] }>("/v1/sessions");
      return items.filter((each) => each.phase === "established" && each.endpoint.startsWith(endpoint(used)))
        .length;
    };
    assert.equal(await count(), 1, "newcomers are at the other endpoint");
    cluster.endpoints[used]?.spawn(process.execPath, [
      "-e",
      `require("node:http").createServer((q, s) => s.end(q.url === "/ready" ? "yes" : "no")).listen(8080)`,
    ]);
    await until("every member's check is answered", () => states().every((row) => row?.currState === "ok"));
    await flows(RATE);
  });
});
