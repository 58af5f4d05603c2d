import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { PortLink, transferablesOf } from "./port-link.ts";

describe("the link between threads", () => {
  it("keeps order, and lets the event loop breathe", async (t) => {
    const { port1, port2 } = new MessageChannel();
    let nowMs = 0;
    const sender = new PortLink<{ n: number }, never>(port1, 2);
    const receiver = new PortLink<never, { n: number }>(port2, 2, () => nowMs);
    t.after(() => {
      sender.close();
      receiver.close();
    });
    const seen: number[] = [];
    const turns: number[] = [0];
    const turn = () => {
      turns.push(0);
      if (seen.length < 100) setImmediate(turn);
    };
    setImmediate(turn);
    await new Promise<void>((resolve) => {
      receiver.listen(({ n }) => {
        turns[turns.length - 1] = (turns.at(-1) ?? 0) + 1;
        seen.push(n);
        // Work of half a millisecond.
        nowMs += 0.5;
        if (n === 99) resolve();
      });
      // All of them wait in the port when the first is taken out.
      for (let n = 0; n < 100; n++) sender.post({ n });
    });
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, n) => n),
    );
    assert.equal(Math.max(...turns), 4, "a slice of two milliseconds");
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
