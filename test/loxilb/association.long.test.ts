// What a user of LoxiLB would do: create a rule with loxicmd's own body at one member, carry an association
// over all three addresses, and read the tables at every member.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, type Member, until } from "@holdfast/testkit";

const VIPS: readonly Address[] = ["123.123.123.1", "124.124.124.1", "125.125.125.1"];
const PORT = 55_002;
const TARGET_PORT = 9_999;

/** A request as loxicmd sends it, from inside the member: the port listens on the loopback only. */
function ask(
  member: Member,
  method: string,
  path: string,
  body?: object,
): { status: number; body: Record<string, unknown> } {
  const program = `
    const [method, path, body] = process.argv.slice(1);
    fetch("http://127.0.0.1:11111/netlox/v1" + path, { method, headers: { "Content-Type": "application/json", Authorization: "" }, ...(body && { body }) })
      .then(async (r) => console.log(JSON.stringify({ status: r.status, body: await r.json() })));`;
  const words = ["-e", program, method, path, ...(body === undefined ? [] : [JSON.stringify(body)])];
  return JSON.parse(member.host.run(process.execPath, words)) as never;
}

test("a rule of loxicmd at one member carries an association over all three addresses, and every member's tables say so", async () => {
  const cluster = new Cluster({
    members: 3,
    clients: [3],
    vips: VIPS,
    withService: false,
    configuration: { loxilb: { enabled: true } },
  });
  try {
    await Promise.all(cluster.members.map((member) => member.start()));
    const [first] = cluster.members;
    assert.ok(first);
    const endpoint = cluster.endpoints[0]?.addresses("core")[0] as Address;
    // create lb 123.123.123.1 --secips=124.124.124.1,125.125.125.1 --sctp=55002:9999 --endpoints=…:1
    // --mode=fullnat
    const created = ask(first, "POST", "/config/loadbalancer", {
      serviceArguments: {
        externalIP: VIPS[0],
        port: PORT,
        protocol: "sctp",
        sel: 0,
        mode: 2,
        BGP: false,
        Monitor: false,
        inactiveTimeOut: 0,
        block: 0,
        name: "sctpmh1",
        proxyprotocolv2: false,
        egress: false,
      },
      secondaryIPs: VIPS.slice(1).map((secondaryIP) => ({ secondaryIP })),
      allowedSources: null,
      endpoints: [{ endpointIP: endpoint, targetPort: TARGET_PORT, weight: 1, state: "", counter: "" }],
    });
    assert.deepEqual(created, { status: 200, body: { result: "Success" } });
    await cluster.settled();
    await cluster.startEndpoint(0, { port: TARGET_PORT });
    const client = await cluster.startClient(0, { remotePort: PORT, rate: 50 });
    await client.established(1);
    await until("all three paths", async () =>
      [...(await client.paths()).values()].every(
        (paths) => paths.length === 3 && paths.every((p) => p.state === "active"),
      ),
    );
    await until("echoes", async () => ((await client.associations())[0]?.echoes ?? 0) > 50);

    for (const member of cluster.members) {
      const rules = ask(member, "GET", "/config/loadbalancer/all").body["lbAttr"] as Record<
        string,
        Record<string, unknown>
      >[];
      assert.equal(rules.length, 1, member.name);
      assert.equal(rules[0]?.["serviceArguments"]?.["externalIP"], VIPS[0]);
      assert.deepEqual(
        rules[0]?.["secondaryIPs"],
        VIPS.slice(1).map((secondaryIP) => ({ secondaryIP })),
      );
      assert.match(
        String(
          (rules[0]?.["endpoints"] as unknown as Record<string, unknown>[] | undefined)?.[0]?.["counter"],
        ),
        /^[1-9]\d*:[1-9]\d*$/,
      );

      const entries = await until(`traffic on all VIPs in the table of ${member.name}`, () => {
        const all = ask(member, "GET", "/config/conntrack/all").body["ctAttr"] as Record<string, unknown>[];
        const forward = all.filter((e) => String(e["conntrackAct"]).startsWith("fdnat-"));
        return (
          VIPS.every((vip) => forward.some((e) => e["destinationIP"] === vip && Number(e["packets"]) > 0)) &&
          all
        );
      });
      for (const entry of entries) {
        assert.equal(entry["protocol"], "sctp");
        assert.equal(entry["conntrackState"], "est");
        assert.equal(entry["servName"], "sctpmh1");
      }
      assert.ok(entries.some((e) => String(e["conntrackAct"]).startsWith("fsnat-")));
      const endpoints = ask(member, "GET", "/config/endpoint/all").body["Attr"] as Record<string, unknown>[];
      assert.equal(endpoints[0]?.["hostName"], endpoint);
      for (const delay of ["minDelay", "avgDelay", "maxDelay"])
        assert.match(String(endpoints[0]?.[delay]), /^[0-9.]+(µs|ms)$/, delay);
      const states = ask(member, "GET", "/config/cistate/all").body["Attr"] as Record<string, unknown>[];
      assert.match(String(states[0]?.["state"]), /^(MASTER|BACKUP)$/);
    }

    // delete lb, as loxicmd does it, at another member.
    const last = cluster.members.at(-1) as Member;
    const path = `/config/loadbalancer/hosturl/any/externalipaddress/${VIPS[0]}/port/${PORT}/portmax/0/protocol/sctp?bgp=false&block=0`;
    assert.equal(ask(last, "DELETE", path).status, 200);
    await until("the rule to be gone everywhere", () =>
      cluster.members.every(
        (m) =>
          ((ask(m, "GET", "/config/loadbalancer/all").body["lbAttr"] as unknown[] | null) ?? []).length === 0,
      ),
    );
  } finally {
    await cluster.close();
  }
});
