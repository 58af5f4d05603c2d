// For lab tests: the bgp announcer in the network namespace that it was started in. Argument: its configuration as
// JSON. Each line of standard input is JSON: a list of announcements, {"stop": graceful}, or
// {"block": ms} for a main loop that hangs. Each answer is one line: what is announced, and the routers.
import { createInterface } from "node:readline";
import { startAnnouncer } from "../create.ts";

const options = JSON.parse(process.argv[2] as string) as {
  readonly program: string;
  readonly directory: string;
  readonly configuration: never;
};
const log = (fields: object, message: string) => console.error(JSON.stringify({ ...fields, message }));
const logger = { trace() {}, debug: log, info: log, warn: log, error: log, child: () => logger };
const announcer = await startAnnouncer({
  kind: "bgp",
  logger,
  bgp: { ...options, detailsOf: () => ({}) },
});
const tell = () =>
  console.log(
    JSON.stringify({ announced: announcer.announced(), routers: announcer.routers(), atMs: Date.now() }),
  );
announcer.onStatus(tell);
tell();
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as
    | readonly { vip: string; rank: number }[]
    | { stop: boolean }
    | { block: number };
  if ("stop" in order) {
    await announcer.stop({ graceful: order.stop });
    break;
  }
  if ("block" in order) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.block);
    continue;
  }
  await announcer.announce(order);
  tell();
}
