// Client and endpoint behind narrow routers: discovery, errors of strangers, real fragments, forgeries; all
// on one cluster.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Address, addressBytes } from "@holdfast/model";
import { type Capture, ENDPOINT_PORT, SERVICE_PORT } from "@holdfast/testkit";
import { forgeErrors, forgeFragments } from "./forgeries.ts";
import { played, unharmed } from "./played.ts";
import { type Family, type FastPathMode, KEPT_PORT, NARROW_MTU, Routed } from "./routed.ts";

const MESSAGE_SIZE = 16_384;
const hex = (address: Address) => Buffer.from(addressBytes(address)).toString("hex");

interface SessionItem {
  readonly clientPort: number;
  readonly natPort?: number;
}

export async function behindRouters(t: TestContext, family: Family, fastPath: FastPathMode): Promise<void> {
  const routed = new Routed(family, fastPath);
  const { cluster } = routed;
  await played(cluster, async () => {
    await cluster.start();
    const atClient = await routed.capture(routed.client, "far");
    const atEndpoint = await routed.capture(routed.endpoint, "behind");
    const server = await routed.startServer();
    const client = await routed.startClient({ rate: 5, size: MESSAGE_SIZE, associations: 2 });
    await client.established(2);
    const member = cluster.members[0];
    assert.ok(member);
    const { items } = await member.get<{ items: SessionItem[] }>("/v1/sessions");
    const natPorts = new Map(items.map((s) => [s.clientPort, s.natPort as number]));
    assert.equal(natPorts.get(KEPT_PORT), KEPT_PORT);
    const changed = natPorts.get(KEPT_PORT + 1) as number;
    assert.notEqual(changed, KEPT_PORT + 1);
    await t.test(
      "messages of 16 KiB arrive, and come back: both stacks hear the narrow path's MTU",
      async () => {
        await unharmed(client, 5);
        for (const receipt of await server.receipts()) assert.equal(receipt.corrupt, 0);
        for (const peer of [client, server])
          assert.ok(peer.events.some((e) => e.event === "pathMtu" && e["mtu"] === NARROW_MTU));
      },
    );
    await t.test("a router's error reaches the host that caused it, translated outside and inside", () =>
      translated(routed, atClient, atEndpoint, natPorts),
    );
    await t.test("fragments arrive with their port kept and with their port changed, both ways", async () => {
      await Promise.all([atClient.flush(), atEndpoint.flush()]);
      const up = atEndpoint.packets().filter((p) => routed.vips.includes(p.source));
      const down = atClient.packets().filter((p) => routed.vips.includes(p.source));
      const ports = (list: typeof up) => new Set(list.map((p) => routed.firstFragment(p)?.join(" ")));
      for (const natPort of [KEPT_PORT, changed])
        assert.ok(ports(up).has(`${natPort} ${ENDPOINT_PORT}`), `up, NAT port ${natPort}`);
      for (const port of [KEPT_PORT, KEPT_PORT + 1])
        assert.ok(ports(down).has(`${SERVICE_PORT} ${port}`), `down, port ${port}`);
    });
    await t.test("forged errors are dropped for a reason and lower nobody's MTU", () =>
      forgeErrors(routed, member, client, atEndpoint),
    );
    await t.test("overlapping, tiny and endless fragments are dropped for a reason", () =>
      forgeFragments(routed, member),
    );
    const echoes = Math.max(...(await client.associations()).map((a) => a.echoes));
    await unharmed(client, echoes + 3);
    for (const capture of [atClient, atEndpoint]) await capture.stop();
  });
}

/** One error of each router: where it arrived, from whom, and which packet it quotes. */
async function translated(
  routed: Routed,
  atClient: Capture,
  atEndpoint: Capture,
  natPorts: ReadonlyMap<number, number>,
): Promise<void> {
  const { far, behind } = routed.places;
  await Promise.all([atClient.flush(), atEndpoint.flush()]);
  const errorsAt = (capture: Capture) =>
    capture.packets().filter((p) => routed.isTooBig(p) && routed.vips.includes(p.source));
  const [toClient] = errorsAt(atClient);
  assert.ok(toClient, "an error at the client");
  assert.equal(toClient.destination, far.client);
  const up = routed.quoted(toClient);
  assert.equal(up.mtu, NARROW_MTU);
  // As the client sent it: to a VIP, not to an endpoint.
  assert.equal(up.source, hex(far.client));
  assert.equal(up.destination, hex(toClient.source));
  assert.ok(natPorts.has(up.sourcePort));
  assert.equal(up.destinationPort, SERVICE_PORT);
  const [toEndpoint] = errorsAt(atEndpoint);
  assert.ok(toEndpoint, "an error at the endpoint");
  assert.equal(toEndpoint.destination, behind.endpoint);
  const down = routed.quoted(toEndpoint);
  assert.equal(down.mtu, NARROW_MTU);
  assert.equal(down.source, hex(behind.endpoint));
  assert.equal(down.destination, hex(toEndpoint.source));
  assert.equal(down.sourcePort, ENDPOINT_PORT);
  assert.ok([...natPorts.values()].includes(down.destinationPort));
  // By the tags with which those packets travelled.
  const tagsOf = (capture: Capture, source: Address) =>
    new Set(
      capture.packets().flatMap((p) => (p.source === source && p.sctp ? [p.sctp.verificationTag] : [])),
    );
  assert.ok(tagsOf(atClient, far.client).has(up.tag));
  assert.ok(tagsOf(atEndpoint, behind.endpoint).has(down.tag));
}
