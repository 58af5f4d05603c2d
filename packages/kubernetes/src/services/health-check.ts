// `holdfast.io/health` and what belongs to it, and kube-loxilb's annotations for the same.
import type { HealthCheckSpec } from "@holdfast/api";
import { ignoredNote, invalidNote, type Note } from "./settings.ts";

/** Behind `holdfast.io/`: what goes with `health`. */
export const OUR_HEALTH = [
  "health-interval-ms",
  "health-timeout-ms",
  "health-down-count",
  "health-up-count",
  "health-send",
  "health-expect",
  "health-status",
];
/** Behind `loxilb.io/`: `probetype`, and what goes with it. */
export const LOXILB_PROBE = [
  "probetype",
  "probeport",
  "probereq",
  "proberesp",
  "probetimeout",
  "proberetries",
  "probe-path",
  "probe-expected-codes",
  "probe-method",
  "probe-domain",
  "probe-http-version",
];

const KINDS = ["none", "ping", "sctp", "tcp", "udp", "http", "https"] as const;
type Kind = (typeof KINDS)[number];

const FORM =
  "it takes none, ping, sctp, tcp, udp, http or https, with ':PORT' and, of HTTP, '/PATH' behind it";
const TEXT_LENGTH_MAX = 255;
const PATH = /^\/[\x21-\x7e]*$/;
const STATUS = /^([1-5]\d{2})(?:-([1-5]\d{2}))?$/;
const STATUS_COUNT_MAX = 16;

/** Which kinds have a field; the others hold for every kind that asks. The members refuse the rest. */
const KINDS_OF: Readonly<Partial<Record<keyof HealthCheckSpec, readonly Kind[]>>> = {
  port: ["sctp", "tcp", "udp", "http", "https"],
  path: ["http", "https"],
  send: ["tcp", "udp"],
  expect: ["tcp", "udp", "http", "https"],
  status: ["http", "https"],
};

/** `sctp`, `tcp:8080`, `http:8080/healthz`; a text: what is wrong. */
export function healthCheckOf(value: string): HealthCheckSpec | string {
  const [, kind, port, path] = /^([a-z]+)(?::(\d{1,5}))?(\/\S*)?$/.exec(value.trim()) ?? [];
  const isHttp = kind === "http" || kind === "https";
  if (!KINDS.some((each) => each === kind) || (path !== undefined && !isHttp)) return FORM;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return "ports are 1 to 65535";
  if (port !== undefined && KINDS_OF.port?.includes(kind as Kind) === false) return `${kind} has no port`;
  return {
    kind: kind as Kind,
    ...(port !== undefined && { port: Number(port) }),
    ...(path !== undefined && { path }),
  };
}

/** 200, `200-299`, or a list of them; a text: what is wrong. In the one form that members answer with. */
function statusOf(text: string): HealthCheckSpec["status"] | { readonly wrong: string } {
  const wrong = { wrong: "it takes statuses from 100 to 599, or ranges such as 200-299" };
  const parts = text.split(",").map((part) => STATUS.exec(part.trim()));
  if (parts.length > STATUS_COUNT_MAX) return wrong;
  const ranges: [number, number][] = [];
  for (const part of parts) {
    const [least, most] = [Number(part?.[1]), Number(part?.[2] ?? part?.[1])];
    if (part === null || least > most) return wrong;
    ranges.push([least, most]);
  }
  const joined: [number, number][] = [];
  for (const [least, most] of ranges.sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last !== undefined && least <= last[1] + 1) last[1] = Math.max(last[1], most);
    else joined.push([least, most]);
  }
  const list = joined.map(([least, most]) => (least === most ? least : `${least}-${most}`));
  // Below 400 is what is meant when nothing is said.
  if (list.length === 1 && list[0] === "100-399") return undefined;
  return list.length === 1 ? list[0] : list;
}

type Annotations = Readonly<Record<string, string>>;

/** Reads further fields of one check, and notes what it leaves out. */
class Fields {
  readonly #annotations: Annotations;
  readonly #domain: string;
  readonly #notes: Note[];
  readonly #check: Record<string, unknown> & { readonly kind: Kind };

  constructor(annotations: Annotations, domain: string, check: HealthCheckSpec, notes: Note[]) {
    this.#annotations = annotations;
    this.#domain = domain;
    this.#notes = notes;
    this.#check = { ...check, kind: check.kind as Kind };
  }

  get check(): HealthCheckSpec {
    return this.#check as HealthCheckSpec;
  }

  word(name: string): string | undefined {
    const text = this.#annotations[`${this.#domain}/${name}`]?.trim();
    return text === "" ? undefined : text;
  }

  number(
    name: string,
    field: "port" | "intervalMs" | "timeoutMs" | "downCount" | "upCount",
    least: number,
    most: number,
    scale = 1,
  ): void {
    const text = this.word(name);
    if (text === undefined) return;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) this.#set(name, field, value * scale);
    else this.#wrong(name, `it takes a number from ${least} to ${most}`);
  }

  text(name: string, field: "send" | "expect" | "path"): void {
    const text = this.word(name);
    if (text === undefined) return;
    const path = field === "path" && !text.startsWith("/") ? `/${text}` : text;
    if (text.length > TEXT_LENGTH_MAX) this.#wrong(name, `it takes at most ${TEXT_LENGTH_MAX} characters`);
    else if (field === "path" && !PATH.test(path)) this.#wrong(name, "a path has no spaces");
    else this.#set(name, field, path);
  }

  status(name: string): void {
    const text = this.word(name);
    if (text === undefined) return;
    const status = statusOf(text);
    if (typeof status === "object" && "wrong" in status) this.#wrong(name, status.wrong);
    else if (status !== undefined) this.#set(name, "status", status);
  }

  ignored(name: string, why: string): void {
    this.#notes.push(ignoredNote(`${this.#domain}/${name}`, why));
  }

  #wrong(name: string, why: string): void {
    const key = `${this.#domain}/${name}`;
    this.#notes.push(invalidNote(key, this.#annotations[key], why));
  }

  #set(name: string, field: Exclude<keyof HealthCheckSpec, "kind">, value: unknown): void {
    const { kind } = this.#check;
    const isMeant = kind !== "none" && (KINDS_OF[field]?.includes(kind) ?? true);
    if (isMeant) this.#check[field] = value;
    else this.ignored(name, `checks of kind ${kind} have none`);
  }
}

/** What belongs to `holdfast.io/health`, which was read already. */
export function ownHealthCheck(
  annotations: Annotations,
  check: HealthCheckSpec | undefined,
  notes: Note[],
): HealthCheckSpec | undefined {
  const fields = new Fields(annotations, "holdfast.io", check ?? { kind: "none" }, notes);
  if (check === undefined || annotations["holdfast.io/health"] === undefined) {
    for (const name of OUR_HEALTH)
      if (fields.word(name) !== undefined) fields.ignored(name, "it goes with holdfast.io/health");
    return check;
  }
  fields.number("health-interval-ms", "intervalMs", 100, 86_400_000);
  fields.number("health-timeout-ms", "timeoutMs", 50, 60_000);
  fields.number("health-down-count", "downCount", 1, 100);
  fields.number("health-up-count", "upCount", 1, 100);
  fields.text("health-send", "send");
  fields.text("health-expect", "expect");
  fields.status("health-status");
  const { timeoutMs, ...rest } = fields.check;
  if (timeoutMs === undefined || timeoutMs < (rest.intervalMs ?? Number.POSITIVE_INFINITY))
    return fields.check;
  fields.ignored("health-timeout-ms", "it has to be less than the interval");
  return rest as HealthCheckSpec;
}

/** undefined: they ask for nothing. */
export function loxilbHealthCheck(annotations: Annotations, notes: Note[]): HealthCheckSpec | undefined {
  const none = new Fields(annotations, "loxilb.io", { kind: "none" }, notes);
  const type = none.word("probetype");
  const check = type === undefined ? undefined : healthCheckOf(type);
  if (check === undefined || typeof check === "string") {
    if (check !== undefined) notes.push(invalidNote("loxilb.io/probetype", type, check));
    for (const name of LOXILB_PROBE)
      if (name !== "probetype" && none.word(name) !== undefined)
        none.ignored(name, "it goes with a loxilb.io/probetype");
    return undefined;
  }
  const fields = new Fields(annotations, "loxilb.io", check, notes);
  // LoxiLB's own defaults are written as 0.
  if (fields.word("probeport") !== "0") fields.number("probeport", "port", 1, 65_535);
  if (fields.word("probetimeout") !== "0") fields.number("probetimeout", "intervalMs", 1, 86_400, 1000);
  if (fields.word("proberetries") !== "0") fields.number("proberetries", "downCount", 1, 100);
  const isHttp = check.kind === "http" || check.kind === "https";
  fields.text("probereq", isHttp ? "path" : "send");
  fields.text("probe-path", "path");
  fields.status("probe-expected-codes");
  if (fields.word("probe-expected-codes") === undefined) fields.text("proberesp", "expect");
  else if (fields.word("proberesp") !== undefined)
    fields.ignored("proberesp", "the status decides, by loxilb.io/probe-expected-codes");
  if ((fields.word("probe-method") ?? "GET").toUpperCase() !== "GET")
    fields.ignored("probe-method", "checks ask with GET");
  for (const name of ["probe-domain", "probe-http-version"])
    if (fields.word(name) !== undefined) fields.ignored(name, "endpoints are asked by their addresses");
  return fields.check;
}
