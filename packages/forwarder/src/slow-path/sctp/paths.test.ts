import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes } from "@holdfast/model";
import { CHUNK, encodeIp, encodePacket, encodeSack } from "@holdfast/sctp";
import { ClientHost, EndpointHost, listedIn, type Route } from "../../testing/hosts.ts";
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
import { UP, VIP0, VIP1 } from "../../testing/usual.ts";

const down = (vip: Address): Route => ({ source: ENDPOINT, destination: vip });

test("an INIT from the second address pairs it with the VIP of arrival", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ source: CLIENT_2, listed: [CLIENT, CLIENT_2] });
  await rig.one(client.data({ source: CLIENT, destination: VIP1 }));
  assert.equal((await rig.one(endpoint.data(down(VIP0)))).destination, CLIENT_2);
  assert.equal((await rig.one(endpoint.data(down(VIP1)))).destination, CLIENT);
});

test("an address that was only listed gets HEARTBEATs, until something tag-valid comes from it", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  assert.equal((await rig.one(endpoint.heartbeat(down(VIP1)))).destination, CLIENT_2);
  for (const packet of [endpoint.data(down(VIP1)), endpoint.sack(down(VIP1))]) {
    assert.equal((await rig.one(packet)).destination, CLIENT);
  }
  // A wrong tag proves nothing.
  await rig.pass(client.packet({ source: CLIENT_2, destination: VIP1 }, [encodeSack(1)], 0xbad));
  assert.equal((await rig.one(endpoint.data(down(VIP1)))).destination, CLIENT);
  await rig.one(client.heartbeatAck({ source: CLIENT_2, destination: VIP1 }));
  assert.equal((await rig.one(endpoint.data(down(VIP1)))).destination, CLIENT_2);
  assert.equal(rig.event("addresses-verified"), 1 + 1);
});

test("replies go to the address last heard on the VIP, paths to the one paired with it", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  await rig.one(client.data({ source: CLIENT_2, destination: VIP1 }));
  await rig.one(client.heartbeat({ source: CLIENT_2, destination: VIP0 }));
  assert.equal((await rig.one(endpoint.heartbeatAck(down(VIP0)))).destination, CLIENT_2);
  assert.equal((await rig.one(endpoint.data(down(VIP0)))).destination, CLIENT);
  await rig.one(client.data(UP));
  assert.equal((await rig.one(endpoint.sack(down(VIP0)))).destination, CLIENT);
  // Back and forth: each change is learned.
  for (let i = 0; i < 5; i++) {
    const source = i % 2 === 0 ? CLIENT_2 : CLIENT;
    await rig.one(client.sack({ source, destination: VIP0 }));
    assert.equal((await rig.one(endpoint.sack(down(VIP0)))).destination, source);
  }
});

test("changes of the address last heard are replicated at a bounded rate, the last one in the end", async () => {
  const rig = new Rig();
  const { client, record } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  let heardChanges = 0;
  rig.table.subscribe(({ previous, record: next }) => {
    if (previous?.heard !== next?.heard) heardChanges += 1;
  });
  for (let i = 0; i < 20; i++) {
    await rig.one(client.sack({ source: i % 2 === 0 ? CLIENT_2 : CLIENT, destination: VIP0 }));
    rig.clock.advance(20);
  }
  assert.ok(heardChanges <= 2, `${heardChanges} changes`);
  await rig.one(client.sack({ source: CLIENT_2, destination: VIP0 }));
  rig.clock.advance(2_500);
  assert.equal(rig.table.get(record.id)?.heard.get(0)?.address, CLIENT_2);
});

const HEARTBEAT_INTERVAL_MS = 30_000;

/**
 * Where the endpoint's HEARTBEATs for VIP1 go, one an interval; `answer` is what the client does about each.
 */
async function probes(
  rig: Rig,
  endpoint: EndpointHost,
  count: number,
  answer: (destination: Address) => Promise<unknown> = async () => {},
): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < count; i++) {
    const { destination } = await rig.one(endpoint.heartbeat(down(VIP1)));
    seen.push(destination);
    await answer(destination);
    rig.clock.advance(HEARTBEAT_INTERVAL_MS);
  }
  return seen;
}

test("an unproven partner gets the first HEARTBEAT, the address that speaks on the VIP all others", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, "198.51.77.1"] });
  // The client speaks on VIP1 from its first address only; the other leads nowhere.
  await rig.one(client.heartbeat({ source: CLIENT, destination: VIP1 }));
  assert.deepEqual(await probes(rig, endpoint, 5), ["198.51.77.1", CLIENT, CLIENT, CLIENT, CLIENT]);
  assert.equal(rig.event("fallbacks"), 1);
  assert.equal((await rig.one(endpoint.data(down(VIP1)))).destination, CLIENT);
  // Should it prove itself after all, it has its path back.
  await rig.pass(client.heartbeat({ source: "198.51.77.1", destination: VIP1 }));
  assert.deepEqual(await probes(rig, endpoint, 2), ["198.51.77.1", "198.51.77.1"]);
  assert.equal((await rig.one(endpoint.data(down(VIP1)))).destination, "198.51.77.1");
});

test("where nobody speaks on the VIP the source of the INIT gets the second, and keeps the path when it answers", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, "198.51.77.1"] });
  const answer = async (destination: Address) => {
    if (destination === CLIENT) await rig.one(client.heartbeatAck({ source: CLIENT, destination: VIP1 }));
  };
  assert.deepEqual(await probes(rig, endpoint, 4, answer), ["198.51.77.1", CLIENT, CLIENT, CLIENT]);
  // The fast path has it now.
  const punts = rig.event("punts");
  await rig.one(endpoint.heartbeat(down(VIP1)));
  assert.equal(rig.event("punts"), punts);
});

test("while nobody answers, the partner and the source of the INIT take turns", async () => {
  const rig = new Rig();
  const { endpoint } = await rig.establish({ listed: [CLIENT, "198.51.77.1"] });
  const turns = ["198.51.77.1", CLIENT, "198.51.77.1", CLIENT];
  assert.deepEqual(await probes(rig, endpoint, 4), turns);
});

test("HEARTBEATs that follow one another at once take turns, too", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, "198.51.77.1"] });
  await rig.one(client.heartbeat({ source: CLIENT, destination: VIP1 }));
  assert.equal((await rig.one(endpoint.heartbeat(down(VIP1)))).destination, "198.51.77.1");
  assert.equal((await rig.one(endpoint.heartbeat(down(VIP1)))).destination, CLIENT);
});

test("a partner that answers within the time of a probe is nobody's news", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  await rig.one(endpoint.heartbeat(down(VIP1)));
  await rig.one(client.heartbeatAck({ source: CLIENT_2, destination: VIP1 }));
  rig.clock.advance(1_000);
  assert.equal(rig.table.get(record.id)?.commit?.generation?.probedVips, undefined);
  assert.equal(rig.event("fallbacks"), 0);
});

test("a proven address that went silent gives way to a spare one, and that to the next, until somebody answers", async () => {
  const third = "100.82.3.10";
  const fourth = "100.83.4.10";
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, CLIENT_2, third, fourth] });
  for (const source of [CLIENT_2, third, fourth] as const)
    await rig.one(client.heartbeat({ source, destination: VIP1 }));
  await rig.one(client.heartbeat({ source: CLIENT_2, destination: VIP1 }));
  const seen = await probes(rig, endpoint, 16, async (destination) => {
    if (destination === fourth) await rig.one(client.heartbeatAck({ source: fourth, destination: VIP1 }));
  });
  assert.deepEqual([...new Set(seen)], [CLIENT_2, third, fourth]);
  assert.deepEqual(seen.slice(-8), Array(8).fill(fourth));
});

test("a single-homed client reaches every VIP", async () => {
  const four: readonly Address[] = ["203.0.113.1", "198.51.100.1", "192.88.99.1", "203.0.113.129"];
  const rig = new Rig({ services: [serviceOf({ vips: four })] });
  const { client, endpoint } = await rig.establish();
  for (const vip of four) {
    assert.equal(
      (await rig.one(endpoint.heartbeat({ source: ENDPOINT, destination: vip }))).destination,
      CLIENT,
    );
    assert.equal((await rig.one(client.heartbeatAck({ source: CLIENT, destination: vip }))).source, vip);
  }
  assert.deepEqual(rig.drops(), {});
});

test("IPv6, and a service with VIPs of both families", async () => {
  const vip6 = "2001:db8:ffff::1";
  const client6 = "2001:db8:1::10";
  const endpoint6 = "2001:db8:2::20";
  const rig = new Rig({ services: [serviceOf({ vips: [VIP0, vip6] })] });
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 1);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 2);
  const init = await rig.one(client.init(UP, [client6]));
  assert.deepEqual(listedIn(init), [VIP0, vip6]);
  // The endpoint lists an IPv6 address of its own: the second VIP can be used.
  const ack = await rig.one(endpoint.initAck(init, { listed: [endpoint6] }));
  assert.deepEqual(listedIn(ack), [VIP0, vip6]);
  client.acceptInitAck(ack);
  await rig.one(client.cookieEcho(UP));
  await rig.one(endpoint.cookieAck(down(VIP0)));
  const up6 = await rig.one(client.data({ source: client6, destination: vip6 }));
  assert.deepEqual([up6.source, up6.destination], [vip6, endpoint6]);
  const down6 = await rig.one(endpoint.data({ source: endpoint6, destination: vip6 }));
  assert.deepEqual([down6.source, down6.destination], [vip6, client6]);
  // A single-family client on the same service is offered what it can use.
  const other = new ClientHost(40_000, SERVICE_PORT, 3);
  const plain = new EndpointHost(ENDPOINT_PORT, 0, 4);
  const initOfOther = await rig.one(other.init({ source: "100.80.1.99", destination: VIP0 }));
  assert.deepEqual(listedIn(initOfOther), []);
  assert.deepEqual(listedIn(await rig.one(plain.initAck(initOfOther))), []);
});

test("a checksum that is not filled in yet is filled in; a corrupt one is never blessed", async () => {
  const rig = new Rig({ memberNumber: 1 });
  const { client } = await rig.establish();
  const partial = client.cookieEcho(UP);
  partial.fill(0, 28, 32);
  // `see` verifies the checksum.
  const [seen] = await rig.pass(partial, { checksumPartial: true });
  assert.equal(seen?.destination, ENDPOINT);
  const corrupt = client.cookieEcho(UP);
  corrupt[38] = (corrupt[38] as number) ^ 1;
  assert.deepEqual(await rig.pass(corrupt), []);
  assert.equal(rig.drops()["bad-checksum"], 1);
});

test("DSCP, ECN and the identification survive, the hop limit falls by one", async () => {
  const rig = new Rig();
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 1);
  const init = client.init(UP);
  const payload = init.slice(20);
  const marked = encodeIp({
    source: addressBytes(CLIENT),
    destination: addressBytes(VIP0),
    payload,
    trafficClass: 0xa2,
    identification: 0x1234,
    dontFragment: false,
    hopLimit: 9,
  });
  const seen = await rig.one(marked);
  assert.deepEqual([...seen.bytes.subarray(1, 2)], [0xa2]);
  assert.deepEqual([...seen.bytes.subarray(4, 8)], [0x12, 0x34, 0, 0]);
  assert.equal(seen.hopLimit, 8);
});

test("an INIT of the endpoint reaches the client of its NAT port, with VIPs in it, and no other", async () => {
  const rig = new Rig();
  const { natPort, client } = await rig.establish();
  const { encodeInit, encodeAddress } = await import("@holdfast/sctp");
  const { ipPacket } = await import("../../testing/hosts.ts");
  const init = encodeInit({ initiateTag: 0x99, parameters: [encodeAddress(addressBytes(ENDPOINT))] });
  const seen = await rig.one(ipPacket(down(VIP0), ENDPOINT_PORT, natPort, 0, [init]));
  assert.deepEqual([seen.source, seen.destination, seen.packet.destinationPort], [VIP0, CLIENT, CLIENT_PORT]);
  assert.deepEqual(listedIn(seen), VIPS);
  // The client's answer goes back, and the new tags are in force when the endpoint uses them.
  const { encodeCookieAck, encodeCookieEcho, encodeInitAck, encodeParameter, PARAMETER } = await import(
    "@holdfast/sctp"
  );
  const parameters = [
    encodeParameter(PARAMETER.STATE_COOKIE, new Uint8Array(8)),
    encodeAddress(addressBytes(CLIENT)),
  ];
  const answer = await rig.one(client.packet(UP, [encodeInitAck({ initiateTag: 0x98, parameters })], 0x99));
  assert.deepEqual([answer.destination, answer.types], [ENDPOINT, [CHUNK.INIT_ACK]]);
  assert.deepEqual(listedIn(answer), VIPS);
  await rig.one(client.data(UP));
  const restarted = new EndpointHost(ENDPOINT_PORT, natPort, 0x99);
  restarted.peerTag = 0x98;
  await rig.one(restarted.packet(down(VIP0), [encodeCookieEcho(new Uint8Array(8))]));
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x98);
  again.peerTag = 0x99;
  await rig.one(again.packet(UP, [encodeCookieAck()]));
  await rig.one(restarted.data(down(VIP0)));
  assert.equal(rig.event("restarts-committed"), 1);
  assert.equal((await rig.one(again.data(UP))).tag, 0x99);
  assert.deepEqual(await rig.pass(ipPacket(down(VIP0), ENDPOINT_PORT, 50_000, 0, [init])), []);
});

test("what is no service's is dropped, whatever it is", async () => {
  const rig = new Rig();
  const payload = encodePacket({
    sourcePort: 1,
    destinationPort: 2,
    verificationTag: 3,
    chunks: [encodeSack(1)],
  });
  const source = addressBytes(CLIENT);
  rig.fastPath.inject(encodeIp({ source, destination: addressBytes(VIP0), payload }));
  rig.fastPath.inject(encodeIp({ source, destination: addressBytes(VIP0), payload, protocol: 17 }));
  assert.deepEqual(rig.taken(), []);
});
