import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EVENT_SIZE_MAX, eventsOf } from "./event-stream.ts";

/** What a reader gets of a stream that comes in these pieces. */
async function read(...pieces: (string | Uint8Array)[]): Promise<unknown[]> {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces)
        controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
      controller.close();
    },
  });
  const events: unknown[] = [];
  for await (const event of eventsOf(body)) events.push(event);
  return events;
}

describe("an event stream", () => {
  for (const [name, end] of [
    ["line feeds", "\n"],
    ["carriage returns and line feeds, as proxies make them", "\r\n"],
    ["carriage returns", "\r"],
  ] as const)
    test(`lines may end by ${name}`, async () => {
      const text = [": hello", "", "id: 1", "event: session", 'data: {"id":1}', "", 'data:{"id":2}', "", ""];
      assert.deepEqual(await read(text.join(end)), [{ id: 1 }, { id: 2 }]);
    });

  test("data over several lines is one event, and retry is none", async () => {
    const text = 'retry: 3000\n\ndata: {"id":1,\ndata: "message":"a"}\n\n';
    assert.deepEqual(await read(text), [{ id: 1, message: "a" }]);
  });

  test("pieces end anywhere, in a character too; an event that has not ended is none", async () => {
    const bytes = new TextEncoder().encode('data: {"message":"ü→"}\r\n\r\ndata: {"id":2}\n');
    const pieces = [...bytes].map((byte) => Uint8Array.of(byte));
    assert.deepEqual(await read(...pieces), [{ message: "ü→" }]);
  });

  test("many events in one piece are no long event", async () => {
    const count = 10_000;
    const text = Array.from({ length: count }, (_, id) => `data: {"id":${id}}\n\n`).join("");
    assert(text.length > EVENT_SIZE_MAX);
    assert.equal((await read(text)).length, count);
  });

  test("an event without end is given up", async () => {
    const long = "x".repeat(EVENT_SIZE_MAX / 2);
    await assert.rejects(read('data: {"id":1}\n\n', `data: ${long}`, long, long), /an event is too long/);
    await assert.rejects(read(`data: ${long}\n`, `data: ${long}\n`, `data: ${long}\n`), /too long/);
  });
});
