// A VIP that is somebody's address takes that host off the network: all but SCTP is dropped on a VIP. None
// gets into force by any way in; and when an address comes to an interface later, the host keeps it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, type Member, SERVICE_PORT, until } from "@holdfast/testkit";

const GATEWAY = "198.19.0.254";

interface Vip {
  readonly vip: string;
  readonly owner?: string;
  readonly clash?: { readonly code: string; readonly member: string; readonly servedHere: boolean };
}

const vipsOf = async (member: Member) =>
  new Map((await member.get<{ items: Vip[] }>("/v1/vips")).items.map((item) => [item.vip, item]));

/** A request to LoxiLB's API from inside the member. */
function loxilb(member: Member, body: object): { status: number; body: { result?: string } } {
  const program = `fetch("http://127.0.0.1:11111/netlox/v1/config/loadbalancer", { method: "POST",
    headers: { "Content-Type": "application/json" }, body: process.argv[1] })
    .then(async (r) => console.log(JSON.stringify({ status: r.status, body: await r.json() })));`;
  return JSON.parse(member.host.run(process.execPath, ["-e", program, JSON.stringify(body)])) as never;
}

const rule = (externalIP: string, endpointIP: string) => ({
  serviceArguments: { externalIP, port: 5000, protocol: "sctp", mode: 2 },
  endpoints: [{ endpointIP, targetPort: 9999, weight: 1 }],
});
const spec = (vip: string, endpoint: string) => ({
  vips: [vip],
  port: 5000,
  endpoints: [{ address: endpoint, port: 9999 }],
});

/** The address's own stack refuses a TCP connection: what a VIP swallows is never answered. */
function isAnswered(from: Cluster["endpoints"][number], address: string): boolean {
  const program = `const socket = require("node:net").connect({ host: process.argv[1], port: 9 });
    socket.setTimeout(1000, () => { console.log("silence"); process.exit(); });
    socket.on("error", (error) => { console.log(error.code); process.exit(); });`;
  return from.run(process.execPath, ["-e", program, address]).trim() === "ECONNREFUSED";
}

/** The file with another service, reloaded; what the log says after that. */
async function reloaded(member: Member, service: object): Promise<string> {
  const before = readFileSync(member.configFile, "utf8");
  const configuration = JSON.parse(before) as { services: object[] };
  configuration.services.push(service);
  writeFileSync(member.configFile, JSON.stringify(configuration));
  const length = member.log().length;
  member.signal("SIGHUP");
  const said = await until("the reload to be answered", () => {
    const log = member.log().slice(length);
    return /reload (refused|: applied)/.test(log) && log;
  });
  writeFileSync(member.configFile, before);
  return said;
}

test("addresses that cannot be VIPs are refused by the file and both APIs, and the members stay where they are", async (t) => {
  const cluster = new Cluster({ members: 2, clients: [3], configuration: { loxilb: { enabled: true } } });
  const [first, second] = cluster.members as [Member, Member];
  const [endpoint] = cluster.endpoints;
  assert.ok(endpoint);
  try {
    first.host.run("ip", ["route", "add", "default", "via", GATEWAY, "dev", "core"]);
    await cluster.start();
    const own = first.host.addresses("core")[0] as Address;
    const others = second.host.addresses("core")[0] as Address;
    const server = endpoint.addresses("core")[0] as Address;
    await until("the members to have told each other their addresses", async () => {
      const { status, body } = await second.fetch("POST", "/v1/services", spec(GATEWAY, server));
      if (status === 201)
        await second.fetch("DELETE", `/v1/services/${encodeURIComponent(`sctp/${GATEWAY}:5000`)}`);
      return status === 409 && body.includes("VIP_IS_GATEWAY");
    });
    const refused: [string, string][] = [
      [own, "VIP_IS_MEMBER_ADDRESS"],
      [others, "VIP_IS_MEMBER_ADDRESS"],
      [server, "VIP_IS_ENDPOINT"],
      [GATEWAY, "VIP_IS_GATEWAY"],
      ["198.19.255.255", "VIP_IS_BROADCAST"],
      ["0.0.0.0", "VIP_NOT_UNICAST"],
      ["::", "VIP_NOT_UNICAST"],
      ["127.0.0.1", "VIP_NOT_UNICAST"],
      ["::1", "VIP_NOT_UNICAST"],
      ["224.0.0.18", "VIP_NOT_UNICAST"],
      ["255.255.255.255", "VIP_NOT_UNICAST"],
      ["169.254.7.7", "VIP_NOT_UNICAST"],
      ["fe80::7", "VIP_NOT_UNICAST"],
    ];
    const elsewhere = "198.19.77.77";
    for (const member of [first, second]) {
      for (const [vip, code] of refused) {
        const { status, body } = await member.fetch(
          "POST",
          "/v1/services",
          spec(vip, vip.includes(":") ? "fd09::7" : elsewhere),
        );
        assert.ok(
          status >= 400 && status < 500 && body.includes(`"${code}"`),
          `${member.name} ${vip}: ${status} ${body}`,
        );
      }
      const mapped = await member.fetch("POST", "/v1/services", spec("::ffff:203.0.113.5", elsewhere));
      assert.ok(mapped.status === 400 && mapped.body.includes("ADDRESS_INVALID"), mapped.body);
      const turned = await member.fetch(
        "POST",
        "/v1/services",
        spec("203.0.113.77", cluster.vips[0] as Address),
      );
      assert.ok(turned.status === 409 && turned.body.includes("ENDPOINT_IS_VIP"), turned.body);
    }
    await t.test("LoxiLB's clients are told as they understand it", () => {
      for (const vip of [own, others, server, GATEWAY, "0.0.0.0", "224.0.0.18"]) {
        const answer = loxilb(first, rule(vip, elsewhere));
        assert.notEqual(answer.body.result, "Success", vip);
        assert.match(JSON.stringify(answer.body), /cannot be a VIP.*VIP_/, vip);
      }
    });
    await t.test("a reload with one is refused whole, and says why", async () => {
      for (const [vip, code] of [
        [own, "VIP_IS_MEMBER_ADDRESS"],
        [GATEWAY, "VIP_IS_GATEWAY"],
        ["224.0.0.18", "VIP_NOT_UNICAST"],
      ] as const)
        assert.match(await reloaded(first, spec(vip, elsewhere)), new RegExp(`${code}.*reload refused`));
    });
    const { items } = await second.get<{ items: { id: string }[] }>("/v1/services");
    assert.equal(items.length, 1, "only the file's own service is in force");
    for (const address of [own, others]) assert.ok(isAnswered(endpoint, address), `${address} answers`);

    await t.test(
      "an address comes to the owner's interface: the host keeps it, the VIP moves, and heals",
      async () => {
        await cluster.startEndpoint();
        const client = await cluster.startClient(0, { rate: 50, size: 200 });
        await client.established(1);
        const vip = cluster.vips[1] as Address;
        const owner = cluster.memberOf((await cluster.settled()).get(vip) as string);
        const other = owner === first ? second : first;
        owner.host.run("ip", ["addr", "add", `${vip}/32`, "dev", "core"]);
        await until("the VIP to be with the other, and everybody to say why", async () => {
          const views = await Promise.all([owner, other].map(vipsOf));
          return views.every((view, index) => {
            const { owner: by, clash } = view.get(vip) ?? { vip };
            const here = index === 1;
            return (
              by === other.name &&
              clash?.code === "VIP_IS_MEMBER_ADDRESS" &&
              clash.member === owner.name &&
              clash.servedHere === here
            );
          });
        });
        assert.equal(await owner.metric("holdfast_vip_clashes"), 1);
        assert.match(
          owner.log(),
          new RegExp(
            `VIP_IS_MEMBER_ADDRESS[^\\n]*VIP ${vip} is an address of member ${owner.name} \\(core\\): not served here`,
          ),
        );
        // Whoever has the owner's MAC for it, as hosts beside it do that asked its kernel.
        const [mac] = /(?<=link\/ether )\S+/.exec(owner.host.run("ip", ["link", "show", "core"])) ?? [];
        endpoint.run("ip", ["neigh", "replace", vip, "lladdr", mac as string, "dev", "core"]);
        assert.ok(isAnswered(endpoint, vip), "its own stack has it");
        endpoint.run("ip", ["neigh", "del", vip, "dev", "core"]);
        const table = owner.host.run(process.execPath, [
          ...["--disable-warning=ExperimentalWarning", owner.program],
          ...["get", "vips", "--api", `unix:${owner.socket}`],
        ]);
        assert.match(table, new RegExp(`no: clash with ${owner.name}/core`));
        owner.host.run("ip", ["addr", "del", `${vip}/32`, "dev", "core"]);
        await until("the VIP to be served everywhere again", async () =>
          (await Promise.all([owner, other].map(vipsOf))).every((view) => view.get(vip)?.clash === undefined),
        );
        const before = (await client.associations())[0]?.echoes ?? 0;
        await until("messages to flow on", async () => {
          const [figure] = await client.associations();
          assert.equal((figure?.lost ?? 0) + (figure?.restarts ?? 0), 0, JSON.stringify(figure));
          return (figure?.echoes ?? 0) > before + 20;
        });
        await cluster.settled();
      },
    );

    await t.test("scopes that mix are allowed, and said everywhere", async () => {
      const mixed = {
        ...spec("203.0.113.200", elsewhere),
        vips: ["203.0.113.200", "10.77.0.1"],
        port: SERVICE_PORT + 1,
      };
      const { status, body } = await first.fetch("POST", "/v1/services", mixed);
      assert.equal(status, 201, body);
      const codes = (JSON.parse(body) as { warnings: { code: string }[] }).warnings.map(({ code }) => code);
      assert.deepEqual(codes, ["SERVICE_SCOPES_MIXED"]);
      const mixedRule = { ...rule("203.0.113.201", elsewhere), secondaryIPs: [{ secondaryIP: "10.77.0.2" }] };
      assert.match(JSON.stringify(loxilb(first, mixedRule).body), /"result":"Success".*SERVICE_SCOPES_MIXED/);
      await until("the other member to say so, too", () => second.log().includes("SERVICE_SCOPES_MIXED"));
    });
  } finally {
    await cluster.close();
  }
});
