// Every answer that is not a success is problem+json (RFC 9457) with a stable code.
import { type Finding, fieldName, type Problem } from "@holdfast/api";
import { HoldfastError, type Logger } from "@holdfast/model";
import type { FastifyReply, FastifyRequest } from "fastify";

export const PROBLEM_TYPE = "application/problem+json";

/** Thrown by the validator: every field that was wrong. */
export class RequestInvalid extends HoldfastError<"REQUEST_INVALID"> {
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    const first = findings[0];
    super("REQUEST_INVALID", {
      reason: first === undefined ? "it cannot be read" : `${fieldName(first.path)} ${first.reason}`,
      remedy: first?.remedy ?? "Correct it and send it again.",
    });
    this.findings = findings;
  }
}

export function problemOf(error: HoldfastError, requestId: string): Problem {
  return {
    type: `urn:holdfast:error:${error.code}`,
    title: error.message,
    status: error.status,
    code: error.code,
    detail: error.remedy,
    instance: requestId,
    ...(error instanceof RequestInvalid &&
      error.findings.length > 0 && {
        fields: error.findings.map((f) => ({ field: fieldName(f.path), reason: f.reason, remedy: f.remedy })),
      }),
  };
}

/** What fastify or a handler threw, as a coded error. Unknown ones are logged with the request's id. */
export function codedError(error: unknown, request: FastifyRequest, logger: Logger): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const remedy =
      code === "FST_ERR_CTP_INVALID_MEDIA_TYPE"
        ? "Send JSON with 'Content-Type: application/json'."
        : "Correct it and send it again; GET /v1/openapi.json has the schema.";
    return new HoldfastError("REQUEST_INVALID", {
      reason: (message ?? "unreadable").replace(/\.$/, ""),
      remedy,
    });
  }
  logger.error(
    { requestId: request.id, method: request.method, url: request.url, err: error },
    "API request failed",
  );
  return new HoldfastError("INTERNAL_ERROR");
}

export function sendProblem(reply: FastifyReply, error: HoldfastError, requestId: string): FastifyReply {
  if (error.code === "UNAUTHORIZED") reply.header("www-authenticate", 'Bearer realm="holdfast"');
  return reply.code(error.status).header("content-type", PROBLEM_TYPE).send(problemOf(error, requestId));
}
