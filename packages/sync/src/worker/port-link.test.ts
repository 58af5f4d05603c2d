import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { PortLink, transferablesOf } from "./port-link.ts";

describe("the link between threads", () => {
  it("keeps order, and lets the event loop breathe", async () => {
    const { port1, port2 } = new MessageChannel();
    const sender = new PortLink<{ n: number }, never>(port1, 2);
    const receiver = new PortLink<never, { n: number }>(port2, 2);
    const seen: number[] = [];
    let longestTurnCount = 0;
    let inTurn = 0;
    const done = new Promise<void>((resolve) => {
      receiver.listen(({ n }) => {
        if (inTurn === 0)
          setImmediate(() => {
            longestTurnCount = Math.max(longestTurnCount, inTurn);
            inTurn = 0;
          });
        inTurn++;
        seen.push(n);
        // Work of half a millisecond.
        const end = performance.now() + 0.5;
        while (performance.now() < end);
        if (n === 99) resolve();
      });
    });
    for (let n = 0; n < 100; n++) sender.post({ n });
    await done;
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, n) => n),
    );
    // 2 ms of work at half a millisecond each is some 4, and with bad luck twice that; unpaced it is 100.
    assert.ok(longestTurnCount <= 20, `${longestTurnCount} messages in one turn`);
    sender.close();
    receiver.close();
  });

  it("moves large buffers, copies small ones and parts", () => {
    const large = new Uint8Array(4_096);
    const part = new Uint8Array(new ArrayBuffer(8_192), 0, 4_096);
    const listed = new Uint8Array(2_048);
    const message = {
      deltas: { count: 1, bytes: large },
      part,
      small: new Uint8Array(10),
      changes: [listed, large],
    };
    assert.deepEqual(new Set(transferablesOf(message)), new Set([large.buffer, listed.buffer]));
  });

  it("hands nothing on after close", async () => {
    const { port1, port2 } = new MessageChannel();
    const sender = new PortLink<{ n: number }, never>(port1, 2);
    const receiver = new PortLink<never, { n: number }>(port2, 2);
    let count = 0;
    receiver.listen(() => {
      count++;
      receiver.close();
    });
    sender.post({ n: 1 });
    sender.post({ n: 2 });
    await new Promise((resolve) => port1.on("close", resolve));
    assert.equal(count, 1);
  });
});
