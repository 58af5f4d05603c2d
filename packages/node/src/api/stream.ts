// Answers that go on: their head is written by hand, with what the hooks have set.
import type { FastifyReply } from "fastify";

/** Takes the answer from fastify; the result is written to until it closes. */
export function beginStream(reply: FastifyReply, headers: Readonly<Record<string, string>>) {
  const set = reply.getHeaders();
  reply.hijack();
  const { raw } = reply;
  for (const [name, value] of Object.entries(set)) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200, { ...headers, "cache-control": "no-store" });
  return raw;
}
