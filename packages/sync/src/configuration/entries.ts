// The configuration as flat entries: one key for each thing that is edited by itself, so that two operators
// who change two endpoints of one service at two members both get what they asked for.
//
//   service/ID                  what a service is, without its endpoints
//   endpoint/ID|ADDRESS|PORT    weight, state and all addresses of one endpoint, and whether it is leaving
//   file/MEMBER|ID              what the member's file said of the service last; without an ID: it had a file
//   at all
//   drain/MEMBER                the member is drained
//   pin/VIP                     the member that the VIP is pinned to
//   note/NAME                   what a part of the daemon wants all members to know; nothing here reads it
//
// A key of another kind, a value that needs what this build does not have, and further fields of an entry are
// a later version's: within the limits below they are kept as they are, joined like the others, and mean
// nothing here.
//
// A value is JSON: {"r": revision, "t": transaction, "v": value}; a deleted key keeps {"r": revision}, or a
// member that was away would bring it back. "n": name of the capability (messages/capabilities.ts) that a
// reader of the value needs. Of concurrent values the one that `compareEntries` puts last stays: a pure
// function of all of them.
import {
  type Address,
  type Endpoint,
  type MemberName,
  protocolOfId,
  type Removal,
  type Service,
  type ServiceId,
} from "@holdfast/model";
import { CAPABILITIES, capabilitiesOf, isCapability } from "../messages/capabilities.ts";
import { isEndpointValue, isFileImage, isServiceValue } from "./validation.ts";

export interface Entry {
  /**
   * 1 + the greatest that the writer knew of for this key; 0: said by one that knew nothing of the cluster
   * yet.
   */
  readonly revision: number;
  /** The same for all entries of one change, so that of two concurrent ones the same stays everywhere. */
  readonly transaction?: string;
  /** undefined: deleted. */
  readonly value: unknown;
  /** The capability without which the value cannot be read. */
  readonly needs?: string;
  /** Further fields, of later versions. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

/** Keys, tombstones included. Beyond, the oldest tombstones go; without any, puts are refused. */
export const ENTRY_COUNT_MAX = 32_768;
/**
 * Of all keys and values: a thousand services with two endpoints in the files of three members. With it a new
 * epoch's first change, and everything in one message, stay below what a peer takes.
 */
export const CONFIGURATION_BYTES_MAX = 1.25 * 1024 * 1024;
export const ENTRY_BYTES_MAX = 16_384;
/** Of all that is kept without being understood: keys, and their texts together. */
export const CARRIED_KEY_COUNT_MAX = 8_192;
export const CARRIED_BYTES_MAX = CONFIGURATION_BYTES_MAX / 2;
const KEY_LENGTH_MAX = 1_024;
const DEPTH_MAX = 16;
const TRANSACTION_PATTERN = /^[0-9a-f]{8}$/;

export const NOTE_NAME_LENGTH_MAX = 512;
/** As JSON text. */
export const NOTE_LENGTH_MAX = 4_096;

export type ServiceValue = Omit<Service, "endpoints" | "leaving">;
export type EndpointValue = Omit<Endpoint, "address" | "port"> & { readonly leaving?: Removal };

export const serviceKey = (id: ServiceId) => `service/${id}`;
export const endpointKey = (id: ServiceId, address: Address, port: number) =>
  `endpoint/${id}|${address}|${port}`;
export const fileKey = (member: MemberName, id: ServiceId | "") => `file/${member}|${id}`;
export const drainKey = (member: string) => `drain/${member}`;
export const noteKey = (name: string) => `note/${name}`;
export const pinKey = (vip: Address) => `pin/${vip}`;

/** JSON with sorted keys: equal values have equal text. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([name, field]) => `${JSON.stringify(name)}:${canonicalText(field)}`);
    return `{${fields.join(",")}}`;
  }
  return JSON.stringify(value);
}

export function encodeEntry({ revision, transaction, value, needs, rest }: Entry): string {
  return canonicalText({ ...rest, r: revision, t: transaction, v: value, n: needs });
}

/** Of the first version, and all that this one knows. */
const FIRST_KINDS: readonly string[] = ["service", "endpoint", "file", "drain", "note", "pin"];
const KINDS: readonly string[] = [...FIRST_KINDS];

/** What is written beside a value: what its reader must be able to read; what later versions said. */
export function besides(
  key: string,
  value: unknown,
  known: Pick<Entry, "rest"> | undefined,
): Pick<Entry, "needs" | "rest"> {
  return { ...neededBy(key, value), ...(known?.rest !== undefined && { rest: known.rest }) };
}

function neededBy(key: string, value: unknown): Pick<Entry, "needs"> {
  const [kind, name] = splitKey(key);
  if (value === undefined || (kind !== "service" && kind !== "endpoint")) return {};
  const protocol = protocolOfId(name);
  // Who knows the last one knows the others.
  const said: Partial<Service> = kind === "service" ? (value as Service) : { endpoints: [value as Endpoint] };
  const service = { ...said, ...(protocol !== undefined && { protocol }) };
  const needs = capabilitiesOf(service).at(-1);
  return needs === undefined ? {} : { needs };
}

export function isFirstKind(key: string): boolean {
  return FIRST_KINDS.includes(splitKey(key)[0]);
}

/** Whether this build knows what the entry means; what it does not is kept and handed on. */
export function isUnderstood(key: string, { needs }: Pick<Entry, "needs">): boolean {
  const [kind] = splitKey(key);
  return KINDS.includes(kind) && (needs === undefined || CAPABILITIES.includes(needs));
}

/** The entry that a text under a key says, or undefined when it is not a valid one. Never throws. */
export function decodeEntry(key: string, text: unknown): Entry | undefined {
  if (typeof text !== "string" || text.length > ENTRY_BYTES_MAX) return undefined;
  if (key.length > KEY_LENGTH_MAX || isTooDeep(text)) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
  const { r, t, v, n, ...rest } = parsed as Record<string, unknown>;
  if (n !== undefined && !isCapability(n)) return undefined;
  const entry: Pick<Entry, "needs" | "rest"> = {
    ...(n !== undefined && { needs: n }),
    ...(Object.keys(rest).length > 0 && { rest }),
  };
  const isKnown = isUnderstood(key, entry);
  const least = isKnown && !isOfFiles(key) ? 1 : 0;
  if (typeof r !== "number" || !Number.isSafeInteger(r) || r < least) return undefined;
  if (t !== undefined && (typeof t !== "string" || !TRANSACTION_PATTERN.test(t))) return undefined;
  if (v !== undefined && (isKnown ? !isValueOf(key, v) : splitKey(key)[0] === "")) return undefined;
  return { revision: r, ...(t !== undefined && { transaction: t }), value: v, ...entry };
}

/** Brackets within brackets: reading and writing what was nested without end would exhaust the stack. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let isText = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (isText) {
      if (char === "\\") i++;
      else if (char === '"') isText = false;
    } else if (char === '"') isText = true;
    else if (char === "{" || char === "[") {
      if (++depth > DEPTH_MAX) return true;
    } else if (char === "}" || char === "]") depth--;
  }
  return false;
}

/** What the first word of a file may speak of. */
function isOfFiles(key: string): boolean {
  return ["service", "endpoint", "file"].includes(splitKey(key)[0]);
}

function isValueOf(key: string, value: unknown): boolean {
  const [kind, name = ""] = splitKey(key);
  switch (kind) {
    case "service":
      return isServiceValue(name, value);
    case "endpoint":
      return name.split("|").length === 3 && isEndpointValue(value);
    case "file":
      return name.endsWith("|") ? value === true : isFileImage(value);
    case "drain":
      return value === true;
    case "note":
      return isNote(name, value);
    case "pin":
      return typeof value === "string" && value.length > 0 && value.length <= 63;
    default:
      return false;
  }
}

export function isNote(name: string, value: unknown): boolean {
  return (
    name.length > 0 &&
    name.length <= NOTE_NAME_LENGTH_MAX &&
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    canonicalText(value).length <= NOTE_LENGTH_MAX
  );
}

export function splitKey(key: string): [kind: string, name: string] {
  const slash = key.indexOf("/");
  return slash < 0 ? ["", key] : [key.slice(0, slash), key.slice(slash + 1)];
}

/**
 * Positive: `a` stays. The greater revision; then what is there before what is deleted or leaving, since a
 * removal that did not know the edit was not meant for it; then a draining endpoint before an active one, the
 * careful side; then the transaction; then the text.
 */
export function compareEntries(a: Entry, b: Entry): number {
  if (a.revision !== b.revision) return a.revision - b.revision;
  const stays = presence(a.value) - presence(b.value);
  if (stays !== 0) return stays;
  const drains = Number(isDraining(a.value)) - Number(isDraining(b.value));
  if (drains !== 0) return drains;
  const [ours, theirs] = [a.transaction ?? "", b.transaction ?? ""];
  if (ours !== theirs) return ours < theirs ? -1 : 1;
  const [text, other] = [encodeEntry(a), encodeEntry(b)];
  return text < other ? -1 : text > other ? 1 : 0;
}

/** Deleted, leaving, or there to stay. */
function presence(value: unknown): number {
  if (value === undefined) return 0;
  const isLeaving = typeof value === "object" && value !== null && ("leaving" in value || "removal" in value);
  return isLeaving ? 1 : 2;
}

function isDraining(value: unknown): boolean {
  return typeof value === "object" && value !== null && "state" in value && value.state === "drain";
}
