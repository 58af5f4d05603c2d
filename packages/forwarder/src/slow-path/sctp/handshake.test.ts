import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK } from "@holdfast/sctp";
import { ClientHost, EndpointHost, listedIn } from "../../testing/hosts.ts";
import { CLIENT, CLIENT_2, ENDPOINT, ENDPOINT_PORT, Rig, SERVICE_PORT, VIPS } from "../../testing/rig.ts";
import { VIP0, VIP1 } from "../../testing/usual.ts";

test("a handshake passes, both sides see VIPs only, and data goes through the fast path", async () => {
  const rig = new Rig();
  const client = new ClientHost(36_000, SERVICE_PORT, 0xaaaa_0001);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0xbbbb_0001);
  const up = { source: CLIENT, destination: VIP0 };

  const init = await rig.one(client.init(up, [CLIENT, CLIENT_2]));
  assert.equal(init.source, VIP0);
  assert.equal(init.destination, ENDPOINT);
  assert.equal(init.tag, 0);
  assert.deepEqual(listedIn(init), VIPS);
  assert.equal(init.hopLimit, 63);

  const initAck = await rig.one(endpoint.initAck(init));
  assert.equal(initAck.source, VIP0);
  assert.equal(initAck.destination, CLIENT);
  assert.equal(initAck.packet.sourcePort, SERVICE_PORT);
  assert.equal(initAck.packet.destinationPort, 36_000);
  assert.deepEqual(listedIn(initAck), VIPS);
  client.acceptInitAck(initAck);

  const echo = await rig.one(client.cookieEcho(up));
  assert.equal(echo.destination, ENDPOINT);
  assert.equal(rig.fastPath.flowCount, 0);
  const ack = await rig.one(endpoint.cookieAck({ source: ENDPOINT, destination: VIP0 }));
  assert.equal(ack.destination, CLIENT);
  assert.ok(rig.fastPath.flowCount >= 4);

  const punts = rig.event("punts");
  const data = await rig.one(client.data(up));
  assert.deepEqual([data.source, data.destination], [VIP0, ENDPOINT]);
  const back = await rig.one(endpoint.data({ source: ENDPOINT, destination: VIP0 }));
  assert.deepEqual([back.source, back.destination], [VIP0, CLIENT]);
  assert.equal(rig.event("punts"), punts, "established traffic stays in the fast path");
  // The endpoint's first probe of the second path follows at once (docs/sctp.md §12).
  const probe = await rig.one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
  assert.deepEqual([probe.source, probe.destination], [VIP1, CLIENT_2]);
  const answer = await rig.one(client.heartbeatAck({ source: CLIENT_2, destination: VIP1 }));
  assert.deepEqual([answer.source, answer.destination], [VIP1, ENDPOINT]);
  const record = [...rig.table.values()][0];
  assert.equal(record?.clients.get(CLIENT_2), true);
  assert.deepEqual(rig.drops(), {});
  assert.equal(rig.event("sessions-committed"), 1);
  assert.deepEqual(answer.types, [CHUNK.HEARTBEAT_ACK]);
});

test("all i × j are forwarded", async () => {
  const rig = new Rig();
  const { client } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  for (const source of [CLIENT, CLIENT_2]) {
    for (const vip of VIPS) {
      for (let i = 0; i < 2; i++) {
        const seen = await rig.one(client.data({ source, destination: vip }));
        assert.deepEqual([seen.source, seen.destination], [vip, ENDPOINT]);
      }
    }
  }
  assert.deepEqual(rig.drops(), {});
});
