// What an operator was told is done stays done: no change is answered before it is on this member's disk.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ApiSources } from "./sources.ts";

/** An `onSend` hook. A GET waits for nothing, and neither does a refusal. */
export function keepConfiguration(sources: Pick<ApiSources, "configurationKept">) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const reads = request.method === "GET" || request.method === "HEAD";
    if (!reads && reply.statusCode < 400) await sources.configurationKept();
  };
}
