// For lab tests: the bgp announcer in the network namespace that it was started in. Argument: its configuration as
// JSON. Each line of standard input is JSON: a list of announcements, {"stop": graceful}, or
// {"block": ms} for a main loop that hangs, or {"changes": count} for so many VIPs in turn that become the owner's or
// not any more, one at a time; answered with the wall ms of each decision, and how long each took until the
// speaker had its order. Each other answer is one line: what is announced, and the routers.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import type { Address } from "@holdfast/model";
import type { Announcement } from "../announcer.ts";
import { startAnnouncer } from "../create.ts";

const options = JSON.parse(process.argv[2] as string) as {
  readonly speaker?: "bird" | "gobgp";
  readonly program: string;
  readonly directory: string;
  readonly configuration: never;
};
const CHANGE_GAP_MS = 10;
const log = (fields: object, message: string) => console.error(JSON.stringify({ ...fields, message }));
const logger = { trace() {}, debug: log, info: log, warn: log, error: log, child: () => logger };
const announcer = await startAnnouncer({
  kind: "bgp",
  logger,
  bgp: { speaker: "bird", ...options, details: () => () => ({}) },
});
const tell = () =>
  console.log(
    JSON.stringify({ announced: announcer.announced(), routers: announcer.routers(), atMs: Date.now() }),
  );
announcer.onStatus(tell);
tell();
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as
    | readonly Announcement[]
    | { stop: boolean }
    | { block: number }
    | { changes: number };
  if ("stop" in order) {
    await announcer.stop({ graceful: order.stop });
    break;
  }
  if ("block" in order) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.block);
    continue;
  }
  if ("changes" in order) {
    console.log(JSON.stringify(await change(order.changes)));
    continue;
  }
  await announcer.announce(order);
  tell();
}

async function change(count: number): Promise<{ startsMs: readonly number[]; orderedMs: readonly number[] }> {
  const ranks = new Map(announcer.announced().map(({ vip, rank }) => [vip, rank]));
  const vips = [...ranks.keys()];
  const startsMs: number[] = [];
  const orderedMs: number[] = [];
  for (let n = 0; n < count; n++) {
    const vip = vips[n % vips.length] as Address;
    ranks.set(vip, ranks.get(vip) === 0 ? 1 : 0);
    const announcements = [...ranks].map(([vip, rank]) => ({ vip, rank }));
    const startMs = performance.now();
    startsMs.push(performance.timeOrigin + startMs);
    const done = announcer.announce(announcements);
    // Nothing waits until the order is in the socket.
    orderedMs.push(performance.now() - startMs);
    await done;
    // Two changes in one UPDATE could not be told apart.
    await setTimeout(CHANGE_GAP_MS);
  }
  return { startsMs, orderedMs };
}
