// The configuration between two members of which one is slow: what a dropped queue held comes all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionView, seededRandom, silentLogger, systemClock } from "@holdfast/model";
import { ReplicationEngine } from "../engine/engine.ts";
import { memoryJournal } from "../journal/memory-segment.ts";
import type { EngineLink, ToEngine, ToView } from "../ports/link.ts";
import { startSync } from "../start-sync.ts";
import { MemoryDisk } from "../store/memory-store.ts";
import type { Sync } from "../sync.ts";
import { until } from "../transport/compliance.ts";
import { MemoryNetwork } from "../transport/memory.ts";

const QUEUE_BYTES_MAX = 64 * 1024;
const members = [0, 1].map((number) => ({ name: `m${number}`, number }));

/** Its engine in the same thread. Summaries come so late that only the end of the full queue brings anything back. */
function startMember(network: MemoryNetwork, number: number): Promise<Sync> {
  const member = members[number] as (typeof members)[number];
  const random = seededRandom(number + 1);
  return startSync({
    memberName: member.name,
    memberNumber: number,
    memberNumberCount: members.length,
    clusterId: "test",
    listen: [],
    members: members.map((each) => ({ ...each, addresses: [] })),
    tls: "plain",
    storeDirectory: undefined,
    clock: systemClock,
    random,
    logger: silentLogger,
    view: new SessionView(),
    host: async (attach) => {
      const toView = lane<ToView>();
      const toEngine = lane<ToEngine>();
      attach({ post: toEngine.post, listen: toView.listen });
      const transport = network.transport(member);
      const engine = new ReplicationEngine({
        settings: { member, members, summaryPeriodMs: 3_600_000 },
        clock: systemClock,
        random,
        logger: silentLogger,
        transport,
        store: new MemoryDisk().open(),
        journals: memoryJournal,
        link: { post: toView.post, listen: toEngine.listen },
      });
      await engine.start();
      return { stop: () => engine.stop() };
    },
  });
}

/** In order, each message in a turn of its own. */
function lane<Message>(): Pick<EngineLink<Message, Message>, "post" | "listen"> {
  let listener: ((message: Message) => void) | undefined;
  const early: Message[] = [];
  return {
    post: (message) =>
      void setImmediate(() => {
        if (listener === undefined) early.push(message);
        else listener(message);
      }),
    listen: (given) => {
      listener = given;
      for (const message of early.splice(0)) given(message);
    },
  };
}

test("a change of the configuration that a dropped queue held arrives without another one", async () => {
  const network = new MemoryNetwork({
    clock: systemClock,
    random: seededRandom(1),
    reconnectMs: 5,
    queueBytesMax: QUEUE_BYTES_MAX,
  });
  const [first, second] = (await Promise.all(members.map(({ number }) => startMember(network, number)))) as [
    Sync,
    Sync,
  ];
  try {
    await until("connected", () => first.connected().length === 1 && second.connected().length === 1);
    first.configuration.setNote("before", { text: "arrives" });
    await until("the way is open", () => second.configuration.notes().has("before"));
    // The second member is slow: the change waits in the queue, which then overflows.
    network.stall(0, 1, true);
    first.configuration.setNote("list", { text: "must arrive" });
    await until("it waits", () => network.queuedBytes(0, 1) > 0);
    const answer = await first.request(1, "too much", new Uint8Array(QUEUE_BYTES_MAX));
    assert.equal(answer, undefined, "there is no room for it, and the queue is dropped");
    network.stall(0, 1, false);
    await until("it arrives", () => second.configuration.notes().has("list"));
    assert.equal(second.configuration.version(), first.configuration.version());
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
});
