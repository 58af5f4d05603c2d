// What an operator was told is done stays done: no change is answered before it is on this member's disk.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ApiSources } from "./sources.ts";

/** Whether a request asks and changes nothing. */
export function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** An `onSend` hook. A GET waits for nothing, and neither does a refusal. */
export function keepConfiguration(sources: Pick<ApiSources, "configurationKept">) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (!isRead(request.method) && reply.statusCode < 400) await sources.configurationKept();
  };
}
