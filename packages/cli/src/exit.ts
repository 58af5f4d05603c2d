// Exit codes, and errors in plain words with the remedy. Codes are append-only: scripts depend on them.
import { ApiError, UNREACHABLE } from "@holdfast/api";

export const EXIT = {
  ok: 0,
  /** Something failed that has no code of its own. */
  failure: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No node answers. */
  unreachable: 3,
  /** What was named does not exist. */
  notFound: 4,
  /** It exists already, was changed by somebody else, or belongs to the configuration file. */
  conflict: 5,
  /** The token is missing or wrong, or its role does not go so far. */
  unauthorized: 6,
  /** The configuration or the request is not valid. */
  invalid: 7,
  /** `diagnose` or `config check` found what keeps Holdfast from working. */
  unhealthy: 8,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

interface Remedied {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly status: number;
}

function isRemedied(error: unknown): error is Remedied {
  return (
    error instanceof Error &&
    "remedy" in error &&
    "code" in error &&
    "status" in error &&
    typeof error.remedy === "string"
  );
}

export function exitCodeOf(error: unknown): ExitCode {
  if (!isRemedied(error)) return EXIT.failure;
  if (error.code === UNREACHABLE) return EXIT.unreachable;
  switch (error.status) {
    case 400:
    case 422:
      return EXIT.invalid;
    case 401:
    case 403:
      return EXIT.unauthorized;
    case 404:
      return EXIT.notFound;
    case 409:
    case 412:
      return EXIT.conflict;
    default:
      return EXIT.failure;
  }
}

/** Lines for standard error. */
export function errorText(error: unknown): string {
  if (!isRemedied(error)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `holdfast: this should not happen: ${text}`;
  }
  const lines = [`holdfast: ${error.message}`];
  if (error instanceof ApiError && (error.fields?.length ?? 0) > 1)
    for (const { field, reason } of error.fields ?? []) lines.push(`  ${field} ${reason}`);
  // A configuration's mistakes come together.
  const all = (error as { all?: readonly Remedied[] }).all;
  if (all !== undefined && all.length > 1)
    for (const other of all.slice(1)) lines.push(`holdfast: ${other.message}`, `  ${other.remedy}`);
  if (error.remedy !== "") lines.splice(1, 0, `  ${error.remedy}`);
  lines.push(`  (${error.code})`);
  return lines.join("\n");
}
