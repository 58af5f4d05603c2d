// What an API server answers when it does not do what it was asked.

/** Fields of a `Status` object that decide what to do. */
export interface StatusBody {
  readonly kind?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: { readonly retryAfterSeconds?: number };
}

export class KubernetesError extends Error {
  /** HTTP status; 0 when nobody answered. */
  readonly status: number;
  /** `Conflict`, `NotFound`, `Expired`, …; empty when the answer was no `Status`. */
  readonly reason: string;
  /** The server's word on when to come again, ms. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: {
      readonly status: number;
      readonly reason?: string;
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, { cause: options.cause });
    this.name = "KubernetesError";
    this.status = options.status;
    this.reason = options.reason ?? "";
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The three forms of "that resource version is too old": HTTP 410, an ERROR event of code 410, and reasons without code. */
export function isExpired(error: unknown): boolean {
  return (
    error instanceof KubernetesError &&
    (error.status === 410 || error.reason === "Expired" || error.reason === "Gone")
  );
}

export function isConflict(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 409;
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 404;
}

/** An answer that is not a success. */
export function errorOfAnswer(
  what: string,
  status: number,
  text: string,
  retryAfter: string | undefined,
): KubernetesError {
  const body = statusOf(text);
  const seconds = Number(retryAfter ?? body?.details?.retryAfterSeconds);
  return new KubernetesError(`${what}: ${body?.message ?? `the API server answered ${status}`}`, {
    status,
    reason: body?.reason ?? "",
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
  });
}

function statusOf(text: string): StatusBody | undefined {
  try {
    const body = JSON.parse(text) as StatusBody;
    return body.kind === "Status" ? body : undefined;
  } catch {
    return undefined;
  }
}
