// What an INIT-ACK tells of its endpoint's addresses belongs to its session, and to nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, currentCandidate } from "@holdfast/model";
import {
  type Chunk,
  encodeAddress,
  encodeInitAck,
  encodePacket,
  type Init,
  type Packet,
  parseInit,
  parsePacket,
} from "@holdfast/sctp";
import type { ProbeChannel } from "../../health/prober.ts";
import { EndpointHost } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  serviceOf,
} from "../../testing/rig.ts";
import { endpointAt, newClient, UP, VIP0, VIP1 } from "../../testing/usual.ts";

const STRANGER = "198.18.7.7";
const TWO = [endpointAt(ENDPOINT), endpointAt(OTHER_ENDPOINT)];

test("a forged INIT-ACK makes nobody's address an endpoint's", async () => {
  const rig = new Rig();
  const probed = new Set<string>();
  rig.forwarder.onVerdict(({ address }) => probed.add(address));
  const attacker = newClient(1);
  const init = await rig.one(attacker.init(UP));
  await rig.one(
    new EndpointHost(ENDPOINT_PORT, 0, 2).initAck(init, { source: STRANGER, listed: [STRANGER] }),
  );
  // The only endpoint is down at its own address: what the stranger said does not keep it up, and gets no
  // INIT.
  rig.forwarder.setVerdict({ address: ENDPOINT, port: ENDPOINT_PORT }, "down", "test");
  assert.equal(rig.forwarder.isEndpointUp({ address: ENDPOINT, port: ENDPOINT_PORT }), false);
  assert.equal((await rig.one(newClient(3, 40_000).init({ ...UP, source: CLIENT_2 }))).destination, ENDPOINT);
  // Nor does it make the stranger's packets those of an endpoint for anybody else's session.
  rig.forwarder.setVerdict({ address: ENDPOINT, port: ENDPOINT_PORT }, "up", "test");
  const victim = await rig.establish({
    client: newClient(5, 41_000),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 6),
    source: CLIENT_2,
  });
  assert.deepEqual(await rig.pass(victim.endpoint.data({ source: STRANGER, destination: VIP0 })), []);
});

test("an endpoint that answers from an address nobody configured keeps its share, and its session works", async () => {
  const rig = new Rig({ services: [serviceOf({ endpoints: TWO })] });
  const counts = new Map<string, number>();
  for (let i = 0; i < 8; i++) {
    const source: Address = `100.80.2.${i + 1}`;
    const one = newClient(100 + i, 42_000 + i);
    const route = { source, destination: VIP0 };
    const init = await rig.one(one.init(route));
    counts.set(init.destination, (counts.get(init.destination) ?? 0) + 1);
    const server = new EndpointHost(ENDPOINT_PORT, 0, 200 + i);
    const from = init.destination === ENDPOINT ? STRANGER : init.destination;
    one.acceptInitAck(await rig.one(server.initAck(init, { source: from })));
    const echo = await rig.one(one.cookieEcho(route));
    assert.equal(echo.destination, from);
    await rig.one(server.cookieAck({ source: from, destination: VIP0 }));
    assert.equal((await rig.one(server.data({ source: from, destination: VIP0 }))).destination, source);
    assert.equal((await rig.one(one.data(route))).destination, from);
  }
  assert.deepEqual([...counts.values()], [4, 4]);
});

test("an INIT-ACK of another endpoint of the service: the session is that one's, at its first INIT", async () => {
  const rig = new Rig({ services: [serviceOf({ endpoints: TWO })] });
  const one = newClient(1);
  const init = await rig.one(one.init(UP));
  const other = init.destination === ENDPOINT ? OTHER_ENDPOINT : ENDPOINT;
  const server = new EndpointHost(ENDPOINT_PORT, 0, 2);
  one.acceptInitAck(
    await rig.one(server.initAck(init, { source: other, listed: [other, init.destination] })),
  );
  await rig.one(one.cookieEcho(UP));
  await rig.one(server.cookieAck({ source: other, destination: VIP0 }));
  const record = [...rig.table.values()][0];
  assert.ok(record);
  assert.equal(currentCandidate(record)?.endpoint, other);
  // Whichever of its addresses the server speaks from: it is one association.
  for (const source of [other, init.destination]) {
    assert.equal((await rig.one(server.data({ source, destination: VIP0 }))).destination, CLIENT);
  }
  // The port is taken there: a session that the other endpoint has on it would be a restart of this one.
  assert.equal(rig.event("init-acks-of-other-endpoint"), 1);
  assert.deepEqual(rig.drops(), {});
});

test("an INIT-ACK of another endpoint is refused where that one has the NAT port in use", async () => {
  // Both clients have the port of their own that this member may give: each keeps it at its endpoint.
  const rig = new Rig({ services: [serviceOf({ endpoints: TWO, selection: "roundRobin" })] });
  const first = await rig.establish({ client: newClient(1) });
  const second = newClient(3);
  const route = { source: CLIENT_2, destination: VIP1 } as const;
  const init = await rig.one(second.init(route));
  const victimAt = currentCandidate(first.record)?.endpoint as Address;
  assert.notEqual(init.destination, victimAt);
  assert.equal(init.packet.sourcePort, first.natPort);
  const forged = new EndpointHost(ENDPOINT_PORT, 0, 4).initAck(init, {
    source: victimAt,
    listed: [victimAt],
  });
  assert.deepEqual(await rig.pass(forged), []);
  // Nor can the list make the victim's endpoint part of this session.
  const listing = new EndpointHost(ENDPOINT_PORT, 0, 5).initAck(init, { listed: [victimAt] });
  second.acceptInitAck(await rig.one(listing));
  const echo = await rig.one(second.cookieEcho(route));
  assert.equal(echo.destination, init.destination);
});

/** Answers every probe with an INIT-ACK that lists these addresses, as a server does that has them all. */
class Servers implements ProbeChannel {
  readonly lists: ReadonlyMap<string, readonly Address[]>;
  #packet: (packet: Uint8Array) => void = () => {};

  constructor(lists: Readonly<Record<string, readonly Address[]>>) {
    this.lists = new Map(Object.entries(lists));
  }

  send(to: string, bytes: Uint8Array): boolean {
    const packet = parsePacket(bytes) as Packet;
    const init = parseInit(packet.chunks[0] as Chunk) as Init;
    const listed = this.lists.get(to);
    if (listed === undefined) return true;
    const parameters = listed.map((address) => encodeAddress(addressBytes(address)));
    this.#packet(
      encodePacket({
        sourcePort: packet.destinationPort,
        destinationPort: packet.sourcePort,
        verificationTag: init.initiateTag,
        chunks: [encodeInitAck({ initiateTag: 9, parameters })],
      }),
    );
    return true;
  }

  onPacket(listener: (packet: Uint8Array) => void): void {
    this.#packet = listener;
  }

  onUnreachable(): void {}
  close(): void {}
}

test("two endpoints that list each other are one server: one share, one count, one verdict, one space of NAT ports", async () => {
  const THIRD = "192.0.2.22";
  const both: readonly Address[] = [ENDPOINT, OTHER_ENDPOINT];
  const rig = new Rig({
    services: [serviceOf({ endpoints: [...TWO, endpointAt(THIRD)] })],
    probes: {
      channel: new Servers({ [ENDPOINT]: both, [OTHER_ENDPOINT]: both, [THIRD]: [THIRD, ENDPOINT] }),
    },
  });
  rig.clock.advance(1_500);
  const place = (address: Address) => ({ address, port: ENDPOINT_PORT });
  assert.deepEqual(rig.forwarder.sameServerAs(place(ENDPOINT)), [OTHER_ENDPOINT]);
  assert.deepEqual(
    rig.forwarder.sameServerAs(place(THIRD)),
    [],
    "one that lists another alone is not that one",
  );
  const counts = new Map<string, number>();
  for (let i = 0; i < 12; i++) {
    const source: Address = `100.80.3.${i + 1}`;
    const one = newClient(300 + i, CLIENT_PORT);
    const route = { source, destination: VIP0 };
    const init = await rig.one(one.init(route));
    const isThird = init.destination === THIRD;
    counts.set(isThird ? THIRD : "both", (counts.get(isThird ? THIRD : "both") ?? 0) + 1);
    // The server of two addresses answers from whichever its routes say.
    const from = isThird ? THIRD : (both[i % 2] as Address);
    const server = new EndpointHost(ENDPOINT_PORT, 0, 400 + i);
    one.acceptInitAck(await rig.one(server.initAck(init, { source: from, listed: isThird ? [] : both })));
    await rig.one(one.cookieEcho(route));
    await rig.one(server.cookieAck({ source: from, destination: VIP0 }));
  }
  assert.deepEqual(Object.fromEntries(counts), { both: 6, [THIRD]: 6 });
  const ports = [...rig.table.values()]
    .map((record) => currentCandidate(record))
    .filter((candidate) => candidate !== undefined && candidate.endpoint !== THIRD)
    .map((candidate) => candidate?.natPort);
  assert.equal(new Set(ports).size, ports.length, "the server never sees one port twice");
  rig.forwarder.setVerdict(place(ENDPOINT), "down", "test");
  assert.equal(rig.forwarder.isEndpointUp(place(ENDPOINT)), true);
  rig.clock.advance(10_000);
  assert.equal(rig.forwarder.counters().sessions, 12);
});
