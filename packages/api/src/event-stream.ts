// Server-sent events (WHATWG HTML §9.2.6) as a member sends them: each `data` is one event in JSON.
import { createParser, type ParseError } from "eventsource-parser";
import type { NodeEvent } from "./schema/cluster.ts";

/** Longest event that is taken from a stream, characters: more is not a node of ours. */
export const EVENT_SIZE_MAX = 65_536;

/** Throws when an event is too long, or is not JSON. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<NodeEvent> {
  const decoder = new TextDecoder();
  let arrived: string[] = [];
  let failure: ParseError | undefined;
  const parser = createParser({
    maxBufferSize: EVENT_SIZE_MAX,
    onEvent: ({ data }) => arrived.push(data),
    onError: (error) => {
      if (error.type === "max-buffer-size-exceeded") failure = error;
    },
  });
  // Not `for await`: not every browser can walk a stream so.
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      const now = arrived;
      arrived = [];
      for (const data of now) yield JSON.parse(data) as NodeEvent;
      if (failure !== undefined) throw new Error("an event is too long", { cause: failure });
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
