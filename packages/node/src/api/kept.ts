// What an operator was told is done stays done: no change is answered before it is on this member's disk.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ApiSources } from "./sources.ts";

/** Whether a request changed something: it was no question, and was not refused. */
export function isChange(request: FastifyRequest, reply: FastifyReply): boolean {
  return request.method !== "GET" && request.method !== "HEAD" && reply.statusCode < 400;
}

/**
 * An `onSend` hook. A question waits for nothing, and neither does a refusal. What could not be kept is
 * answered with CONFIGURATION_NOT_KEPT, in each dialect's words; those are not looked at again.
 */
export function keepConfiguration(sources: Pick<ApiSources, "configurationKept">) {
  const refused = new WeakSet<FastifyRequest>();
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (!isChange(request, reply) || refused.has(request)) return;
    try {
      await sources.configurationKept();
    } catch (error) {
      refused.add(request);
      throw error;
    }
  };
}
