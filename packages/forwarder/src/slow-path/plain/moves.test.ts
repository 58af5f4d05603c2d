// Packets of flows that are younger than a second, at the member that has just lost their VIP, and at the one
// that has it now.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { OfferingFastPath } from "../../testing/offering.ts";
import {
  ACK,
  CLIENT,
  Connection,
  type Ends,
  PlainCluster,
  PlainRig,
  PORT,
  plainService,
  RST,
  SYN,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";

const services = [plainService(PROTOCOL_UDP), plainService(PROTOCOL_TCP)];
const ends: Ends = { source: CLIENT, sourcePort: 40_000, destination: VIP, destinationPort: PORT };

/** The VIP has gone from the first to the second; some routers do not know it yet. */
function moved(changes: Partial<ConstructorParameters<typeof PlainCluster>[1]> = {}) {
  const cluster = new PlainCluster(2, { services, ...changes });
  const [before, owner] = [cluster.rig(0), cluster.rig(1)];
  before.forwarder.setOwnership([{ vip: VIP, owned: true }]);
  owner.forwarder.setOwnership([{ vip: VIP, owned: true }]);
  before.forwarder.setOwnership([{ vip: VIP, owned: false }]);
  return { cluster, before, owner };
}

describe("datagrams at a member that has lost their VIP", () => {
  test("begin a flow that the VIP's owner goes on with, however late the client's next one comes", async () => {
    const { cluster, before, owner } = moved();
    const first = await before.one(udpPacket(ends, "1"));
    cluster.clock.advance(12_000);
    const next = await owner.one(udpPacket(ends, "2"));
    assert.equal(next.sourcePort, first.sourcePort);
    assert.equal(owner.living().length, 1);
  });

  test("go on in the flow that they have begun at the VIP's owner", async () => {
    const { before, owner } = moved();
    const first = await owner.one(udpPacket(ends, "1"));
    assert.equal((await before.one(udpPacket(ends, "2"))).sourcePort, first.sourcePort);
    assert.equal(before.questions, 1);
  });

  test("begin flows that nobody is told of beyond as many as it may ask about", async () => {
    const { before, owner } = moved({ limits: { questionsPerSecond: 4 } });
    for (let i = 0; i < 16; i++)
      assert.equal(
        (await before.one(udpPacket({ ...ends, sourcePort: 40_000 + i }, `${i}`))).payload,
        `${i}`,
      );
    assert.deepEqual([before.living().length, before.drops()], [16, {}]);
    assert.equal(owner.living().length, before.questions);
    assert.ok(before.questions > 0 && before.questions < 16);
  });
});

describe("a SYN at the VIP's owner before, its SYN-ACK at the next one", () => {
  for (const acknowledged of ["owner", "before"] as const)
    test(`the connection opens, where its ACK comes to ${acknowledged}`, async () => {
      const { cluster, ...rigs } = moved();
      const { before, owner } = rigs;
      const connection = new Connection();
      connection.heard(await before.one(connection.up(SYN)));
      assert.equal((await owner.one(connection.down(SYN | ACK))).destinationPort, 40_000);
      assert.equal((await rigs[acknowledged].one(connection.up(ACK))).flags, ACK);
      assert.equal((await rigs[acknowledged].one(connection.up(ACK, "question"))).payload, "question");
      assert.equal((await owner.one(connection.down(ACK, "answer"))).payload, "answer");
      cluster.clock.advance(100_000);
      for (const rig of cluster.rigs) assert.deepEqual(rig.phases(), ["established"]);
      for (const rig of cluster.rigs)
        assert.equal((await rig.one(connection.up(ACK, "later"))).payload, "later");
    });

  test("the connection is forgotten by all when nobody acknowledges", async () => {
    const { cluster, before, owner } = moved();
    const connection = new Connection();
    connection.heard(await before.one(connection.up(SYN)));
    await owner.one(connection.down(SYN | ACK));
    assert.equal(owner.living().length, 1);
    cluster.clock.advance(20_000);
    assert.deepEqual(
      cluster.rigs.map((rig) => [rig.living().length, rig.fastPath.flowCount]),
      [
        [0, 0],
        [0, 0],
      ],
    );
    assert.equal(before.forwarder.counters().events.get("embryos-expired"), 1);
  });

  test("the connection opens also where the SYN comes again, to the owner", async () => {
    const { cluster, before, owner } = moved();
    const connection = new Connection();
    connection.heard(await before.one(connection.up(SYN)));
    await owner.one(connection.down(SYN | ACK));
    connection.clientNext -= 1;
    await owner.one(connection.up(SYN));
    connection.serverNext -= 1;
    await owner.one(connection.down(SYN | ACK));
    await owner.one(connection.up(ACK));
    assert.equal((await owner.one(connection.down(ACK, "hello"))).payload, "hello");
    const punts = owner.punts;
    assert.equal((await owner.one(connection.up(ACK, "on"))).payload, "on");
    assert.equal(owner.punts, punts, "on the fast path");
    cluster.clock.advance(100_000);
    for (const rig of cluster.rigs) assert.deepEqual(rig.phases(), ["established"]);
  });

  test("the connection is reset at both when its client does so at once", async () => {
    const { cluster, before, owner } = moved();
    const connection = new Connection();
    connection.heard(await before.one(connection.up(SYN)));
    await owner.one(connection.down(SYN | ACK));
    await owner.one(connection.up(RST));
    cluster.clock.advance(20_000);
    assert.deepEqual([before.living().length, owner.living().length], [0, 0]);
  });
});

test("a SYN that took an offer as its VIP went is known to who has its SYN-ACK", async () => {
  const clock = new ManualClock();
  const fastPath = new OfferingFastPath({ nowMs: () => clock.nowMs() });
  const stateless = [plainService(PROTOCOL_TCP, { stateless: true })];
  const rig = new PlainRig({ services: stateless, clock, fastPath });
  rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
  clock.advance(200);
  const connection = new Connection();
  connection.heard(await rig.one(connection.up(SYN)));
  assert.equal(rig.punts, 0);
  rig.forwarder.setOwnership([{ vip: VIP, owned: false }]);
  assert.deepEqual([...rig.view.values()], []);
  const { source: endpoint, sourcePort: endpointPort, destinationPort: natPort } = connection.server as Ends;
  rig.forwarder.publish({ kind: "natPort", endpoint, endpointPort, natPort, protocol: PROTOCOL_TCP });
  const [record, ...more] = [...rig.view.values()];
  assert.deepEqual([record?.client, record?.natPort, more.length], [CLIENT, natPort, 0]);
});

describe("a reset of a connection younger than a second, at another member", () => {
  for (const by of ["client", "endpoint"] as const)
    test(`gets to the other end: the ${by}'s`, async () => {
      const { before, owner } = moved();
      const connection = new Connection();
      await connection.open(before);
      const reset = by === "client" ? connection.up(RST) : connection.down(RST);
      assert.equal((await owner.one(reset)).flags, RST);
    });

  test("is asked about by the VIP's owner for ten seconds, by others always", async () => {
    const { cluster, before, owner } = moved();
    cluster.clock.advance(11_000);
    for (const rig of [before, owner]) assert.deepEqual(await rig.pass(new Connection().up(RST)), []);
    assert.deepEqual([before.questions, owner.questions], [1, 0]);
    for (const rig of [before, owner]) assert.deepEqual(rig.drops(), { "no-session": 1 });
  });
});
