// How an endpoint is asked whether it lives: of a service for all its endpoints, or of one endpoint alone.

/** sctp is what is asked when nothing else is said; none asks nothing, and the endpoint counts as healthy. */
export type HealthKind = "none" | "ping" | "sctp" | "tcp" | "udp" | "http" | "https";
export const HEALTH_KINDS = ["none", "ping", "sctp", "tcp", "udp", "http", "https"] as const;

export interface HealthCheck {
  readonly kind: HealthKind;
  /** Where to ask when it is not the endpoint's own port. */
  readonly port?: number;
  /** http, https: what to ask for, "/" when absent. */
  readonly path?: string;
  /** tcp, udp: what to send first. */
  readonly send?: string;
  /** tcp, udp, http, https: text that the answer must contain. */
  readonly expect?: string;
  /** The member's own `health` settings where absent. */
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly downCount?: number;
  readonly upCount?: number;
}

export const HEALTH_TEXT_LENGTH_MAX = 255;

/** Bounds of the numbers, both ends included. */
export const HEALTH_BOUNDS = {
  port: [1, 65_535],
  intervalMs: [100, 86_400_000],
  timeoutMs: [50, 60_000],
  downCount: [1, 100],
  upCount: [1, 100],
} as const satisfies Partial<Record<keyof HealthCheck, readonly [number, number]>>;

const WITH_PORT: readonly HealthKind[] = ["sctp", "tcp", "udp", "http", "https"];
const WITH_PATH: readonly HealthKind[] = ["http", "https"];
const WITH_SEND: readonly HealthKind[] = ["tcp", "udp"];
const WITH_EXPECT: readonly HealthKind[] = ["tcp", "udp", "http", "https"];
/** Which kinds have a field; the others hold for every kind. */
const KINDS_OF: Readonly<Record<string, readonly HealthKind[]>> = {
  port: WITH_PORT,
  path: WITH_PATH,
  send: WITH_SEND,
  expect: WITH_EXPECT,
};
/** A request line and a header must stay one. */
const PATH = /^\/[\x21-\x7e]*$/;

/**
 * Why a check cannot be taken, for operators; undefined when it can. Of anything: what members tell each
 * other, too.
 */
export function healthCheckProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return "healthCheck must be an object";
  const check = value as Readonly<Record<string, unknown>>;
  const kind = check["kind"] as HealthKind;
  if (!HEALTH_KINDS.includes(kind)) return `healthCheck.kind must be one of ${HEALTH_KINDS.join(", ")}`;
  for (const [name, field] of Object.entries(check)) {
    if (name === "kind" || field === undefined) continue;
    const kinds = KINDS_OF[name];
    if (kinds !== undefined && !kinds.includes(kind)) return `healthCheck.${name} has no meaning for ${kind}`;
    const bounds = (HEALTH_BOUNDS as Readonly<Record<string, readonly [number, number]>>)[name];
    if (bounds !== undefined) {
      const [least, most] = bounds;
      if (!Number.isInteger(field) || (field as number) < least || (field as number) > most)
        return `healthCheck.${name} must be an integer from ${least} to ${most}`;
    } else if (kinds === undefined) return `healthCheck.${name} is not known`;
    else if (typeof field !== "string" || field.length > HEALTH_TEXT_LENGTH_MAX)
      return `healthCheck.${name} must be text of at most ${HEALTH_TEXT_LENGTH_MAX} characters`;
  }
  const { path, intervalMs, timeoutMs } = check as Partial<HealthCheck>;
  if (path !== undefined && !PATH.test(path)) return "healthCheck.path must begin with / and have no spaces";
  if (intervalMs !== undefined && timeoutMs !== undefined && timeoutMs >= intervalMs)
    return "healthCheck.timeoutMs must be less than healthCheck.intervalMs";
  return undefined;
}

/** The fields that are there, always in one order: equal checks have equal text. */
export function canonicalHealth(check: HealthCheck): HealthCheck {
  const { kind, port, path, send, expect, intervalMs, timeoutMs, downCount, upCount } = check;
  return {
    kind,
    ...(port !== undefined && { port }),
    ...(path !== undefined && { path }),
    ...(send !== undefined && { send }),
    ...(expect !== undefined && { expect }),
    ...(intervalMs !== undefined && { intervalMs }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(downCount !== undefined && { downCount }),
    ...(upCount !== undefined && { upCount }),
  };
}
