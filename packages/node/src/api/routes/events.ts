import { EventSchema, type NodeEvent, ProblemSchema } from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import { Type } from "@sinclair/typebox";
import type { FastifyInstance } from "fastify";
import type { ApiSources } from "../sources.ts";

/** Open streams at once; one more is refused with STREAM_COUNT_EXCEEDED. */
export const STREAM_COUNT_MAX = 64;
/** Bytes that may wait for a slow reader; beyond, the stream is closed, and Last-Event-ID brings it back. */
export const STREAM_QUEUE_BYTES_MAX = 1024 * 1024;
const KEEP_ALIVE_MS = 15_000;

export function eventRoutes({ events, clock }: ApiSources) {
  let open = 0;
  return async (app: FastifyInstance) => {
    app.get<{ Querystring: { after?: number } }>(
      "/v1/events",
      {
        schema: {
          tags: ["cluster"],
          summary: "Server-sent events: ownership, membership, session ends, services",
          description: "Each event's data is one JSON object. Last-Event-ID, or `after`, resumes.",
          querystring: Type.Object({ after: Type.Optional(Type.Integer({ minimum: 0 })) }),
          headers: Type.Object({ "last-event-id": Type.Optional(Type.String()) }),
          response: { 200: EventSchema, "4xx": ProblemSchema, "5xx": ProblemSchema },
        },
      },
      async (request, reply) => {
        if (open >= STREAM_COUNT_MAX)
          throw new HoldfastError("STREAM_COUNT_EXCEEDED", { limit: STREAM_COUNT_MAX });
        const header = Number(request.headers["last-event-id"]);
        const after = request.query.after ?? (Number.isInteger(header) ? header : events.latest);
        open++;
        reply.hijack();
        const { raw } = reply;
        raw.writeHead(200, {
          "content-type": "text/event-stream",
          "cache-control": "no-store",
          "x-accel-buffering": "no",
        });
        const write = (event: NodeEvent) => {
          if (raw.writableLength > STREAM_QUEUE_BYTES_MAX) raw.destroy();
          else raw.write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
        };
        raw.write(": hello\n\n");
        for (const event of events.after(after)) write(event);
        const unsubscribe = events.subscribe(write);
        const keepAlive = clock.every(KEEP_ALIVE_MS, () => raw.write(": still here\n\n"));
        raw.on("close", () => {
          open--;
          unsubscribe();
          keepAlive.cancel();
        });
      },
    );
  };
}
