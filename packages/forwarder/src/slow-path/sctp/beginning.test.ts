// A server that begins: refused with a reason of its own, or carried to its service's peer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "@holdfast/model";
import { LIMITS_DEFAULT } from "../../limits.ts";
import { Cluster } from "../../testing/cluster.ts";
import { ClientHost, EndpointHost, listedIn } from "../../testing/hosts.ts";
import { ENDPOINT, ENDPOINT_PORT, Rig, SERVICE_PORT, serviceOf, VIPS } from "../../testing/rig.ts";
import { VIP0, VIP1 } from "../../testing/usual.ts";

const PEER = parseAddress("100.80.1.77");
const OTHER_PEER = parseAddress("100.81.1.77");
const BEGINS = serviceOf({ endpointsMayBegin: true, peers: [PEER, OTHER_PEER] });
const FROM_ENDPOINT = { source: ENDPOINT, destination: VIP0 };
const FROM_PEER = { source: PEER, destination: VIP0 };

/** The endpoint has the client's part of the handshake, the peer the server's. */
const hosts = () => ({
  endpoint: new ClientHost(ENDPOINT_PORT, SERVICE_PORT, 0x4545_0001),
  peer: new EndpointHost(SERVICE_PORT, SERVICE_PORT, 0x5050_0001),
});

test("an INIT from an endpoint's own port to its own service is refused, not balanced", async () => {
  const rig = new Rig();
  assert.deepEqual(await rig.pass(hosts().endpoint.init(FROM_ENDPOINT)), []);
  assert.deepEqual(rig.drops(), { "endpoint-begins": 1 });
  // From another port it is a client like any other.
  await rig.one(new ClientHost(40_000, SERVICE_PORT, 0x77).init(FROM_ENDPOINT));
});

test("with a peer the whole handshake passes the other way round, and messages on every VIP", async () => {
  const cluster = new Cluster(2, { lends: true, services: [BEGINS] });
  const [a, b] = [cluster.rig(0), cluster.rig(1)];
  const { endpoint, peer } = hosts();
  const init = await a.one(endpoint.init(FROM_ENDPOINT));
  assert.deepEqual(
    [init.source, init.destination, init.packet.sourcePort, init.packet.destinationPort],
    [VIP0, PEER, SERVICE_PORT, SERVICE_PORT],
  );
  assert.deepEqual(listedIn(init), [...VIPS]);
  const initAck = await a.one(peer.initAck(init));
  assert.deepEqual(
    [initAck.source, initAck.destination, initAck.packet.sourcePort, initAck.packet.destinationPort],
    [VIP0, ENDPOINT, SERVICE_PORT, ENDPOINT_PORT],
  );
  endpoint.acceptInitAck(initAck);
  // From here on any member will do: the table has it.
  const echo = await b.one(endpoint.cookieEcho(FROM_ENDPOINT));
  assert.equal(echo.destination, PEER);
  const ack = await a.one(peer.cookieAck(FROM_PEER));
  assert.equal(ack.destination, ENDPOINT);
  await b.one(endpoint.data(FROM_ENDPOINT));
  const [record] = [...a.table.values()];
  assert.equal(record?.commit?.clientTag, peer.tag);
  for (const rig of [a, b])
    for (const vip of [VIP0, VIP1]) {
      assert.equal((await rig.one(endpoint.data({ source: ENDPOINT, destination: vip }))).destination, PEER);
      const up = await rig.one(peer.data({ source: PEER, destination: vip }));
      assert.deepEqual(
        [up.source, up.destination, up.packet.destinationPort],
        [vip, ENDPOINT, ENDPOINT_PORT],
      );
    }
  assert.deepEqual([a.drops(), b.drops()], [{}, {}]);
  assert.equal(a.forwarder.counters().natPortsLent + b.forwarder.counters().natPortsLent, 0);
});

test("a peer with several addresses is called at one after the other", async () => {
  const rig = new Rig({
    services: [BEGINS],
    lending: { memberNumbers: [0], request: async () => undefined },
  });
  const { endpoint } = hosts();
  const called: string[] = [];
  for (let n = 0; n < 3; n++) called.push((await rig.one(endpoint.init(FROM_ENDPOINT))).destination);
  assert.deepEqual(called, [PEER, OTHER_PEER, PEER]);
});

test("strangers' INIT-ACKs are nothing, and what nobody answers gives its port back", async () => {
  const rig = new Rig({
    services: [BEGINS],
    lending: { memberNumbers: [0], request: async () => undefined },
  });
  const { endpoint, peer } = hosts();
  const init = await rig.one(endpoint.init(FROM_ENDPOINT));
  const stranger = { ...init, destination: parseAddress("100.80.9.9") };
  assert.deepEqual(await rig.pass(peer.initAck(stranger)), []);
  assert.equal(rig.forwarder.counters().natPortsLent, 1);
  rig.clock.advance(LIMITS_DEFAULT.handshakeTimeoutMs + 1_000);
  assert.equal(rig.forwarder.counters().natPortsLent, 0);
  assert.equal(rig.table.size, 0);
});

test("the port at which the endpoint sees its peer is nobody else's", async () => {
  const service = { ...BEGINS, natPort: "keep" as const };
  const rig = new Rig({
    services: [service],
    lending: { memberNumbers: [0], request: async () => undefined },
  });
  const client = new ClientHost(SERVICE_PORT, SERVICE_PORT, 0x99);
  await rig.one(hosts().endpoint.init(FROM_ENDPOINT));
  const seen = await rig.one(client.init({ source: parseAddress("100.80.1.5"), destination: VIP0 }));
  assert.notEqual(seen.packet.sourcePort, SERVICE_PORT);
});
