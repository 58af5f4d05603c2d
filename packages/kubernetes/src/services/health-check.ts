// `holdfast.io/health`, and kube-loxilb's six annotations for the same.
import type { HealthCheckSpec } from "@holdfast/api";

const KINDS = ["none", "ping", "sctp", "tcp", "udp", "http", "https"] as const;
type Kind = (typeof KINDS)[number];

const FORM =
  "it takes none, ping, sctp, tcp, udp, http or https, with ':PORT' and, of HTTP, '/PATH' behind it";

/** `sctp`, `tcp:8080`, `http:8080/healthz`; a text: what is wrong. */
export function healthCheckOf(value: string): HealthCheckSpec | string {
  const [, kind, port, path] = /^([a-z]+)(?::(\d{1,5}))?(\/\S*)?$/.exec(value.trim()) ?? [];
  const isHttp = kind === "http" || kind === "https";
  if (!KINDS.some((each) => each === kind) || (path !== undefined && !isHttp)) return FORM;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return "ports are 1 to 65535";
  return {
    kind: kind as Kind,
    ...(port !== undefined && { port: Number(port) }),
    ...(path !== undefined && { path }),
  };
}

/** undefined: they ask for nothing. */
export function loxilbHealthCheck(
  annotations: Readonly<Record<string, string>>,
  tell: (message: string) => void,
): HealthCheckSpec | undefined {
  const word = (name: string) => annotations[`loxilb.io/${name}`]?.trim();
  const type = word("probetype");
  if (type === undefined || type === "") return undefined;
  const check = healthCheckOf(type);
  if (typeof check === "string") {
    tell(`loxilb.io/probetype: '${type}' is not understood: ${check}.`);
    return undefined;
  }
  const number = (name: string, most: number): number | undefined => {
    const text = word(name);
    if (text === undefined || text === "0") return undefined;
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    tell(`loxilb.io/${name}: '${text}' is not understood: it takes a number up to ${most}.`);
    return undefined;
  };
  const port = number("probeport", 65_535);
  const intervalS = number("probetimeout", 86_400);
  const downCount = number("proberetries", 100);
  const isHttp = check.kind === "http" || check.kind === "https";
  const request = word("probereq") ?? "";
  const response = word("proberesp") ?? "";
  return {
    ...check,
    ...(port !== undefined && { port }),
    ...(intervalS !== undefined && { intervalMs: intervalS * 1000 }),
    ...(downCount !== undefined && { downCount }),
    ...(request !== "" &&
      (isHttp ? { path: request.startsWith("/") ? request : `/${request}` } : { send: request })),
    ...(response !== "" && { expect: response }),
  };
}
