// NAT ports toward an endpoint that are all in use, most of them by handshakes that nobody ends.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL_TCP } from "@holdfast/model";
import { ACK, Connection, PlainRig, plainService, SYN } from "../../testing/plain.ts";

/** 63 ports. */
const MEMBER_NUMBER_COUNT = 1_024;
const newcomer = new Connection({ sourcePort: 60_000 });
const natPortOf = ({ server }: Connection) => server?.destinationPort;

/** A connection, and handshakes on all other ports, every other one of them answered. */
async function full(): Promise<{ rig: PlainRig; open: Connection; embryos: Connection[] }> {
  const rig = new PlainRig({
    services: [plainService(PROTOCOL_TCP)],
    memberNumberCount: MEMBER_NUMBER_COUNT,
  });
  const open = new Connection();
  await open.open(rig);
  const embryos: Connection[] = [];
  for (;;) {
    const next = new Connection({ sourcePort: 1_024 + embryos.length });
    const [syn] = await rig.pass(next.up(SYN));
    if (syn === undefined) break;
    next.heard(syn);
    if (embryos.length % 2 === 0) await rig.one(next.down(SYN | ACK));
    embryos.push(next);
  }
  assert.deepEqual([embryos.length, rig.drops()], [62, { "nat-ports-exhausted": 1 }]);
  return { rig, open, embryos };
}

test("newcomers have the ports of handshakes that nobody has ended for a second, the oldest first", async () => {
  const { rig, open, embryos } = await full();
  rig.clock.advance(1_100);
  for (const embryo of embryos) {
    const next = new Connection({ sourcePort: embryo.ends.sourcePort + 10_000 }, 70_000);
    next.heard(await rig.one(next.up(SYN)));
    assert.equal(natPortOf(next), natPortOf(embryo));
    // What answers the old SYN is not the new one's.
    assert.deepEqual(await rig.pass(embryo.down(SYN | ACK)), []);
    await rig.one(next.down(SYN | ACK));
  }
  assert.deepEqual(await rig.pass(newcomer.up(SYN)), [], "those have had no second");
  assert.equal(rig.forwarder.counters().events.get("embryos-evicted"), embryos.length);
  assert.equal((await rig.one(open.up(ACK, "on"))).payload, "on");
});
