import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { encodeAbort } from "@holdfast/sctp";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import {
  CLIENT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  VIPS,
} from "../testing/rig.ts";
import { DOWN, UP, VIP0 } from "../testing/usual.ts";

/** An INIT of nobody: another address and tag each. */
function spoofed(i: number): Uint8Array {
  const source: Address = `100.${64 + ((i >> 16) & 63)}.${(i >> 8) & 255}.${i & 255 || 1}`;
  return new ClientHost(1_024 + (i % 60_000), SERVICE_PORT, 0x4000_0000 + i).init({
    source,
    destination: VIP0,
  });
}

const limits = {
  embryoCountMaxPerService: 200,
  embryoCountMaxPerPrefix: 100,
  replicatedEmbryoCountMaxPerService: 20,
};

test("under a flood genuine clients connect, and what is established is not disturbed", async () => {
  const rig = new Rig({ limits });
  const established = await rig.establish();
  let connected = 0;
  let tries = 0;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 100; i++) {
      rig.fastPath.inject(spoofed(round * 100 + i));
      // The endpoint answers each of them, statelessly, and nobody takes the answer.
    }
    for (const init of rig.taken()) {
      rig.fastPath.inject(new EndpointHost(ENDPOINT_PORT, 0, 0x7000_0000 + tries++).initAck(init));
    }
    await rig.pass(established.client.data(UP));
    rig.clock.advance(700);
    const client = new ClientHost(20_000 + round, SERVICE_PORT, 500 + round);
    const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 900 + round);
    const route = { source: "100.70.0.9", destination: VIP0 } as const;
    // As a stack does: a lost INIT is sent again, a second and more later.
    for (let attempt = 0; attempt < 4; attempt++) {
      const [init] = await rig.pass(client.init(route));
      if (init === undefined) {
        rig.clock.advance(1_000 << attempt);
        continue;
      }
      client.acceptInitAck(await rig.one(endpoint.initAck(init)));
      await rig.one(client.cookieEcho(route));
      await rig.one(endpoint.cookieAck(DOWN));
      connected += 1;
      break;
    }
    assert.ok(rig.forwarder.counters().embryos <= limits.embryoCountMaxPerService);
  }
  assert.equal(connected, 20);
  assert.ok(rig.event("embryos-evicted") > 0);
  assert.ok(rig.event("replication-deferred") > 0);
  assert.equal((await rig.one(established.endpoint.data(DOWN))).destination, CLIENT);
});

test("a source prefix has its quota; others are served", async () => {
  const rig = new Rig({ limits: { embryoCountMaxPerPrefix: 10 } });
  for (let i = 0; i < 30; i++) {
    rig.fastPath.inject(
      new ClientHost(2_000 + i, SERVICE_PORT, 10 + i).init({
        source: `100.80.5.${i + 1}`,
        destination: VIP0,
      }),
    );
  }
  assert.equal(rig.taken().length, 10);
  assert.equal(rig.drops()["embryo-quota"], 20);
  await rig.one(new ClientHost(2_000, SERVICE_PORT, 99).init(UP));
});

test("an evicted embryo's cookie is dropped; a replicated embryo is never evicted", async () => {
  const rig = new Rig({
    limits: { embryoCountMaxPerService: 2, replicatedEmbryoCountMaxPerService: 1 },
  });
  const first = new ClientHost(3_000, SERVICE_PORT, 1);
  const second = new ClientHost(3_001, SERVICE_PORT, 2);
  const e1 = new EndpointHost(ENDPOINT_PORT, 0, 11);
  const e2 = new EndpointHost(ENDPOINT_PORT, 0, 12);
  first.acceptInitAck(await rig.one(e1.initAck(await rig.one(first.init(UP)))));
  second.acceptInitAck(await rig.one(e2.initAck(await rig.one(second.init(UP)))));
  assert.equal(rig.table.size, 1, "the second is replicated with its cookie");
  rig.clock.advance(1_500);
  await rig.one(new ClientHost(3_002, SERVICE_PORT, 3).init(UP));
  assert.equal(rig.event("embryos-evicted"), 1);
  assert.deepEqual(await rig.pass(second.cookieEcho(UP)), []);
  await rig.one(first.cookieEcho(UP));
  await rig.one(e1.cookieAck(DOWN));
});

test("a deferred embryo establishes with its cookie", async () => {
  const rig = new Rig({ limits: { replicatedEmbryoCountMaxPerService: 0 } });
  const client = new ClientHost(3_000, SERVICE_PORT, 1);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 11);
  client.acceptInitAck(await rig.one(endpoint.initAck(await rig.one(client.init(UP)))));
  assert.equal(rig.table.size, 0);
  await rig.one(client.cookieEcho(UP));
  assert.equal(rig.table.size, 1);
  await rig.one(endpoint.cookieAck(DOWN));
  await rig.one(client.data(UP));
  assert.equal(rig.event("replication-deferred"), 1);
});

test("NAT ports run out under a flood: what is left is for INITs that come again, established associations go on", async () => {
  const rig = new Rig({ limits: { embryoCountMaxPerPrefix: 100_000 } });
  const established = await rig.establish();
  for (let i = 0; i < 8_100; i++) rig.fastPath.inject(spoofed(i));
  rig.fastPath.takeOutgoing();
  assert.ok((rig.drops()["init-rate"] ?? 0) > 1_000);
  await rig.one(established.client.data(UP));
  const client = new ClientHost(20_000, SERVICE_PORT, 500);
  const route = { source: "100.70.0.9", destination: VIP0 } as const;
  assert.deepEqual(await rig.pass(client.init(route)), [], "a first INIT looks like the flood's");
  rig.clock.advance(300);
  client.acceptInitAck(
    await rig.one(new EndpointHost(ENDPOINT_PORT, 0, 900).initAck(await rig.one(client.init(route)))),
  );
  assert.equal(rig.event("inits-again"), 1);
  // The flood's embryos have had their second: newcomers are as good as any again.
  rig.clock.advance(1_000);
  let forwarded = 0;
  for (let i = 10_000; i < 11_000; i++) {
    rig.fastPath.inject(spoofed(i));
    forwarded += rig.taken().length;
  }
  assert.ok(forwarded > 900, `${forwarded} of 1,000`);
});

test("a prefix that is over its quota lets a client in whose INIT comes again", async () => {
  const rig = new Rig({ limits: { embryoCountMaxPerPrefix: 10 } });
  for (let i = 0; i < 30; i++) {
    const source: Address = `100.80.5.${i + 1}`;
    rig.fastPath.inject(new ClientHost(2_000 + i, SERVICE_PORT, 10 + i).init({ source, destination: VIP0 }));
  }
  rig.taken();
  const client = new ClientHost(3_000, SERVICE_PORT, 77);
  const route = { source: "100.80.5.99", destination: VIP0 } as const;
  assert.deepEqual(await rig.pass(client.init(route)), []);
  rig.clock.advance(300);
  await rig.one(client.init(route));
});

test("associations hold all NAT ports: INITs are dropped with the reason, and once one has ended and rested there is room", async () => {
  // 63 ports of this member's, 62 above the first 1,024.
  const rig = new Rig({ memberNumberCount: 1_024 });
  const established = [];
  for (let i = 0; i < 63; i++) {
    const client = new ClientHost(30_000 + i, SERVICE_PORT, 0x1000 + i);
    established.push(
      await rig.establish({ client, endpoint: new EndpointHost(ENDPOINT_PORT, 0, 0x2000 + i) }),
    );
  }
  const late = new ClientHost(40_001, SERVICE_PORT, 0x3000);
  assert.deepEqual(await rig.pass(late.init(UP)), []);
  assert.deepEqual(rig.drops(), { "nat-ports-exhausted": 1 });
  const [first, second] = established;
  if (first === undefined || second === undefined) throw new Error("nobody is established");
  await rig.one(second.client.data(UP));
  await rig.one(first.client.packet(UP, [encodeAbort()]));
  assert.deepEqual(await rig.pass(late.init(UP)), [], "the port rests");
  rig.clock.advance(31_000);
  const [init] = await rig.pass(late.init(UP));
  assert.equal(init?.packet.sourcePort, first.natPort);
  await rig.one(second.client.data(UP));
});

test("INITs at a rate that the ports bear, each for a second and its rest, are never refused", async () => {
  const rig = new Rig();
  const perTick = 500;
  for (let i = 0; i < 100 * perTick; i++) {
    if (i % perTick === 0) rig.clock.advance(100);
    rig.fastPath.inject(spoofed(i));
    rig.fastPath.takeOutgoing();
  }
  assert.deepEqual(rig.drops(), {});
  assert.ok(rig.event("embryos-evicted") > 0);
});

test("embryos that nobody finishes are forgotten, here and in the table, and their ports come back", async () => {
  const rig = new Rig();
  const client = new ClientHost(40_000, SERVICE_PORT, 1);
  await rig.one(client.init(UP));
  await rig.one(
    new EndpointHost(ENDPOINT_PORT, 0, 2).initAck(
      await rig.one(new ClientHost(48_000, SERVICE_PORT, 3).init(UP)),
    ),
  );
  assert.equal(rig.forwarder.counters().embryos, 2);
  rig.clock.advance(16_000);
  assert.equal(rig.forwarder.counters().embryos, 1);
  rig.clock.advance(62_000);
  assert.equal(rig.forwarder.counters().embryos, 0);
  assert.equal([...rig.table.values()][0]?.end?.cause, "handshakeTimeout");
  rig.clock.advance(80_000);
  const again = await rig.one(new ClientHost(48_000, SERVICE_PORT, 4).init(UP));
  assert.equal(again.packet.sourcePort, 48_000);
});

test("a full flow table is a counter: packets still pass, by the slow path", async () => {
  const rig = new Rig({ flowCountMax: 2 });
  const { client, endpoint } = await rig.establish();
  for (let i = 0; i < 3; i++) {
    for (const vip of VIPS) {
      await rig.one(client.data({ source: CLIENT, destination: vip }));
      await rig.one(endpoint.data({ source: ENDPOINT, destination: vip }));
    }
  }
  assert.ok(rig.event("flow-table-full") > 0);
  assert.deepEqual(rig.drops(), {});
});

test("a flood from one prefix, answered, does not lock its neighbours out", async () => {
  const prefixLimits = { embryoCountMaxPerPrefix: 100, replicatedEmbryoCountMaxPerPrefix: 25 };
  const rig = new Rig({ limits: prefixLimits });
  for (let i = 0; i < 200; i++) {
    const flooder = new ClientHost(1_024 + i, SERVICE_PORT, 0x4000_0000 + i);
    for (const init of await rig.pass(flooder.init({ source: "100.70.0.8", destination: VIP0 })))
      await rig.pass(new EndpointHost(ENDPOINT_PORT, 0, 0x7000_0000 + i).initAck(init));
  }
  assert.ok((rig.drops()["embryo-quota"] ?? 0) > 0);
  // As long as a stack waits before it sends its INIT again.
  rig.clock.advance(1_100);
  await rig.establish({
    client: new ClientHost(20_000, SERVICE_PORT, 500),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 900),
    source: "100.70.0.9",
  });
});

test("one endpoint's NAT ports are used up: the next client gets in at another one", async () => {
  const endpoints = [ENDPOINT, OTHER_ENDPOINT].map((address, index) => ({
    address,
    port: ENDPOINT_PORT,
    // Whoever can goes to the first.
    weight: index === 0 ? 65_535 : 1,
    state: "active" as const,
  }));
  const rig = new Rig({ memberNumberCount: 1_024, services: [serviceOf({ endpoints })] });
  const used = new Map<string, number>();
  for (let i = 0; i < 70; i++) {
    const client = new ClientHost(30_000 + i, SERVICE_PORT, 0x1000 + i);
    const init = await rig.one(client.init(UP));
    const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x2000 + i);
    client.acceptInitAck(await rig.one(endpoint.initAck(init)));
    await rig.one(client.cookieEcho(UP));
    await rig.one(endpoint.cookieAck({ source: init.destination, destination: VIP0 }));
    used.set(init.destination, (used.get(init.destination) ?? 0) + 1);
  }
  assert.deepEqual(rig.drops(), {});
  assert.equal(used.get(ENDPOINT), 63);
  assert.equal(used.get(OTHER_ENDPOINT), 7);
});
