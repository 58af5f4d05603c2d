// What wakes members that have nothing to do. Counted, not timed: a busy machine makes it fewer, not more.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { Cluster, type Member, until } from "@holdfast/testkit";

const MEMBER_COUNT = 3;
const LIMIT_MS = 120_000;
/** A look is as long as a member takes to send so many: five seconds, where nothing holds it up. */
const SENT_COUNT = 1_000;
/** By thread: wake-ups while so much is sent. Half as many again as it takes now; docs/decisions/0601. */
const WAKEUP_COUNT_MAX: Readonly<Record<string, number>> = {
  MainThread: 120,
  "holdfast-sync": 75,
};

let cluster: Cluster;
before(() => {
  cluster = new Cluster({ members: MEMBER_COUNT });
});
after(() => cluster?.close());

/** By thread's name: how often it went to sleep by itself. */
function wakeups(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8");
    const [, name = ""] = /^Name:\s+(.+)$/m.exec(status) ?? [];
    const [, count] = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status) ?? [];
    counts.set(name, (counts.get(name) ?? 0) + Number(count));
  }
  return counts;
}

/** UDP datagrams that its network namespace has sent. */
function sentCount(pid: number): number {
  const [names = "", values = ""] = readFileSync(`/proc/${pid}/net/snmp`, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Udp: "));
  return Number(values.split(" ")[names.split(" ").indexOf("OutDatagrams")]);
}

async function look({ pid = 0, name }: Member): Promise<Map<string, number>> {
  const before = wakeups(pid);
  const sent = sentCount(pid);
  await until(`${name} to send probes`, () => sentCount(pid) - sent >= SENT_COUNT, LIMIT_MS, 100);
  const share = SENT_COUNT / (sentCount(pid) - sent);
  return new Map(
    [...wakeups(pid)].map(([thread, count]) => [thread, (count - (before.get(thread) ?? 0)) * share]),
  );
}

test("an idle member's threads sleep until something is due", { timeout: 4 * LIMIT_MS }, async () => {
  await cluster.start();
  const member = cluster.members[0] as Member;
  let last = new Map<string, number>();
  // What a start leaves to do is done first.
  await until(
    "a look at an idle member",
    async () => {
      last = await look(member);
      return Object.entries(WAKEUP_COUNT_MAX).every(([thread, max]) => (last.get(thread) ?? max + 1) <= max);
    },
    LIMIT_MS,
  ).catch((error: Error) => assert.fail(`${error.message}: ${JSON.stringify([...last])}`));
});
