// A short run of every target each day; `npm run fuzz -- --packets 1e6` is the long one. A finding prints its
// seed and its input; it is fixed, its input joins the corpus, and it becomes a test beside the code.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "@holdfast/model";
import type { PacketWorld } from "@holdfast/testkit";
import { Corpus, committedInputs, packetSeeds } from "./corpus.ts";
import { fuzz } from "./run.ts";
import { Finding, runTarget } from "./target.ts";
import { CodecTarget } from "./targets/codec.ts";
import { MessagesTarget } from "./targets/messages.ts";
import { OracleTarget } from "./targets/oracle.ts";
import { SlowPathTarget } from "./targets/slow-path.ts";

const PACKET_COUNT = Number(process.env["PACKETS"] ?? 20_000);
const SEED = Number(process.env["SEED"] ?? 1);
const obstacle = process.getuid?.() === 0 ? false : "needs root, to load BPF programs";

test("damaged and hostile input, a little of everything", { skip: obstacle }, async () => {
  const reports = await fuzz({ packets: PACKET_COUNT, seed: SEED, guided: false });
  const figure = (target: string, name: string) =>
    reports.find((report) => report.target === target)?.figures[name] ?? 0;
  assert.equal(reports.length, 8);
  // What is refused at the door proves nothing about the house.
  assert.ok(figure("codec", "rewritten") > PACKET_COUNT / 200);
  assert.ok(figure("slow-path", "punted") > PACKET_COUNT / 20);
  assert.ok(figure("slow-path", "dropReasons") > 15);
  assert.ok(figure("fast-path", "forwarded") > PACKET_COUNT / 20);
  assert.ok(figure("messages", "peer") > PACKET_COUNT / 500);
  assert.ok(figure("peers", "refused") > 0);
  assert.ok(figure("peers", "worlds") > 4);
  assert.ok(figure("api", "status201") > 0);
  assert.ok(figure("configuration", "accepted") > 0);
});

describe("the corpus again: what once reached new code, and what once was a finding", () => {
  const packets = [...committedInputs("packet"), ...packetSeeds()];
  const messages = committedInputs("message");
  const corpus = new Corpus("packet", packetSeeds());

  test("codec and slow path, in every phase", async () => {
    assert.ok(packets.length > 200);
    const codec = new CodecTarget(corpus);
    const slowPath = new SlowPathTarget(corpus);
    for (const packet of packets) codec.replay(packet);
    await slowPath.replayAll(packets);
    assert.ok(slowPath.figures().punted > 200);
  });

  test("messages between members", () => {
    assert.ok(messages.length > 10);
    const target = new MessagesTarget(new Corpus("message", []));
    for (const message of messages) target.replay(message);
  });

  test("BPF programs and reference", { skip: obstacle }, () => {
    const target = new OracleTarget(SEED, corpus);
    for (const packet of packets) target.replay(packet);
    target.close();
  });
});

test("a planted difference of one port in one flow is found", { skip: obstacle }, async () => {
  const planted = (world: PacketWorld): PacketWorld => ({
    ...world,
    flows: world.flows.map((flow, i) =>
      i === 7 ? { ...flow, newSourcePort: flow.newSourcePort ^ 1 } : flow,
    ),
  });
  const target = new OracleTarget(SEED, new Corpus("packet", packetSeeds()), planted);
  await assert.rejects(
    runTarget(target, { count: 50_000, random: seededRandom(SEED) }),
    (error) => error instanceof Finding && /: bytes [0-9a-f]+, BPF [0-9a-f]+/.test(error.message),
  );
});
