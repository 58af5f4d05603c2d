// An endpoint that left its service's list and still has its grace.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint, Service } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  SERVICE_PORT,
  serviceOf,
} from "../testing/rig.ts";
import { endpointAt, UP, VIP0 } from "../testing/usual.ts";

const LEAVING = [{ ...endpointAt(ENDPOINT), sinceMs: 1, graceMs: 300_000 }];
const left = (endpoints: readonly Endpoint[]): Service[] => [serviceOf({ endpoints, leaving: LEAVING })];

test("it keeps its associations and takes no new ones; back, nothing happened; taken away, its clients are told", async () => {
  const rig = new Rig();
  const { client, endpoint, natPort, record } = await rig.establish();
  rig.forwarder.setServices(left([endpointAt(OTHER_ENDPOINT)]));
  rig.clock.advance(60_000);
  assert.deepEqual(rig.taken(), [], "it left, and somebody was told");
  const up = await rig.one(client.data(UP));
  assert.deepEqual([up.destination, up.tag], [ENDPOINT, endpoint.tag]);
  const down = await rig.one(endpoint.data({ source: ENDPOINT, destination: VIP0 }));
  assert.deepEqual([down.destination, down.tag], [CLIENT, client.tag]);
  const other = await rig.one(new ClientHost(CLIENT_PORT + 1, SERVICE_PORT, 0x9001).init(UP));
  assert.equal(other.destination, OTHER_ENDPOINT);

  rig.forwarder.setServices([serviceOf({ endpoints: [endpointAt(ENDPOINT)] })]);
  const again = await rig.one(client.data(UP));
  assert.deepEqual([again.destination, again.packet.sourcePort], [ENDPOINT, natPort]);

  rig.forwarder.setServices(left([endpointAt(OTHER_ENDPOINT)]));
  rig.taken();
  rig.forwarder.setServices([serviceOf({ endpoints: [endpointAt(OTHER_ENDPOINT)] })]);
  const told = rig.taken().filter((seen) => seen.destination === CLIENT);
  assert.ok(
    told.length > 0 && told.every((seen) => seen.tag === client.tag && seen.types[0] === CHUNK.ABORT),
  );
  assert.equal(rig.table.get(record.id)?.end?.cause, "endpointRemoved");
});

test("a client that restarts moves to another endpoint", async () => {
  const rig = new Rig();
  const { client } = await rig.establish();
  rig.forwarder.setServices(left([endpointAt(OTHER_ENDPOINT)]));
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x9002);
  assert.notEqual(again.tag, client.tag);
  assert.equal((await rig.one(again.init(UP))).destination, OTHER_ENDPOINT);
});

test("where no other endpoint is up, a client that restarts stays", async () => {
  for (const others of [[], [endpointAt(OTHER_ENDPOINT)]]) {
    const rig = new Rig();
    const { natPort } = await rig.establish();
    rig.forwarder.setServices(left(others));
    rig.forwarder.setVerdict({ address: OTHER_ENDPOINT, port: ENDPOINT_PORT }, "down", "a test");
    const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x9003);
    const init = await rig.one(again.init(UP));
    assert.deepEqual([init.destination, init.packet.sourcePort], [ENDPOINT, natPort]);
    const restarted = new EndpointHost(ENDPOINT_PORT, natPort, 0x2222_0009);
    again.acceptInitAck(await rig.one(restarted.initAck(init)));
    await rig.one(again.cookieEcho(UP));
    await rig.one(restarted.cookieAck({ source: ENDPOINT, destination: VIP0 }));
    assert.equal((await rig.one(again.data(UP))).tag, restarted.tag);
  }
});

test("when it dies, its clients are told as those of any endpoint", async () => {
  const rig = new Rig();
  const { client } = await rig.establish();
  rig.forwarder.setServices(left([endpointAt(OTHER_ENDPOINT)]));
  rig.forwarder.setVerdict({ address: ENDPOINT, port: ENDPOINT_PORT }, "down", "a test", true);
  rig.clock.advance(5_000);
  const told = rig.taken().filter((seen) => seen.destination === CLIENT);
  assert.ok(
    told.length > 0 && told.every((seen) => seen.tag === client.tag && seen.types[0] === CHUNK.ABORT),
  );
});
