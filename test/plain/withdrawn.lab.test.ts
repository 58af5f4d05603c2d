// Services of TCP and UDP with withdrawWhenDown: a VIP goes with the last endpoint that answers, and comes
// back with the first.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Address } from "@holdfast/model";
import { Cluster, type Host, until, withLogs } from "@holdfast/testkit";

const VIPS: readonly Address[] = ["203.0.113.1", "203.0.113.2"];
const ECHO = fileURLToPath(new URL("./echo-server.ts", import.meta.url));
const PORT = 7_777;

async function startEcho(host: Host) {
  const child = host.spawn(process.execPath, [ECHO, String(PORT)]);
  assert.ok(child.stdout);
  await once(child.stdout, "data");
  return child;
}

test("VIPs of TCP and UDP are withdrawn while no endpoint answers", async () => {
  const cluster = new Cluster({ members: 1, clients: [1], vips: VIPS, withService: false });
  try {
    const [host] = cluster.endpoints;
    const [member] = cluster.members;
    assert.ok(host && member);
    const echo = await startEcho(host);
    await cluster.start();
    const endpoints = [{ address: host.addresses("core")[0], port: PORT }];
    for (const [index, protocol] of ["tcp", "udp"].entries()) {
      const check = protocol === "udp" && { healthCheck: { kind: "udp", send: "?", expect: "?" } };
      const service = { name: protocol, protocol, vips: [VIPS[index]], port: 80, endpoints, ...check };
      const { status } = await member.fetch("POST", "/v1/services", { ...service, withdrawWhenDown: true });
      assert.equal(status, 201);
    }
    const owned = async () => {
      const { items } = await member.get<{ items: { vip: string; owner?: string }[] }>("/v1/vips");
      return items.flatMap(({ vip, owner }) => (owner === undefined ? [] : [vip])).sort();
    };
    await cluster.endpointsUp();
    await until("both VIPs", async () => (await owned()).length === 2);
    echo.kill("SIGKILL");
    await until("no VIP", async () => (await owned()).length === 0);
    await startEcho(host);
    await until("both VIPs again", async () => (await owned()).length === 2);
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});
