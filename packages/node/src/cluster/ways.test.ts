import assert from "node:assert/strict";
import { test } from "node:test";
import type { UnprovenWay, WayAnswer } from "@holdfast/forwarder";
import { PROTOCOL_SCTP } from "@holdfast/model";
import { type ClusterLink, createLoneLink, type RequestHandler } from "./link.ts";
import { WayExchange } from "./ways.ts";

const PLACE = { vip: "203.0.113.1", address: "192.0.2.20", port: 7_000, reason: "nobody answers" } as const;
const WAY: UnprovenWay = { protocol: PROTOCOL_SCTP, ...PLACE };
const nameOf = (number: number) => `m${number}`;

/** One member's side: what its forwarder is told, and how the test speaks for it. */
class Side {
  readonly handlers = new Map<string, RequestHandler>();
  readonly others = new Map<string, readonly UnprovenWay[]>();
  readonly relayed: WayAnswer[] = [];
  readonly changes: number[] = [];
  change: (unproven: readonly UnprovenWay[]) => void = () => {};
  relay: (member: number, answer: WayAnswer) => void = () => {};
  connect: (member: number) => void = () => {};
  disconnect: (member: number) => void = () => {};

  constructor(all: Map<number, Side>, number: number) {
    const link: ClusterLink = {
      ...createLoneLink(),
      connected: () => [...all.keys()].filter((other) => other !== number),
      onConnect: (listener) => {
        this.connect = listener;
      },
      onDisconnect: (listener) => {
        this.disconnect = listener;
      },
      onRequest: (topic, handler) => this.handlers.set(topic, handler),
      request: async (member, topic, body) => all.get(member)?.handlers.get(topic)?.(number, body),
    };
    const ways = {
      onChange: (listener: Side["change"]) => {
        this.change = listener;
      },
      onRelay: (listener: Side["relay"]) => {
        this.relay = listener;
      },
      setOther: (member: string, unproven: readonly UnprovenWay[]) => void this.others.set(member, unproven),
      relayed: (answer: WayAnswer) => this.relayed.push(answer) > 0,
    };
    new WayExchange(link, { nameOf }, ways, (before, after) =>
      this.changes.push(after.length - before.length),
    );
    all.set(number, this);
  }
}

function three(): Side[] {
  const all = new Map<number, Side>();
  return [0, 1, 2].map((number) => new Side(all, number));
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("what is unproven is known at every member, also at one that comes later, and goes with whoever said it", async () => {
  const [a, b, c] = three() as [Side, Side, Side];
  a.change([WAY]);
  await settled();
  assert.deepEqual([b.others.get("m0"), c.others.get("m0")], [[WAY], [WAY]]);
  b.others.clear();
  a.connect(1);
  await settled();
  assert.deepEqual(b.others.get("m0"), [WAY]);
  c.disconnect(0);
  assert.deepEqual(c.others.get("m0"), []);
  a.change([]);
  await settled();
  assert.deepEqual(b.others.get("m0"), []);
  assert.deepEqual(a.changes, [1, -1]);
});

test("an answer goes to the member that asked, and to nobody else", async () => {
  const [a, b, c] = three() as [Side, Side, Side];
  c.relay(0, { tag: 77, port: 7_000 });
  c.relay(9, { tag: 78, port: 7_000 });
  await settled();
  assert.deepEqual(a.relayed, [{ tag: 77, port: 7_000 }]);
  assert.deepEqual([...b.relayed, ...c.relayed], []);
});

test("another member's bytes are taken as far as they are understood", async () => {
  const [a] = three() as [Side];
  const say = async (topic: string, text: string) => a.handlers.get(topic)?.(1, Buffer.from(text));
  for (const text of ["", "{", "7", "null", "{}"]) await say("unproven-ways", text);
  assert.deepEqual(a.others.get("m1"), []);
  await say("unproven-ways", JSON.stringify([null, { vip: 1 }, { ...WAY, reason: "x".repeat(9_999) }, WAY]));
  assert.deepEqual(
    a.others.get("m1")?.map(({ reason }) => reason.length),
    [500, WAY.reason.length],
  );
  for (const text of ["", "[]", "null", '{"tag":"a","port":1}']) await say("way-answer", text);
  assert.deepEqual(a.relayed, []);
});
