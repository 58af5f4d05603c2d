// Rules of TCP and UDP, as loxicmd and kube-loxilb post them beside SCTP's.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { KubeLoxilb, Loxicmd } from "./clients.ts";
import { type RigMember, startRig } from "./rig.ts";

const VIP = "123.123.123.1";
const LB = { ip: VIP, port: 8_080, targetPort: 80, endpoints: ["31.31.31.1"] };
const OTHERS = ["tcp", "udp"];

interface LbReply {
  lbAttr: { serviceArguments: Record<string, unknown>; secondaryIPs: unknown }[];
}

/** Waits for a condition. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const limit = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < limit, `waited too long until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("rules of other protocols", () => {
  let rig: Awaited<ReturnType<typeof startRig>>;
  let member: RigMember;
  before(async () => {
    rig = await startRig({ members: 2, graceMs: 100 });
    member = rig.members[0] as RigMember;
  });
  after(() => rig.stop());
  const ids = () => member.node.registry.list().map(({ id }) => id);

  test("loxicmd: they come back as they were posted, beside each other, and go", async () => {
    const cli = new Loxicmd(member.url);
    for (const protocol of ["sctp", ...OTHERS])
      assert.equal(await cli.createLb({ ...LB, protocol, idle: 600 }), "Success");
    const { lbAttr } = (await cli.get<LbReply>("/config/loadbalancer/all")) as LbReply;
    for (const protocol of ["sctp", ...OTHERS]) {
      const rule = lbAttr.find(({ serviceArguments }) => serviceArguments["protocol"] === protocol);
      const { port, inactiveTimeOut } = rule?.serviceArguments ?? {};
      assert.deepEqual([port, inactiveTimeOut], [8_080, 600], protocol);
    }
    assert.equal(member.node.registry.find(`tcp/${VIP}:8080`).idle?.establishedS, 600);
    assert.equal(member.node.registry.find(`udp/${VIP}:8080`).idle?.flowS, 600);
    for (const protocol of OTHERS) assert.equal(await cli.deleteLb(VIP, 8_080, protocol), "Success");
    await until("SCTP's is left alone", () => ids().join() === `sctp/${VIP}:8080`);
    assert.equal(await cli.deleteLb(VIP, 8_080), "Success");
    await until("nothing is left", () => ids().length === 0);
  });

  test("kube-loxilb posts a Service's secondaries for every port: SCTP alone takes them", async () => {
    const client = new KubeLoxilb(member.url, "head");
    const service = { ...LB, secondaries: ["124.124.124.1"] };
    for (const protocol of ["sctp", ...OTHERS]) assert.ok(await client.post({ ...service, protocol }));
    assert.deepEqual(member.node.registry.find(`sctp/${VIP}:8080`).vips.length, 2);
    for (const protocol of OTHERS)
      assert.deepEqual(member.node.registry.find(`${protocol}/${VIP}:8080`).vips, [VIP]);
    for (const protocol of ["sctp", ...OTHERS]) assert.ok(await client.remove({ ...service, protocol }));
    await until("nothing is left", () => ids().length === 0);
  });

  test("endpoints that are attached are 32 at most, with those that are there", async () => {
    const post = async (from: number) => {
      const endpoints = Array.from({ length: 20 }, (_, index) => ({
        endpointIP: `31.31.31.${from + index}`,
        targetPort: 80,
        weight: 1,
      }));
      const response = await fetch(`${member.url}/netlox/v1/config/loadbalancer`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          serviceArguments: { externalIP: VIP, port: 8_081, protocol: "sctp", mode: 2, oper: 1 },
          endpoints,
        }),
      });
      return ((await response.json()) as { result: string }).result;
    };
    assert.equal(await post(1), "Success");
    assert.match(await post(31), /more than 32 endpoints/);
    assert.equal(member.node.registry.find(`sctp/${VIP}:8081`).endpoints.length, 20);
    for (const port of ["0x1f91", "8081.0", "+8081", "8.081e3"]) {
      const path = `/config/loadbalancer/externalipaddress/${VIP}/port/${port}/protocol/sctp`;
      const response = await fetch(`${member.url}/netlox/v1${path}`, { method: "DELETE" });
      assert.equal(response.status, 400, port);
    }
    assert.equal(member.node.registry.find(`sctp/${VIP}:8081`).removal, undefined);
    assert.equal(await new Loxicmd(member.url).deleteLb(VIP, 8_081), "Success");
    await until("nothing is left", () => ids().length === 0);
  });
});
