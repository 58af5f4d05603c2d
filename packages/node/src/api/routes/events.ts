import { EventSchema, type NodeEvent, ProblemSchema } from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { cursorText, isAfter, type Place, parseCursor } from "../../cluster/cursor.ts";
import type { LogEntry } from "../../cluster/replicated-log.ts";
import type { EventBody } from "../../events/bus.ts";
import type { ApiSources } from "../sources.ts";
import { beginStream } from "../stream.ts";

/** Open streams at once; one more is refused with STREAM_COUNT_EXCEEDED. */
export const STREAM_COUNT_MAX = 64;
/** Bytes that may wait for a slow reader; beyond, the stream is closed, and Last-Event-ID brings it back. */
export const STREAM_QUEUE_BYTES_MAX = 1024 * 1024;
const KEEP_ALIVE_MS = 15_000;

interface EventQuery {
  readonly after?: string;
  readonly member?: string;
  readonly latest?: number;
}

const EventQuerySchema = Type.Object({
  after: Type.Optional(
    Type.String({ maxLength: 2048, description: "Id of the last event that was read; 0: all." }),
  ),
  latest: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 1000, description: "At most so many of what is kept." }),
  ),
  member: Type.Optional(Type.String({ maxLength: 63, description: "Only what this one saw." })),
});

export function eventRoutes({ eventLog, clock, status }: ApiSources) {
  let open = 0;
  return async (app: FastifyInstance) => {
    app.get<{ Querystring: EventQuery }>(
      "/v1/events",
      {
        schema: {
          tags: ["cluster"],
          summary: "Server-sent events of all members: ownership, membership, session ends, services",
          description:
            "Each event's data is one JSON object. Last-Event-ID, or `after`, resumes, at whichever member: what is kept and was not read comes first. Each member's latest 1,024 are kept, in memory; what was forgotten before it was read is said by an event of the type overflow.",
          querystring: EventQuerySchema,
          headers: Type.Object({ "last-event-id": Type.Optional(Type.String()) }),
          response: { 200: EventSchema, "4xx": ProblemSchema, "5xx": ProblemSchema },
        },
      },
      async (request, reply) => {
        if (open >= STREAM_COUNT_MAX)
          throw new HoldfastError("STREAM_COUNT_EXCEEDED", { limit: STREAM_COUNT_MAX });
        const { after, member, latest } = request.query;
        const asked = after === undefined ? undefined : parseCursor(after);
        if (after !== undefined && asked === undefined)
          throw new HoldfastError("REQUEST_INVALID", {
            reason: "after is no event's id",
            remedy: "Send the id of an event, or 0.",
          });
        const header = request.headers["last-event-id"];
        const read = asked ?? (typeof header === "string" ? parseCursor(header) : undefined);
        open++;
        const raw = beginStream(reply, { "content-type": "text/event-stream", "x-accel-buffering": "no" });
        const place = new Map<number, Place>(read ?? eventLog.cursor());
        const write = (event: NodeEvent) => {
          if (raw.writableLength > STREAM_QUEUE_BYTES_MAX) raw.destroy();
          else raw.write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
        };
        const pass = ({ origin, run, sequence, value }: LogEntry<EventBody>) => {
          if (!isAfter({ run, sequence }, place.get(origin))) return;
          place.set(origin, { run, sequence });
          if (member === undefined || value.member === member) write({ id: cursorText(place), ...value });
        };
        raw.write(": hello\n\n");
        if (eventLog.isGone(place)) write(overflow(cursorText(place)));
        const kept = eventLog.after(place);
        const skipped = latest === undefined ? 0 : Math.max(0, kept.length - latest);
        for (const { origin, run, sequence } of kept.slice(0, skipped)) place.set(origin, { run, sequence });
        for (const entry of kept.slice(skipped)) pass(entry);
        const unsubscribe = eventLog.subscribe(pass);
        const keepAlive = clock.every(KEEP_ALIVE_MS, () => raw.write(": still here\n\n"));
        raw.on("close", () => {
          open--;
          unsubscribe();
          keepAlive.cancel();
        });
      },
    );
  };

  function overflow(id: string): NodeEvent {
    return {
      id,
      at: new Date(clock.wallMs()).toISOString(),
      type: "overflow",
      member: status().member,
      message: "Events between the last one that was read and the next are not kept any more.",
    };
  }
}
