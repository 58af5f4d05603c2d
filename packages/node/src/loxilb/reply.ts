// Replies as LoxiLB's clients want them: 200 with {"result":"Success"}, never 201 or 204; the content type
// without a charset, which one of them compares as text; errors with a status that follows from their text.
import type { FastifyReply } from "fastify";

export const PREFIX = "/netlox/v1";

export const SUCCESS = { result: "Success" } as const;

/** An error in LoxiLB's words; the status follows from the text (handler/common.go). */
export class LoxilbError extends Error {}

/** Schema violations as go-openapi tells them: 422 with a code of its own. */
export class SchemaViolation extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * What this node does not do, or not with these arguments. Its reply has status 200: a result that is not
 * "Success" is the only refusal that every version of every client notices (some take any other status for
 * success).
 */
export class Refusal extends Error {}

/** Not for this caller, or not in this form: an HTTP status of its own. */
export class Denied extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const SUBSTRINGS: readonly (readonly [status: number, message: string, parts: readonly string[]])[] = [
  [
    404,
    "Resource not found",
    ["not-exists", " not exists", "not found", "no such", "no bfd session", "no-zone error", "no-rule error"],
  ],
  [
    401,
    "Invalid authentication credentials",
    ["invalid token", "token is expired", "authentication failed", "user not found"],
  ],
  [
    409,
    "Resource conflict: Resource already exists OR dependency not found",
    ["lbrule-exists error", "fwrule-exists", " existing ", " exists", "cant modify"],
  ],
  [
    400,
    "Malformed arguments for API call",
    [
      "malformed",
      "parse error",
      "invalid ",
      "range",
      "overflow",
      "service-args error",
      "secondaryip-args",
      "secip",
      "serv-port-args range",
      "endpoints-range",
      "proto error",
      "host-args error",
      "hostarm-args error",
      // LoxiLB answers this client mistake with 500.
      "bfd interval too low",
    ],
  ],
  [403, "Capacity insufficient", ["capacity", " hwm", "rule-hwm"]],
  [503, "Maintenance mode", ["not-ready", "timeout", "maintenance"]],
];

/** Status and fixed text for an error's text. */
export function classify(text: string): { readonly status: number; readonly message: string } {
  const lower = text.toLowerCase();
  for (const [status, message, parts] of SUBSTRINGS)
    if (parts.some((part) => lower.includes(part))) return { status, message };
  return { status: 500, message: text };
}

/** Sends JSON with exactly `application/json`. */
export function sendJson(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  reply.code(status);
  // As bytes: fastify adds a charset to JSON text.
  return reply.header("content-type", "application/json").send(Buffer.from(JSON.stringify(body)));
}

export function sendError(reply: FastifyReply, error: LoxilbError): FastifyReply {
  const { status, message } = classify(error.message);
  return sendJson(reply, status, { code: status, message, result: error.message, fields: null });
}

export function sendRefusal(reply: FastifyReply, error: Refusal): FastifyReply {
  return sendJson(reply, 200, { result: `Error: ${error.message}` });
}

export function sendDenial(reply: FastifyReply, { status, message }: Denied): FastifyReply {
  return sendJson(reply, status, { code: status, message, result: message, fields: null });
}

/** Go's omitempty: zero, false, "" and null are absent; the keys of `always` stay. */
export function omitEmpty<T extends Record<string, unknown>>(
  value: T,
  always: readonly string[] = [],
): Partial<T> {
  const kept = Object.entries(value).filter(
    ([key, inner]) =>
      always.includes(key) ||
      !(inner === undefined || inner === null || inner === 0 || inner === false || inner === ""),
  );
  return Object.fromEntries(kept) as Partial<T>;
}
