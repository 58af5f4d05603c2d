// An endpoint that is somebody's client: two services that point at each other, as in a mirror of both
// directions, and one that reaches itself through its own VIP.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { ClientHost, EndpointHost } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  VIPS,
} from "../../testing/rig.ts";

const MIRROR_VIP: Address = "203.0.113.133";

const MIRROR = serviceOf({
  id: `sctp/${MIRROR_VIP}:${SERVICE_PORT}`,
  name: "mirror",
  vips: [MIRROR_VIP, "198.51.100.134"],
  endpoints: [{ address: CLIENT, port: 9_999, weight: 1, state: "active" }],
});

test("two services whose endpoints are each other's clients", async () => {
  const rig = new Rig({ services: [serviceOf(), MIRROR] });
  const there = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  const back = await rig.establish({
    source: ENDPOINT,
    vip: MIRROR_VIP,
    client: new ClientHost(ENDPOINT_PORT, SERVICE_PORT, 0x3333_0001),
    endpoint: new EndpointHost(9_999, 0, 0x4444_0001),
  });
  assert.notEqual(there.record.id, back.record.id);
  assert.equal(back.record.serviceId, MIRROR.id);
  const up = await rig.one(back.client.data({ source: ENDPOINT, destination: MIRROR_VIP }));
  assert.deepEqual([up.source, up.destination], [MIRROR_VIP, CLIENT]);
  const down = await rig.one(back.endpoint.data({ source: CLIENT, destination: MIRROR_VIP }));
  assert.deepEqual([down.source, down.destination], [MIRROR_VIP, ENDPOINT]);
  await rig.one(there.client.data({ source: CLIENT, destination: VIPS[0] as Address }));
  await rig.one(there.endpoint.data({ source: ENDPOINT, destination: VIPS[0] as Address }));
  assert.deepEqual(rig.drops(), {});
});

test("a client's further address may be an endpoint of another service, never one of its own", async () => {
  const rig = new Rig({ services: [serviceOf(), MIRROR] });
  const { record } = await rig.establish({ source: CLIENT_2, listed: [CLIENT_2, CLIENT, ENDPOINT] });
  assert.deepEqual([...record.clients.keys()].sort(), [CLIENT, CLIENT_2].sort());
});

test("an endpoint reaches itself through its own service", async () => {
  const rig = new Rig();
  const { client, endpoint, natPort } = await rig.establish({ source: ENDPOINT });
  const vip = VIPS[0] as Address;
  const up = await rig.one(client.data({ source: ENDPOINT, destination: vip }));
  assert.deepEqual(
    [up.source, up.destination, up.packet.sourcePort, up.packet.destinationPort],
    [vip, ENDPOINT, natPort, ENDPOINT_PORT],
  );
  const down = await rig.one(endpoint.data({ source: ENDPOINT, destination: vip }));
  assert.deepEqual(
    [down.source, down.destination, down.packet.destinationPort],
    [vip, ENDPOINT, CLIENT_PORT],
  );
});
