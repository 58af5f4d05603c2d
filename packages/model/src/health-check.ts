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
  /** http, https: which statuses are an answer; below 400 when absent. */
  readonly status?: HealthStatus;
  /** The member's own `health` settings where absent. */
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly downCount?: number;
  readonly upCount?: number;
}

/** 200, "200-299", or a list of such. */
export type HealthStatus = number | string | (number | string)[];
/** Both ends included. */
export type StatusRange = readonly [least: number, most: number];

export const HEALTH_STATUS_COUNT_MAX = 16;
const STATUS_LEAST = 100;
const STATUS_MOST = 599;
const STATUS_TEXT = /^([0-9]{3})(?:-([0-9]{3}))?$/;
/** What is an answer when nothing is said: no error. */
export const STATUS_DEFAULT: readonly StatusRange[] = [[STATUS_LEAST, 399]];

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
  status: WITH_PATH,
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
    if (name === "status") {
      if (statusRanges(field) !== undefined) continue;
      return `healthCheck.status must be a status from ${STATUS_LEAST} to ${STATUS_MOST}, a range as "200-299", or a list of at most ${HEALTH_STATUS_COUNT_MAX} of them`;
    }
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

/** The statuses that a check's word means, in order and without overlaps; undefined: it means none. */
export function statusRanges(said: unknown): readonly StatusRange[] | undefined {
  const list: readonly unknown[] = Array.isArray(said) ? said : [said];
  if (list.length === 0 || list.length > HEALTH_STATUS_COUNT_MAX) return undefined;
  const ranges: StatusRange[] = [];
  for (const each of list) {
    const match = STATUS_TEXT.exec(typeof each === "number" || typeof each === "string" ? `${each}` : "");
    const least = Number(match?.[1]);
    const most = Number(match?.[2] ?? least);
    if (match === null || least < STATUS_LEAST || most > STATUS_MOST || least > most) return undefined;
    ranges.push([least, most]);
  }
  const joined: StatusRange[] = [];
  for (const [least, most] of ranges.sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last !== undefined && least <= last[1] + 1)
      joined[joined.length - 1] = [last[0], Math.max(last[1], most)];
    else joined.push([least, most]);
  }
  return joined;
}

/** "200, 204, 300-399". */
export function statusText(ranges: readonly StatusRange[]): string {
  return ranges.map(([least, most]) => (least === most ? `${least}` : `${least}-${most}`)).join(", ");
}

/** One form of each meaning; undefined: what is meant anyway. */
function canonicalStatus(status: HealthStatus): HealthStatus | undefined {
  const ranges = statusRanges(status);
  if (ranges === undefined || statusText(ranges) === statusText(STATUS_DEFAULT)) return undefined;
  const words = ranges.map(([least, most]) => (least === most ? least : `${least}-${most}`));
  const [only] = words;
  return words.length === 1 ? only : words;
}

/** The fields that are there, always in one order: equal checks have equal text. */
export function canonicalHealth(check: HealthCheck): HealthCheck {
  const status = check.status === undefined ? undefined : canonicalStatus(check.status);
  const { kind, port, path, send, expect, intervalMs, timeoutMs, downCount, upCount } = check;
  return {
    kind,
    ...(port !== undefined && { port }),
    ...(path !== undefined && { path }),
    ...(send !== undefined && { send }),
    ...(expect !== undefined && { expect }),
    ...(status !== undefined && { status }),
    ...(intervalMs !== undefined && { intervalMs }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(downCount !== undefined && { downCount }),
    ...(upCount !== undefined && { upCount }),
  };
}
