// What a Service's annotations ask for: our own, and both dialects of kube-loxilb. What is misspelled, wrong
// or without effect here is said, with the nearest that there is; it never keeps a Service from being served,
// except a wrong address or pool.
import { LOXILB_PROBE, loxilbHealthCheck, OUR_HEALTH, ownHealthCheck } from "./health-check.ts";
import { LOXILB, loxilbReader } from "./loxilb-annotations.ts";
import { nearest } from "./nearest.ts";
import { OURS, WRITTEN } from "./own-annotations.ts";
import {
  ignoredNote,
  invalidNote,
  type Note,
  type PortProtocol,
  PROTOCOLS_OF,
  type Reader,
  SCTP_IDLE_S,
  type Settings,
  tcpSessionsFor,
  Wrong,
} from "./settings.ts";

export interface ReadAnnotations {
  readonly settings: Settings;
  readonly notes: readonly Note[];
  /** Addresses or pools cannot be read: nothing is assigned on a guess. */
  readonly error: string | undefined;
}

const KNOWN = [
  ...[...Object.keys(OURS), ...OUR_HEALTH, ...WRITTEN].map((name) => `holdfast.io/${name}`),
  ...[...Object.keys(LOXILB), ...LOXILB_PROBE].map((name) => `loxilb.io/${name}`),
];
/** Wrong ones of these leave it open which VIP is meant. */
const ADDRESSES = [
  "pool",
  "secondary-pools",
  "ip",
  "secondary-ips",
  "source-addresses",
  "poolSelect",
  "poolSelectSecondary",
  "secondaryIPs",
  "staticIP",
];

/** `protocols`: of the ports that it is for; none: nobody asks whether a setting is for one of them. */
export function readAnnotations(
  annotations: Readonly<Record<string, string>>,
  protocols: readonly PortProtocol[] = [],
): ReadAnnotations {
  const notes: Note[] = [];
  let error: string | undefined;
  /** By field: what it was said by. */
  const said = new Map<string, string>();
  let settings: Settings = {};
  const probe = loxilbHealthCheck(annotations, notes);
  if (probe !== undefined) {
    settings = { healthCheck: probe };
    said.set("healthCheck", "loxilb.io/probetype");
  }
  // Ours are read last: they have the last word.
  for (const [key, value] of Object.entries(annotations).sort(([a], [b]) => (a < b ? 1 : -1))) {
    const reader = readerOf(key);
    if (reader === undefined) {
      const note = unknownNote(key);
      if (note !== undefined) notes.push(note);
      continue;
    }
    try {
      const read = reader(value);
      if (typeof read === "string") notes.push(ignoredNote(key, read));
      else {
        settings = { ...settings, ...read };
        for (const field of Object.keys(read)) said.set(field, key);
      }
    } catch (wrong) {
      if (!(wrong instanceof Wrong)) throw wrong;
      const note = invalidNote(key, value, wrong.message);
      notes.push(note);
      if (ADDRESSES.includes(key.slice(key.indexOf("/") + 1))) error ??= note.message;
    }
  }
  const healthCheck = ownHealthCheck(annotations, settings.healthCheck, notes);
  if (healthCheck !== undefined) settings = { ...settings, healthCheck };
  if (protocols.length > 0) settings = forProtocols(settings, protocols, said, notes);
  return { settings, notes, error };
}

/** What is for ports that the Service does not have goes, and is told. */
function forProtocols(
  settings: Settings,
  protocols: readonly PortProtocol[],
  said: ReadonlyMap<string, string>,
  notes: Note[],
): Settings {
  const left = { ...settings } as Record<string, unknown>;
  const drop = (field: keyof Settings, why: string) => {
    delete left[field];
    notes.push(ignoredNote(said.get(field) ?? field, why));
  };
  const has = (wanted: readonly PortProtocol[]) => wanted.some((each) => protocols.includes(each));
  for (const [field, wanted] of Object.entries(PROTOCOLS_OF) as [keyof Settings, PortProtocol[]][])
    if (settings[field] !== undefined && settings[field] !== false && !has(wanted))
      drop(field, `it is for ports of ${wanted.join(" and ")}`);
  if (settings.natPort === "require" && !has(["SCTP"]))
    drop("natPort", "'require' is for ports of SCTP, others have 'keep'");
  if (settings.healthCheck?.kind === "sctp" && !has(["SCTP"]))
    drop("healthCheck", "only ports of SCTP are asked with it");
  const { selection, idleTimeoutS } = settings;
  const withSessions = left["stateless"] === true && has(["TCP"]) ? tcpSessionsFor(settings) : undefined;
  if (withSessions !== undefined)
    notes.push(ignoredNote(said.get("stateless") ?? "stateless", `of ports of TCP, as ${withSessions}`));
  if (left["stateless"] === true && has(["UDP"]) && selection !== undefined && selection !== "hash")
    notes.push(
      ignoredNote(said.get("selection") ?? "selection", "a port without sessions chooses by 'hash'"),
    );
  if (idleTimeoutS !== undefined && has(["SCTP"]) && sctpIdleOf(idleTimeoutS) !== idleTimeoutS)
    notes.push({
      reason: "AnnotationInvalid",
      message: `${said.get("idleTimeoutS")}: ports of SCTP take ${SCTP_IDLE_S.join(" to ")} seconds: they have ${sctpIdleOf(idleTimeoutS)}.`,
    });
  return left as Settings;
}

/** HEARTBEATs may be far apart: the members have bounds for SCTP alone. */
export function sctpIdleOf(seconds: number): number {
  return Math.min(SCTP_IDLE_S[1], Math.max(SCTP_IDLE_S[0], seconds));
}

function readerOf(key: string): Reader | undefined {
  const [domain, name = ""] = key.split("/");
  if (domain === "holdfast.io")
    return WRITTEN.includes(name) || OUR_HEALTH.includes(name) ? () => ({}) : own(OURS, name);
  if (domain !== "loxilb.io") return undefined;
  return LOXILB_PROBE.includes(name) ? () => ({}) : loxilbReader(name);
}

/** Names are anybody's: `constructor` is no annotation. */
function own(readers: Readonly<Record<string, Reader>>, name: string): Reader | undefined {
  return Object.hasOwn(readers, name) ? readers[name] : undefined;
}

function unknownNote(key: string): Note | undefined {
  const isOurs = /^(holdfast|loxilb)\.io\//.test(key);
  const near = nearest(key, KNOWN, isOurs ? Math.max(3, Math.floor(key.length / 4)) : 2);
  if (!isOurs && near === undefined) return undefined;
  const hint =
    near === undefined ? "see docs/kubernetes.md for those that there are" : `did you mean ${near}?`;
  return { reason: "AnnotationUnknown", message: `There is no annotation ${key}: ${hint}` };
}
