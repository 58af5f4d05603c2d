// Packets of flows that are younger than a second, at the member that has just lost their VIP, and at the one
// that has it now.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isPlainEnded, PROTOCOL_UDP } from "@holdfast/model";
import {
  CLIENT,
  type Ends,
  PlainCluster,
  type PlainRig,
  PORT,
  plainService,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";

const services = [plainService(PROTOCOL_UDP)];
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

const living = (rig: PlainRig) => rig.records().filter((record) => !isPlainEnded(record));
const questions = (rig: PlainRig) => rig.forwarder.counters().events.get("questions") ?? 0;

describe("datagrams at a member that has lost their VIP", () => {
  test("begin a flow that the VIP's owner goes on with, however late the client's next one comes", async () => {
    const { cluster, before, owner } = moved();
    const first = await before.one(udpPacket(ends, "1"));
    cluster.clock.advance(12_000);
    const next = await owner.one(udpPacket(ends, "2"));
    assert.equal(next.sourcePort, first.sourcePort);
    assert.equal(living(owner).length, 1);
  });

  test("go on in the flow that they have begun at the VIP's owner", async () => {
    const { before, owner } = moved();
    const first = await owner.one(udpPacket(ends, "1"));
    assert.equal((await before.one(udpPacket(ends, "2"))).sourcePort, first.sourcePort);
    assert.equal(questions(before), 1);
  });

  test("begin flows that nobody is told of beyond as many as it may ask about", async () => {
    const { before, owner } = moved({ limits: { questionsPerSecond: 4 } });
    for (let i = 0; i < 16; i++)
      assert.equal(
        (await before.one(udpPacket({ ...ends, sourcePort: 40_000 + i }, `${i}`))).payload,
        `${i}`,
      );
    assert.deepEqual([living(before).length, before.drops()], [16, {}]);
    assert.equal(living(owner).length, questions(before));
    assert.ok(questions(before) > 0 && questions(before) < 16);
  });
});
