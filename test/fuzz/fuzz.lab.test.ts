// A short run of every target each day; `npm run fuzz -- --packets 1e6` is the long one. A finding prints its seed and
// its input; it is fixed and becomes a test beside the code.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "./run.ts";

const PACKET_COUNT = Number(process.env["PACKETS"] ?? 20_000);
const SEED = Number(process.env["SEED"] ?? 1);
const obstacle = process.getuid?.() === 0 ? false : "needs root, to load BPF programs";

test("damaged and hostile input, a little of everything", { skip: obstacle }, async () => {
  const reports = await fuzz({ packets: PACKET_COUNT, seed: SEED, guided: false });
  const figure = (target: string, name: string) =>
    reports.find((report) => report.target === target)?.figures[name] ?? 0;
  assert.equal(reports.length, 7);
  // What is refused at the door proves nothing about the house.
  assert.ok(figure("codec", "rewritten") > PACKET_COUNT / 1_000);
  assert.ok(figure("slow-path", "punted") > PACKET_COUNT / 50);
  assert.ok(figure("slow-path", "dropReasons") > 15);
  assert.ok(figure("fast-path", "forwarded") > PACKET_COUNT / 50);
  assert.ok(figure("messages", "peer") > PACKET_COUNT / 500);
  assert.ok(figure("api", "status201") > 0);
  assert.ok(figure("configuration", "accepted") > 0);
});
