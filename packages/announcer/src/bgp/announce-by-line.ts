// For lab tests: the bgp announcer in the network namespace that it was started in. Argument: its configuration as
// JSON. Each line of standard input is JSON: a list of announcements, {"stop": graceful}, or
// {"block": ms} for a main loop that hangs, or {"changes": count} for so many VIPs in turn that become the
// owner's or not any more, one at a time; answered with each VIP, the wall ms of its decision, and how long
// it took until the speaker had its order. Each other answer is one line: what is announced, and the routers.
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

interface Changes {
  readonly vips: readonly Address[];
  readonly startsMs: readonly number[];
  readonly orderedMs: readonly number[];
}

/**
 * Wall ms, to a hundredth: waits for the clock's next one. Captures are compared with it; performance.timeOrigin
 * is what the wall clock was at the start, and that may have been set right since.
 */
function wallMs(): number {
  const before = Date.now();
  let edge = before;
  while (edge === before) edge = Date.now();
  return edge;
}

async function change(count: number): Promise<Changes> {
  const ranks = new Map(announcer.announced().map(({ vip, rank }) => [vip, rank]));
  const vips = [...ranks.keys()];
  const changed: Address[] = [];
  const startsMs: number[] = [];
  const orderedMs: number[] = [];
  for (let n = 0; n < count; n++) {
    const vip = vips[n % vips.length] as Address;
    ranks.set(vip, ranks.get(vip) === 0 ? 1 : 0);
    const announcements = [...ranks].map(([vip, rank]) => ({ vip, rank }));
    changed.push(vip);
    startsMs.push(wallMs());
    const startMs = performance.now();
    const done = announcer.announce(announcements);
    // Nothing waits until the order is in the socket.
    orderedMs.push(performance.now() - startMs);
    await done;
    await setTimeout(CHANGE_GAP_MS);
  }
  return { vips: changed, startsMs, orderedMs };
}
