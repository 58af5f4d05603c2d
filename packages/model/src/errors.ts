// An operator's mistake is a coded error with a cause and a way out (fastify's lib/errors.js).
// Hostile packets are never errors: they are a result and a counter.

/** One entry of the catalogue: what happened, and what the operator can do about it. */
export interface ErrorEntry {
  /** HTTP status with which the API answers. */
  readonly status: number;
  /** One sentence; `{name}` is replaced by the detail of that name. */
  readonly message: string;
  /** What to do, one or two sentences; details are replaced as in `message`. */
  readonly remedy: string;
}

/** Codes are append-only: one that was published never changes its meaning. docs/errors.md lists them all. */
export const ERROR_CATALOGUE = {
  SERVICE_VIP_TAKEN: {
    status: 409,
    message: "VIP {vip} port {port} already belongs to service {service}.",
    remedy: "Use another VIP or port, or delete service {service} first.",
  },
  SERVICE_NOT_FOUND: {
    status: 404,
    message: "There is no service {service}.",
    remedy: "List the services with 'holdfast get services'.",
  },
  SERVICE_INVALID: {
    status: 400,
    message: "The service is not valid: {reason}.",
    remedy: "Correct the field and send it again; 'holdfast config show' and docs/api.md list the schema.",
  },
  ADDRESS_INVALID: {
    status: 400,
    message: "'{text}' is not an IP address.",
    remedy: "Write IPv4 as 192.0.2.1 and IPv6 as 2001:db8::1, without a prefix length.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** A coded error. `details` fill the placeholders of the catalogue's texts. */
export class HoldfastError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number>>;
  readonly remedy: string;
  readonly status: number;

  constructor(
    code: ErrorCode,
    details: Readonly<Record<string, string | number>> = {},
    options?: { cause?: unknown },
  ) {
    const entry: ErrorEntry = ERROR_CATALOGUE[code];
    super(fill(entry.message, details), options);
    this.name = "HoldfastError";
    this.code = code;
    this.details = details;
    this.remedy = fill(entry.remedy, details);
    this.status = entry.status;
  }
}

function fill(text: string, details: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(details[name] ?? whole));
}
