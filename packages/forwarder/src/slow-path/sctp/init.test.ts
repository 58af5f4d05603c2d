import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Address,
  CANDIDATE_COUNT_MAX_PER_MEMBER,
  currentCandidate,
  endOf,
  isLiving,
} from "@holdfast/model";
import { CAUSE, CHUNK, type Chunk, encodeParameter, PARAMETER, parseCauses } from "@holdfast/sctp";
import { EndpointHost, ipPacket, listedIn, type Seen } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  VIPS,
} from "../../testing/rig.ts";
import { DOWN, endpointAt, newClient, newEndpoint, UP, VIP0, VIP1 } from "../../testing/usual.ts";

const two = (changes = {}) =>
  serviceOf({
    endpoints: [endpointAt(ENDPOINT), endpointAt(OTHER_ENDPOINT)],
    ...changes,
  });

function causesOf(seen: Seen): number[] {
  const causes = parseCauses(seen.packet.chunks[0] as Chunk);
  assert.ok(Array.isArray(causes));
  return causes.map((cause) => cause.type);
}

test("a duplicate INIT, on another VIP and from another address, keeps endpoint, port and list", async () => {
  const rig = new Rig({ services: [two()] });
  const client = newClient(1);
  const first = await rig.one(client.init(UP, [CLIENT_2, CLIENT]));
  const second = await rig.one(client.init({ source: CLIENT_2, destination: VIP1 }, [CLIENT_2, CLIENT]));
  assert.equal(second.destination, first.destination);
  assert.equal(second.source, VIP1);
  assert.equal(second.packet.sourcePort, first.packet.sourcePort);
  assert.deepEqual(listedIn(second), listedIn(first));
  assert.equal(rig.forwarder.counters().embryos, 1);
});

test("two INIT-ACKs of a duplicated INIT: the cookie of the first establishes", async () => {
  const rig = new Rig();
  const client = newClient(1);
  const init = await rig.one(client.init(UP));
  const firstAnswer = newEndpoint(0x100);
  const secondAnswer = newEndpoint(0x200);
  client.acceptInitAck(await rig.one(firstAnswer.initAck(init)));
  await rig.one(secondAnswer.initAck(await rig.one(client.init(UP))));
  await rig.one(client.cookieEcho(UP));
  await rig.one(firstAnswer.cookieAck(DOWN));
  const record = [...rig.table.values()][0];
  assert.ok(record);
  assert.equal(currentCandidate(record)?.endpointTag, 0x100);
  const data = await rig.one(client.data(UP));
  assert.equal(data.tag, 0x100);
});

test("an INIT that nobody answers gets another endpoint; the first one's late answer is dropped", async () => {
  const rig = new Rig({ services: [two()] });
  const client = newClient(1);
  const first = await rig.one(client.init(UP));
  await rig.one(client.init(UP));
  const third = await rig.one(client.init(UP));
  assert.notEqual(third.destination, first.destination);
  assert.equal(rig.event("init-reselections"), 1);
  const late = new EndpointHost(ENDPOINT_PORT, 0, 5);
  assert.deepEqual(await rig.pass(late.initAck(first)), []);
  assert.equal(rig.drops()["init-ack-unexpected"], 1);
  const answer = new EndpointHost(ENDPOINT_PORT, 0, 6);
  client.acceptInitAck(await rig.one(answer.initAck(third)));
  await rig.one(client.cookieEcho(UP));
  await rig.one(answer.cookieAck({ source: third.destination, destination: VIP0 }));
  assert.equal(rig.event("sessions-committed"), 1);
});

test("a restart keeps endpoint and port, leaks nothing, and the old tags live until it is proven", async () => {
  const rig = new Rig();
  const { client, endpoint, natPort, record } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  const again = newClient(2);
  const restarted = newEndpoint(0x3333_0001);
  const init = await rig.one(again.init(UP, [CLIENT, CLIENT_2]));
  assert.equal(init.packet.sourcePort, natPort);
  assert.deepEqual(listedIn(init), VIPS);
  again.acceptInitAck(await rig.one(restarted.initAck(init)));
  // The living association is not touched by an INIT that anybody may have sent.
  assert.equal((await rig.one(client.data(UP))).tag, endpoint.tag);
  await rig.one(endpoint.data(DOWN));
  await rig.one(again.cookieEcho(UP));
  await rig.one(client.data(UP));
  await rig.one(restarted.cookieAck(DOWN));
  const after = rig.table.get(record.id);
  assert.equal(after?.commit?.clientTag, 2);
  assert.equal(after?.commit?.epoch, 2);
  assert.equal(rig.event("restarts-committed"), 1);
  assert.equal((await rig.one(again.data(UP))).tag, restarted.tag);
  assert.equal((await rig.one(restarted.data(DOWN))).tag, 2);
  // The first incarnation's tags are dead now.
  assert.deepEqual(await rig.pass(client.data(UP)), []);
  assert.equal(rig.table.size, 1);
});

test("a forged restart INIT harms nothing, and is forgotten after its time", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  const forger = newClient(0xbad);
  const init = await rig.one(forger.init(UP));
  await rig.one(newEndpoint(0x9999).initAck(init));
  // The endpoint refuses it: only that generation dies.
  const refusal = new EndpointHost(ENDPOINT_PORT, init.packet.sourcePort, 0);
  refusal.peerTag = forger.tag;
  const { encodeAbort } = await import("@holdfast/sctp");
  await rig.one(refusal.packet(DOWN, [encodeAbort()]));
  assert.equal(rig.event("generations-aborted"), 1);
  for (let i = 0; i < 8; i++) {
    await rig.one(client.data(UP));
    await rig.one(endpoint.data(DOWN));
    rig.clock.advance(10_000);
  }
  const living = rig.table.get(record.id);
  assert.ok(living && isLiving(living));
  assert.equal(living.commit?.clientTag, client.tag);
  assert.equal(rig.forwarder.describe(record.id)?.restartPending, false);
  assert.equal(rig.forwarder.counters().embryos, 0);
});

test("forged restart INITs do not crowd out the client's own", async () => {
  const rig = new Rig();
  const { record } = await rig.establish();
  const again = newClient(0x500);
  const restarted = newEndpoint(0x600);
  again.acceptInitAck(await rig.one(restarted.initAck(await rig.one(again.init(UP)))));
  for (let i = 0; i < 20; i++) {
    await rig.one(newEndpoint(0x700 + i).initAck(await rig.one(newClient(0x800 + i).init(UP))));
  }
  await rig.one(again.cookieEcho(UP));
  await rig.one(restarted.cookieAck(DOWN));
  assert.equal(rig.table.get(record.id)?.commit?.clientTag, again.tag);
  // … also when it comes last.
  const third = newClient(0x501);
  const last = newEndpoint(0x601);
  for (let i = 0; i < 20; i++) {
    await rig.one(newEndpoint(0x900 + i).initAck(await rig.one(newClient(0xa00 + i).init(UP))));
  }
  third.acceptInitAck(await rig.one(last.initAck(await rig.one(third.init(UP)))));
  await rig.one(third.cookieEcho(UP));
  await rig.one(last.cookieAck(DOWN));
  assert.equal((await rig.one(third.data(UP))).tag, last.tag);
});

test("a restart that adds addresses is refused with cause 11; the association lives; `accept` lets it pass", async () => {
  const rig = new Rig();
  const { client, record } = await rig.establish();
  const again = newClient(2);
  const refusal = await rig.one(again.init(UP, [CLIENT, CLIENT_2]));
  assert.deepEqual(refusal.types, [CHUNK.ABORT]);
  assert.equal(refusal.tag, again.tag);
  assert.deepEqual([refusal.source, refusal.destination], [VIP0, CLIENT]);
  assert.deepEqual(causesOf(refusal), [CAUSE.RESTART_WITH_NEW_ADDRESSES]);
  assert.equal(rig.drops()["init-restart-new-addresses"], 1);
  await rig.one(client.data(UP));

  rig.forwarder.setServices([serviceOf({ restartNewAddresses: "accept" })]);
  const restarted = newEndpoint(0x44);
  again.acceptInitAck(await rig.one(restarted.initAck(await rig.one(again.init(UP, [CLIENT, CLIENT_2])))));
  await rig.one(again.cookieEcho(UP));
  await rig.one(restarted.cookieAck(DOWN));
  assert.deepEqual([...(rig.table.get(record.id)?.clients.keys() ?? [])].sort(), [CLIENT, CLIENT_2].sort());
});

test("an INIT that touches two associations is refused", async () => {
  const rig = new Rig();
  await rig.establish();
  await rig.establish({
    client: newClient(2),
    endpoint: newEndpoint(0x55),
    source: CLIENT_2,
  });
  const refusal = await rig.one(newClient(3).init(UP, [CLIENT, CLIENT_2]));
  assert.deepEqual(causesOf(refusal), [CAUSE.RESTART_WITH_NEW_ADDRESSES]);
  assert.equal(rig.drops()["init-two-associations"], 1);
  assert.equal([...rig.table.values()].filter(isLiving).length, 2);
});

test("who lists a stranger's address cannot keep that stranger out", async () => {
  const rig = new Rig();
  await rig.establish({ listed: [CLIENT, CLIENT_2] });
  const stranger = await rig.establish({
    client: newClient(2),
    endpoint: newEndpoint(0x66),
    source: CLIENT_2,
  });
  assert.equal([...rig.table.values()].filter(isLiving).length, 2);
  const seen = await rig.one(stranger.client.data({ source: CLIENT_2, destination: VIP0 }));
  assert.equal(seen.packet.sourcePort, stranger.natPort);
});

test("Host Name is refused with ABORT cause 5", async () => {
  const rig = new Rig();
  const client = newClient(1);
  const host = encodeParameter(PARAMETER.HOST_NAME, new TextEncoder().encode("host.example\0"));
  const refusal = await rig.one(client.init(UP, [], [host]));
  assert.deepEqual(refusal.types, [CHUNK.ABORT]);
  assert.equal(refusal.tag, client.tag);
  assert.deepEqual(causesOf(refusal), [CAUSE.UNRESOLVABLE_ADDRESS]);
  assert.equal(rig.forwarder.counters().embryos, 0);
});

test("a restart on a draining endpoint moves; the old one is told when the new one has it", async () => {
  const rig = new Rig({ services: [two()] });
  const { record, endpoint, natPort } = await rig.establish({
    endpoint: newEndpoint(0x70),
  });
  const first = currentCandidate(record)?.endpoint;
  const second = first === ENDPOINT ? OTHER_ENDPOINT : ENDPOINT;
  rig.forwarder.setServices([
    two({
      endpoints: [ENDPOINT, OTHER_ENDPOINT].map((address) => ({
        address,
        port: ENDPOINT_PORT,
        weight: 1,
        state: address === first ? "drain" : "active",
      })),
    }),
  ]);
  // Living associations stay.
  await rig.one(endpoint.data({ source: first as Address, destination: VIP0 }));
  const again = newClient(2);
  const moved = newEndpoint(0x71);
  const init = await rig.one(again.init(UP));
  assert.equal(init.destination, second);
  again.acceptInitAck(await rig.one(moved.initAck(init)));
  await rig.one(again.cookieEcho(UP));
  const left = await rig.pass(moved.cookieAck({ source: second, destination: VIP0 }));
  const abort = left.find((seen) => seen.types.includes(CHUNK.ABORT));
  assert.ok(abort);
  assert.equal(abort.destination, first);
  assert.equal(abort.packet.sourcePort, natPort);
  assert.equal(abort.tag, endpoint.tag);
  assert.equal((await rig.one(again.data(UP))).destination, second);
});

test("ten clients with one source port live side by side on one endpoint", async () => {
  const rig = new Rig();
  const ports = new Set<number>();
  for (let i = 0; i < 10; i++) {
    const { natPort } = await rig.establish({
      client: newClient(100 + i),
      endpoint: newEndpoint(200 + i),
      source: `100.80.1.${20 + i}`,
    });
    ports.add(natPort);
  }
  assert.equal(ports.size, 10);
  assert.ok(ports.has(CLIENT_PORT), "the first keeps its own port");
});

test("no endpoint, no port, not ready, too old: dropped with their reasons", async () => {
  let ready = false;
  const rig = new Rig({ isReady: () => ready });
  assert.deepEqual(await rig.pass(newClient(1).init(UP)), []);
  assert.equal(rig.drops()["not-ready"], 1);
  ready = true;
  rig.forwarder.setServices([serviceOf({ endpoints: [] })]);
  assert.deepEqual(await rig.pass(newClient(1).init(UP)), []);
  assert.equal(rig.drops()["no-endpoint"], 1);
  rig.forwarder.setServices([serviceOf()]);
  rig.forwarder.setVerdict({ address: ENDPOINT, port: ENDPOINT_PORT }, "down", "test");
  // All down: an INIT is how a client finds out first that one is back.
  const [tried] = await rig.pass(newClient(1).init(UP));
  assert.equal(tried?.destination, ENDPOINT);
  assert.equal(rig.drops()["no-endpoint"], 1);
});

test("what is not an INIT: tag, company, zero initiate tag, bad checksum", async () => {
  const rig = new Rig();
  const { encodeInit, encodeSack } = await import("@holdfast/sctp");
  const init = encodeInit({ initiateTag: 1 });
  await rig.pass(ipPacket(UP, CLIENT_PORT, SERVICE_PORT, 5, [init]));
  await rig.pass(ipPacket(UP, CLIENT_PORT, SERVICE_PORT, 0, [init, encodeSack(1)]));
  await rig.pass(ipPacket(UP, CLIENT_PORT, SERVICE_PORT, 0, [encodeInit({ initiateTag: 0 })]));
  const corrupt = newClient(1).init(UP);
  corrupt[30] = (corrupt[30] as number) ^ 1;
  await rig.pass(corrupt);
  await rig.pass(newClient(1).init({ source: "224.0.0.1", destination: VIP0 }));
  await rig.pass(newClient(1).init({ source: VIP1, destination: VIP0 }));
  assert.deepEqual(rig.drops(), {
    "bad-bundling": 2,
    malformed: 1,
    "bad-checksum": 1,
    "source-not-unicast": 2,
  });
  assert.deepEqual(rig.taken(), []);
});

test("listed addresses that are nobody's, ours or unreachable are not believed", async () => {
  const rig = new Rig();
  const { record } = await rig.establish({
    listed: [
      "127.0.0.1",
      "224.1.1.1",
      VIP1,
      ENDPOINT,
      "0.0.0.0",
      "169.254.1.1",
      CLIENT,
      CLIENT_2,
      CLIENT_2,
      "2001:db8::1",
    ],
  });
  assert.deepEqual([...record.clients.keys()].sort(), [CLIENT, CLIENT_2].sort());
});

/** Another member asks who has the NAT port that this INIT left from. */
function askedAbout(rig: Rig, init: Awaited<ReturnType<Rig["one"]>>): void {
  rig.forwarder.publish({
    kind: "natPort",
    endpoint: init.destination,
    endpointPort: ENDPOINT_PORT,
    natPort: init.packet.sourcePort,
  });
}

test("an INIT that others have asked about and that moves to another endpoint gives both ports back in the end", async () => {
  const rig = new Rig({ services: [two()] });
  const client = newClient(1);
  const first = await rig.one(client.init(UP));
  askedAbout(rig, first);
  await rig.one(client.init(UP));
  const moved = await rig.one(client.init(UP));
  assert.notEqual(moved.destination, first.destination);
  assert.equal(rig.forwarder.counters().natPortsUsed, 2);
  rig.clock.advance(200_000);
  const { natPortsUsed, embryos } = rig.forwarder.counters();
  assert.deepEqual([natPortsUsed, embryos], [0, 0]);
});

test("an INIT that others have asked about holds a handful of ports, however often it comes", async () => {
  const rig = new Rig({ services: [two()] });
  const client = newClient(1);
  const first = await rig.one(client.init(UP));
  askedAbout(rig, first);
  for (let i = 0; i < 200; i++) await rig.pass(client.init(UP));
  assert.ok(rig.event("init-reselections") > CANDIDATE_COUNT_MAX_PER_MEMBER);
  assert.ok(rig.forwarder.counters().natPortsUsed <= CANDIDATE_COUNT_MAX_PER_MEMBER);
  rig.clock.advance(200_000);
  const { natPortsUsed, embryos } = rig.forwarder.counters();
  assert.deepEqual([natPortsUsed, embryos], [0, 0]);
});

test("a restart whose session times out meanwhile comes up all the same", async () => {
  const rig = new Rig();
  const { record } = await rig.establish();
  const again = newClient(2);
  const restarted = newEndpoint(0x44);
  const init = await rig.one(again.init(UP));
  again.acceptInitAck(await rig.one(restarted.initAck(init)));
  rig.table.apply({ id: record.id, end: endOf(rig.table.get(record.id) as typeof record, "idle") });
  rig.clock.advance(31_000);
  await rig.one(again.cookieEcho(UP));
  await rig.one(restarted.cookieAck(DOWN));
  const after = rig.table.get(record.id) as typeof record;
  assert.ok(isLiving(after));
  assert.equal(after.commit?.clientTag, again.tag);
  assert.equal((await rig.one(again.data(UP))).tag, restarted.tag);
});

test("a restart of a session that has ended gives its own NAT port back", async () => {
  const rig = new Rig({ services: [two()] });
  const { record } = await rig.establish();
  // Its endpoint drains: the restart goes elsewhere, with a port of its own.
  rig.forwarder.setServices([
    two({
      endpoints: [
        { address: ENDPOINT, port: ENDPOINT_PORT, weight: 1, state: "drain" },
        endpointAt(OTHER_ENDPOINT),
      ],
    }),
  ]);
  const again = newClient(2);
  const init = await rig.one(again.init(UP));
  assert.equal(init.destination, OTHER_ENDPOINT);
  rig.table.apply({ id: record.id, end: endOf(rig.table.get(record.id) as typeof record, "idle") });
  await rig.one(newEndpoint(0x44).initAck(init));
  rig.clock.advance(200_000);
  assert.equal(rig.forwarder.counters().natPortsUsed, 0);
});

test("the ghost that a moved restart leaves at its old endpoint does not bring the old association back", async () => {
  const rig = new Rig({ services: [two()] });
  const { endpoint, record } = await rig.establish();
  rig.forwarder.setServices([
    two({
      endpoints: [
        { address: ENDPOINT, port: ENDPOINT_PORT, weight: 1, state: "drain" },
        endpointAt(OTHER_ENDPOINT),
      ],
    }),
  ]);
  const again = newClient(2);
  const moved = newEndpoint(0x44);
  again.acceptInitAck(await rig.one(moved.initAck(await rig.one(again.init(UP)))));
  await rig.one(again.cookieEcho(UP));
  // The ABORT to the old endpoint is lost; the new one has nothing to say for a while.
  await rig.pass(moved.cookieAck({ source: OTHER_ENDPOINT, destination: VIP0 }));
  rig.clock.advance(10_000);
  assert.deepEqual(await rig.pass(endpoint.heartbeat(DOWN)), []);
  assert.equal(rig.table.get(record.id)?.commit?.clientTag, again.tag);
  assert.equal((await rig.one(again.data(UP))).destination, OTHER_ENDPOINT);
});
