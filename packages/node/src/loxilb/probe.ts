// LoxiLB's words for a health check, in rules and in endpoints that are posted by themselves.
import { HEALTH_TEXT_LENGTH_MAX, type HealthCheck, type HealthKind } from "@holdfast/model";
import { type Folded, numberOf, textOf } from "./fold.ts";
import { LoxilbError } from "./reply.ts";

/** Both spellings that its clients have had. */
const KINDS: Readonly<Record<string, HealthKind>> = {
  none: "none",
  ping: "ping",
  icmp: "ping",
  sctp: "sctp",
  tcp: "tcp",
  udp: "udp",
  http: "http",
  https: "https",
  "connect-sctp": "sctp",
  "connect-tcp": "tcp",
  "connect-udp": "udp",
};
const INTERVAL_MOST_S = 86_400;
const RETRIES_MOST = 100;

export interface ProbeWords {
  readonly type: string;
  readonly port: number;
  readonly request: string;
  readonly response: string;
  /** Seconds between probes; 0: not said. */
  readonly periodS: number;
  /** Misses until down; 0: not said. */
  readonly retries: number;
}

/** The probe fields of a rule. */
export function ruleProbeWords(service: Folded): ProbeWords {
  return {
    type: textOf(service, "probetype").toLowerCase(),
    port: numberOf(service, "probeport"),
    request: textOf(service, "probereq"),
    response: textOf(service, "proberesp"),
    periodS: numberOf(service, "probeTimeout"),
    retries: numberOf(service, "probeRetries"),
  };
}

/** What the words mean; undefined when they say nothing. Throws LoxilbError. */
export function healthCheckOf(words: ProbeWords, defaultKind: HealthKind): HealthCheck | undefined {
  const { type, port, request, response, periodS, retries } = words;
  const isSilent =
    type === "" && port === 0 && request === "" && response === "" && periodS === 0 && retries === 0;
  if (isSilent) return undefined;
  const kind = type === "" ? defaultKind : KINDS[type];
  if (kind === undefined) throw new LoxilbError("malformed-service-ptype error");
  if (port < 0 || port > 65_535) throw new LoxilbError("malformed-service-pport error");
  if (periodS < 0 || periodS > INTERVAL_MOST_S)
    throw new LoxilbError("service-args error: probe period range");
  if (retries < 0) throw new LoxilbError("service-args error: probe retries range");
  if (kind === "none") return { kind };
  if (Math.max(request.length, response.length) > HEALTH_TEXT_LENGTH_MAX - 1)
    throw new LoxilbError("malformed probe request or response: too long");
  const isHttp = kind === "http" || kind === "https";
  const isText = kind === "tcp" || kind === "udp";
  if (isHttp && /[^\x21-\x7e]/.test(request)) throw new LoxilbError("malformed probe request: no path");
  return {
    kind,
    ...(port > 0 && kind !== "ping" && { port }),
    ...(isHttp && request !== "" && { path: request.startsWith("/") ? request : `/${request}` }),
    ...(isText && request !== "" && { send: request }),
    ...((isHttp || isText) && response !== "" && { expect: response }),
    ...(periodS > 0 && { intervalMs: periodS * 1000 }),
    ...(retries > 0 && { downCount: Math.min(RETRIES_MOST, retries) }),
  };
}

/**
 * The other way round, for a rule; what is absent is the node's own default, which LoxiLB's clients show as
 * nothing.
 */
export function ruleProbeView(check: HealthCheck | undefined): Readonly<Record<string, unknown>> {
  if (check === undefined) return {};
  return {
    probetype: check.kind,
    probeport: check.port ?? 0,
    probereq: check.path ?? check.send ?? "",
    proberesp: check.expect ?? "",
    probeTimeout: check.intervalMs === undefined ? 0 : Math.max(1, Math.round(check.intervalMs / 1000)),
    probeRetries: check.downCount ?? 0,
  };
}
