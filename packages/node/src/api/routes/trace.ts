import { ProblemSchema } from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { isOfSession } from "../../trace/of-session.ts";
import { enhancedPacket, fileHead } from "../../trace/pcapng.ts";
import type { ApiSources } from "../sources.ts";
import { beginStream } from "../stream.ts";

/** Traces at once; one more is refused with STREAM_COUNT_EXCEEDED. */
export const TRACE_COUNT_MAX = 4;
/**
 * Bytes that may wait for a slow reader; further packets are left out and counted in the next one's comment.
 */
export const TRACE_QUEUE_BYTES_MAX = 4 * 1024 * 1024;

interface TraceQuery {
  readonly seconds: number;
  readonly packets: number;
  readonly reason?: string;
  readonly session?: string;
}

const TraceQuerySchema = Type.Object(
  {
    seconds: Type.Integer({ minimum: 1, maximum: 3600, default: 60, description: "Ends after." }),
    packets: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 100_000,
      description: "Ends after.",
    }),
    reason: Type.Optional(Type.String({ maxLength: 64, description: "Only reasons that contain this." })),
    session: Type.Optional(
      Type.String({
        maxLength: 64,
        description: "Only packets of this session, by addresses and ports.",
      }),
    ),
  },
  { additionalProperties: false },
);

export function traceRoutes({ trace, clock, version, sessions, registry }: ApiSources) {
  let open = 0;

  /** Throws SESSION_NOT_FOUND, SESSION_NOT_UNDERSTOOD. */
  function filterOf(session: string): (packet: Uint8Array) => boolean {
    const known = sessions.understood(session);
    return (packet) => {
      // As it is then: a session learns addresses.
      const now = sessions.get(session) ?? known;
      const service = registry.list().find(({ id }) => id === now.record.serviceId);
      return service !== undefined && isOfSession(packet, now, service);
    };
  }

  return async (app: FastifyInstance) => {
    app.get<{ Querystring: TraceQuery }>(
      "/v1/trace",
      {
        schema: {
          tags: ["observation"],
          summary: "A pcapng of punted and dropped packets; each one's reason is its comment",
          querystring: TraceQuerySchema,
          response: {
            200: Type.String({ description: "pcapng" }),
            "4xx": ProblemSchema,
            "5xx": ProblemSchema,
          },
        },
      },
      async (request, reply) => {
        if (open >= TRACE_COUNT_MAX)
          throw new HoldfastError("STREAM_COUNT_EXCEEDED", { limit: TRACE_COUNT_MAX });
        const { seconds, reason, session } = request.query;
        const isWanted = session === undefined ? undefined : filterOf(session);
        let left = request.query.packets;
        let leftOut = 0;
        open++;
        const raw = beginStream(reply, {
          "content-type": "application/x-pcapng",
          "content-disposition": 'attachment; filename="holdfast.pcapng"',
        });
        raw.write(fileHead(`holdfast ${version}`));
        const unsubscribe = trace.subscribe((packet) => {
          if (reason !== undefined && !packet.reason.includes(reason)) return;
          if (isWanted?.(packet.packet) === false) return;
          if (raw.writableLength > TRACE_QUEUE_BYTES_MAX) {
            leftOut++;
            return;
          }
          const note = leftOut > 0 ? ` (${leftOut} packets before were left out)` : "";
          leftOut = 0;
          raw.write(enhancedPacket(packet, note));
          if (--left === 0) raw.end();
        });
        const limit = clock.after(seconds * 1000, () => raw.end());
        raw.on("close", () => {
          open--;
          unsubscribe();
          limit.cancel();
        });
      },
    );
  };
}
