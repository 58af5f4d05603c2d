// What the slow path makes of a service's `allowedSources`: it knows what the fast path does not see,
// addresses that an INIT lists and packets in parts, and what has begun.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { fragmentPacket } from "../../fragments/fragmentation.ts";
import { ClientHost } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  VIPS,
} from "../../testing/rig.ts";

const [VIP0, VIP1] = VIPS as [Address, Address];
const only = (...allowedSources: string[]) => serviceOf({ allowedSources });

test("an address of the client that is not allowed is no path of the association", async () => {
  const rig = new Rig({ services: [only("100.80.0.0/16")] });
  const { client, endpoint, natPort, record } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  assert.deepEqual([...record.clients.keys()], [CLIENT]);
  assert.deepEqual(await rig.pass(client.heartbeat({ source: CLIENT_2, destination: VIP1 })), []);
  assert.ok((rig.drops()["no-session"] ?? 0) + (rig.drops()["source-not-in-set"] ?? 0) > 0);
  // The endpoint's HEARTBEAT to the other VIP goes to the one address there is.
  endpoint.peerPort = natPort;
  const down = await rig.one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
  assert.equal(down.destination, CLIENT);
});

test("an INIT in parts is refused like a whole one", async () => {
  const rig = new Rig({ services: [only("198.18.0.0/15")] });
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x1111_0001);
  const init = client.init(
    { source: CLIENT, destination: VIP0 },
    Array.from({ length: 200 }, () => CLIENT_2),
  );
  const parts = fragmentPacket(init, 600, 7);
  assert.ok(parts.length > 1);
  for (const part of parts) assert.deepEqual(await rig.pass(part), []);
  assert.deepEqual(rig.drops(), { "source-not-allowed": 1 });
  assert.deepEqual(await rig.pass(client.init({ source: CLIENT, destination: VIP0 })), []);
  assert.equal(rig.drops()["drop.source-not-allowed"], 1);
});

test("what has begun stays when its source is allowed no more; it cannot begin again until it is", async () => {
  const rig = new Rig();
  const { client } = await rig.establish();
  rig.forwarder.setServices([only("198.18.0.0/15", "2001:db8::/32")]);
  const route = { source: CLIENT, destination: VIP0 };
  const up = await rig.one(client.data(route));
  assert.equal(up.destination, ENDPOINT);
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x1111_0002);
  assert.deepEqual(await rig.pass(again.init(route)), []);
  assert.equal(rig.drops()["source-not-allowed"], 1, "its flow takes the INIT past the fast path's list");
  rig.forwarder.setServices([only("100.80.1.10/32")]);
  assert.equal((await rig.one(again.init(route))).destination, ENDPOINT);
});
