import assert from "node:assert/strict";
import { test } from "node:test";
import { isLiving } from "@holdfast/model";
import { CHUNK, encodeAbort, encodeShutdown, encodeShutdownComplete } from "@holdfast/sctp";
import { CLIENT, CLIENT_2, ENDPOINT, type Established, Rig } from "../../testing/rig.ts";
import { VIP0, VIP1 } from "../../testing/usual.ts";

const REFLECTED = encodeAbort({ reflected: true });
const isAlive = (rig: Rig, { record }: Established) => {
  const now = rig.table.get(record.id);
  return now !== undefined && isLiving(now);
};

async function multihomed(rig: Rig): Promise<Established> {
  return rig.establish({ listed: [CLIENT, CLIENT_2] });
}

test("an endpoint that left a VIP out answers it with ABORT: the client does not hear of it, on either fast path", async () => {
  const rig = new Rig();
  const established = await multihomed(rig);
  const { client, endpoint } = established;
  const down = { source: ENDPOINT, destination: VIP1 };
  // The client probes its second path; the endpoint knows nobody at VIP 1 (Linux, scopes).
  await rig.one(client.heartbeat({ source: CLIENT_2, destination: VIP1 }));
  for (let i = 0; i < 3; i++)
    assert.deepEqual(await rig.pass(endpoint.packet(down, [REFLECTED], endpoint.tag)), []);
  assert.equal(rig.drops()["vip-not-accepted"], 3);
  assert.ok(isAlive(rig, established));
  // Where the handshake went it is believed: the endpoint has lost the association.
  const told = await rig.one(
    endpoint.packet({ source: ENDPOINT, destination: VIP0 }, [REFLECTED], endpoint.tag),
  );
  assert.deepEqual(told.types, [CHUNK.ABORT]);
  assert.equal(rig.table.get(established.record.id)?.end?.cause, "abortByEndpoint");
});

test("where the endpoint has spoken since the commit its ABORT is believed, whoever carried what it said", async () => {
  // Through the fast path: only the flow's counter knows.
  const rig = new Rig();
  const established = await multihomed(rig);
  const { client, endpoint } = established;
  const down = { source: ENDPOINT, destination: VIP1 };
  await rig.one(client.heartbeat({ source: CLIENT_2, destination: VIP1 }));
  rig.clock.advance(10);
  assert.equal((await rig.one(endpoint.heartbeat(down))).destination, CLIENT_2);
  assert.equal((await rig.pass(endpoint.packet(down, [REFLECTED], endpoint.tag))).length, 1);
  assert.equal(isAlive(rig, established), false);
  // Through the slow path, as there is no room in the flow table.
  const full = new Rig({ flowCountMax: 0 });
  const second = await multihomed(full);
  await full.one(second.client.heartbeat({ source: CLIENT_2, destination: VIP1 }));
  await full.one(second.endpoint.heartbeatAck(down));
  assert.equal((await full.pass(second.endpoint.packet(down, [REFLECTED], second.endpoint.tag))).length, 1);
  assert.equal(isAlive(full, second), false);
});

test("what the endpoint said before a restart says nothing of the association that replaced it", async () => {
  const rig = new Rig();
  const established = await multihomed(rig);
  const { client, endpoint, record } = established;
  const down = { source: ENDPOINT, destination: VIP1 };
  await rig.one(client.heartbeat({ source: CLIENT_2, destination: VIP1 }));
  await rig.one(endpoint.heartbeat(down));
  rig.clock.advance(100);
  client.tag = 0x1111_0002;
  endpoint.tag = 0x2222_0002;
  const route = { source: CLIENT, destination: VIP0 };
  const init = await rig.one(client.init(route, [CLIENT, CLIENT_2]));
  client.acceptInitAck(await rig.one(endpoint.initAck(init)));
  const echo = await rig.one(client.cookieEcho(route));
  rig.clock.advance(10);
  await rig.one(endpoint.cookieAck({ source: echo.destination, destination: echo.source }));
  assert.equal(rig.table.get(record.id)?.commit?.clientTag, client.tag);
  assert.deepEqual(await rig.pass(endpoint.packet(down, [REFLECTED], endpoint.tag)), []);
  assert.ok(isAlive(rig, established));
});

test("without the T bit an ABORT is of a host that holds the association: believed on every VIP", async () => {
  const rig = new Rig();
  const established = await multihomed(rig);
  const abort = established.endpoint.packet({ source: ENDPOINT, destination: VIP1 }, [encodeAbort()]);
  assert.equal((await rig.pass(abort)).length, 1);
  assert.equal(isAlive(rig, established), false);
});

test("a client that left a VIP out, and a stranger at an address that was only listed, end nothing either", async () => {
  const rig = new Rig();
  const established = await multihomed(rig);
  const { client, endpoint } = established;
  // The endpoint probes VIP 1 and the probe reaches what the client listed: a host that knows nothing of it.
  await rig.one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
  const stranger = client.packet({ source: CLIENT_2, destination: VIP1 }, [REFLECTED], client.tag);
  assert.deepEqual(await rig.pass(stranger), []);
  // The client itself, at its proven address, on a VIP that it never used.
  const itself = client.packet({ source: CLIENT, destination: VIP1 }, [REFLECTED], client.tag);
  assert.deepEqual(await rig.pass(itself), []);
  assert.equal(rig.drops()["vip-not-accepted"], 2);
  assert.ok(isAlive(rig, established));
  // It has used the VIP by now: it has lost the association.
  await rig.one(client.heartbeat({ source: CLIENT_2, destination: VIP1 }));
  assert.equal((await rig.pass(stranger)).length, 1);
  assert.equal(isAlive(rig, established), false);
});

test("a reflected SHUTDOWN-COMPLETE from where nobody took part ends nothing", async () => {
  const rig = new Rig();
  const established = await multihomed(rig);
  const { client, endpoint } = established;
  await rig.one(client.packet({ source: CLIENT, destination: VIP0 }, [encodeShutdown(1)]));
  const complete = encodeShutdownComplete({ reflected: true });
  const unasked = endpoint.packet({ source: ENDPOINT, destination: VIP1 }, [complete], endpoint.tag);
  assert.deepEqual(await rig.pass(unasked), []);
  assert.ok(isAlive(rig, established));
});
