import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, PROTOCOL_SCTP, seededRandom } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { encodeAbort, encodeInitAck, encodePacket } from "@holdfast/sctp";
import { Counters } from "../counters/counters.ts";
import { ownPacket } from "../packet/translate.ts";
import { initOf, type Seen, see } from "../testing/hosts.ts";
import {
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  type RigOptions,
  serviceOf,
  VIPS,
} from "../testing/rig.ts";
import { endpointAt, newClient, UP } from "../testing/usual.ts";
import type { ProbeChannel } from "./prober.ts";
import { WAY_PORT_FIRST, type Way, type WayAnswer, Ways } from "./ways.ts";

const SILENT: ProbeChannel = {
  send: () => true,
  onPacket: () => {},
  onUnreachable: () => {},
  close: () => {},
};
/** Their verdicts are the tests' own. */
const PROBES = { channel: SILENT, settings: { periodMs: 1e9, timeoutMs: 1e8 } };
const PLACE = { address: ENDPOINT, port: ENDPOINT_PORT } as const;
const [VIP, VIP_2] = VIPS as [Address, Address];

/** A member that owns both VIPs, and whose own probes are answered. */
function owner(options: RigOptions = {}): Rig {
  const rig = new Rig({ probes: PROBES, ...options });
  rig.forwarder.setOwnership(VIPS.map((vip) => ({ vip, owned: true })));
  rig.forwarder.setVerdict(PLACE, "up", "test");
  return rig;
}

/** What an endpoint that has its routes answers. */
function answerTo(init: Seen, chunk: Uint8Array = encodeInitAck({ initiateTag: 9 })): Uint8Array {
  const payload = encodePacket({
    sourcePort: init.packet.destinationPort,
    destinationPort: init.packet.sourcePort,
    verificationTag: initOf(init).initiateTag,
    chunks: [chunk],
  });
  return ownPacket(init.destination, init.source, payload) as Uint8Array;
}

/** Seconds pass; `answer` says what comes back of what leaves. Ways that were asked. */
async function pass(
  rig: Rig,
  seconds: number,
  answer: (init: Seen) => Uint8Array | undefined,
): Promise<string[]> {
  const asked: string[] = [];
  for (let i = 0; i < seconds * 10; i++) {
    rig.clock.advance(100);
    for (const init of rig.taken()) {
      asked.push(`${init.source} ${init.destination}`);
      const back = answer(init);
      if (back !== undefined) assert.deepEqual(await rig.pass(back), [], "nobody hears of it");
    }
  }
  return asked;
}

const unproven = (rig: Rig) => rig.forwarder.ways.unproven.map(({ vip, address }) => `${vip} ${address}`);

test("a VIP whose packets come back is proven, one whose do not is unproven and the endpoint stays up", async () => {
  const rig = owner();
  const told: number[] = [];
  rig.forwarder.ways.onChange((list) => told.push(list.length));
  const asked = await pass(rig, 10, (init) => (init.source === VIP ? answerTo(init) : undefined));
  assert.deepEqual(new Set(asked), new Set(VIPS.map((vip) => `${vip} ${ENDPOINT}`)));
  assert.deepEqual(unproven(rig), [`${VIP_2} ${ENDPOINT}`]);
  assert.match(
    rig.forwarder.ways.unproven[0]?.reason ?? "",
    /5 INITs from 198\.51\.100\.1 brought no answer/,
  );
  assert.equal(rig.forwarder.isEndpointUp(PLACE), true);
  assert.ok(asked.filter((way) => way.startsWith(VIP)).length < 3, "what is proven is left in peace");
  // Once answered it is proven, and said once.
  await pass(rig, 2, answerTo);
  assert.deepEqual(unproven(rig), []);
  assert.deepEqual(told, [1, 0]);
  assert.deepEqual(rig.drops(), {}, "answers are no strangers' packets");
});

test("losses that come and go do not make a way unproven", async () => {
  const rig = owner();
  const told: number[] = [];
  rig.forwarder.ways.onChange((list) => told.push(list.length));
  let count = 0;
  await pass(rig, 120, (init) => (count++ % 3 === 0 ? answerTo(init) : undefined));
  assert.deepEqual(told, []);
  // A way that worked and breaks is told within a round and five INITs.
  await pass(rig, 22, () => undefined);
  assert.equal(unproven(rig).length, 2);
});

test("an ABORT came back, too; with the tag reflected, or another one, it says nothing", async () => {
  const rig = owner();
  await pass(rig, 8, (init) => (init.source === VIP ? answerTo(init, encodeAbort()) : undefined));
  assert.deepEqual(unproven(rig), [`${VIP_2} ${ENDPOINT}`]);
  const other = owner();
  await pass(other, 8, (init) => answerTo(init, encodeAbort({ reflected: true })));
  assert.equal(unproven(other).length, 2);
});

test("only own VIPs are asked from, only where probes are answered, and what goes is forgotten", async () => {
  const rig = owner();
  await pass(rig, 8, () => undefined);
  assert.equal(unproven(rig).length, 2);
  rig.forwarder.setOwnership([
    { vip: VIP, owned: true },
    { vip: VIP_2, owned: false },
  ]);
  assert.deepEqual(unproven(rig), [`${VIP} ${ENDPOINT}`]);
  rig.forwarder.setVerdict(PLACE, "down", "test");
  assert.deepEqual(await pass(rig, 8, () => undefined), []);
  assert.deepEqual(unproven(rig), [], "whoever is down is down, and not unproven");
  rig.forwarder.setVerdict(PLACE, "up", "test");
  await pass(rig, 8, () => undefined);
  rig.forwarder.setUnserved(new Set([VIP]));
  assert.deepEqual(unproven(rig), []);
  // Without ownership nobody asks at all.
  const quiet = new Rig({ probes: PROBES });
  quiet.forwarder.setVerdict(PLACE, "up", "test");
  assert.deepEqual(await pass(quiet, 8, () => undefined), []);
  const off = owner({ ways: false });
  assert.deepEqual(await pass(off, 8, () => undefined), []);
});

test("an answer that comes in at another member goes to whoever asked", async () => {
  const [a, b] = [owner({ memberNumber: 2 }), owner({ memberNumber: 5, services: [serviceOf()] })];
  b.forwarder.setOwnership([]);
  const relayed: { member: number; answer: WayAnswer }[] = [];
  b.forwarder.ways.onRelay((member, answer) => {
    relayed.push({ member, answer });
    assert.equal(a.forwarder.ways.relayed(answer), true);
    assert.equal(a.forwarder.ways.relayed(answer), false, "once");
  });
  for (let i = 0; i < 80; i++) {
    a.clock.advance(100);
    for (const init of a.taken()) {
      assert.equal(init.packet.sourcePort, WAY_PORT_FIRST + 2);
      assert.deepEqual(await b.pass(answerTo(init)), []);
    }
  }
  assert.ok(relayed.length >= 2 && relayed.every(({ member }) => member === 2));
  assert.deepEqual(unproven(a), []);
  assert.deepEqual(b.drops(), {});
  // A stranger's is not carried to anybody.
  const count = relayed.length;
  const payload = encodePacket({
    sourcePort: ENDPOINT_PORT,
    destinationPort: WAY_PORT_FIRST + 2,
    verificationTag: 77,
    chunks: [encodeInitAck({ initiateTag: 9 })],
  });
  await b.pass(ownPacket("192.0.2.99", VIP, payload) as Uint8Array);
  assert.equal(relayed.length, count);
});

test("a client whose own port is one of these has its association", async () => {
  const rig = owner({ memberNumber: 5 });
  const { client, natPort } = await rig.establish({ client: newClient(3, WAY_PORT_FIRST) });
  assert.equal(natPort, WAY_PORT_FIRST);
  assert.equal((await rig.one(client.data(UP))).destination, ENDPOINT);
  await pass(rig, 3, (init) => answerTo(init));
  assert.deepEqual(unproven(rig), []);
});

test("of several addresses of an endpoint each VIP has its own", async () => {
  const endpoint = { ...endpointAt(ENDPOINT), addresses: [ENDPOINT, OTHER_ENDPOINT] };
  const rig = owner({ services: [serviceOf({ endpoints: [endpoint] })] });
  rig.forwarder.setVerdict({ address: OTHER_ENDPOINT, port: ENDPOINT_PORT }, "up", "test");
  const asked = new Set(await pass(rig, 4, answerTo));
  assert.deepEqual(asked, new Set([`${VIP} ${ENDPOINT}`, `${VIP_2} ${OTHER_ENDPOINT}`]));
});

test("ten thousand ways are asked two hundred a second at most, and all of them", () => {
  const clock = new ManualClock();
  const taken: Seen[] = [];
  const core = {
    fastPath: { send: (packet: Uint8Array) => taken.push(see(packet)) > 0 },
    health: { verdictOf: () => ({ verdict: "up" }) },
    memberNumber: 3,
    counters: new Counters(),
  } as unknown as ReturnType<ConstructorParameters<typeof Ways>[1]>;
  const ways = new Ways({ clock, random: seededRandom(7) }, () => core);
  const all = Array.from(
    { length: 10_000 },
    (_, n): Way => ({
      protocol: PROTOCOL_SCTP,
      vip: VIPS[n & 1] as Address,
      address: `10.0.${n >> 8}.${n & 255}`,
      port: ENDPOINT_PORT,
    }),
  );
  ways.set(all);
  const asked = new Set<string>();
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 10; i++) clock.advance(100);
    assert.ok(taken.length <= 200, String(taken.length));
    for (const init of taken.splice(0)) {
      asked.add(`${init.source} ${init.destination}`);
      ways.relayed({ tag: initOf(init).initiateTag, port: ENDPOINT_PORT });
    }
  }
  assert.equal(asked.size, all.length);
  ways.stop();
  for (let i = 0; i < 100; i++) clock.advance(1_000);
  assert.deepEqual(taken, []);
});
