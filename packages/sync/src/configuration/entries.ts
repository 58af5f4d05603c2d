// The configuration as flat entries: one key for each thing that is edited by itself, so that two operators who change
// two endpoints of one service at two members both get what they asked for.
//
//   service/ID                  what a service is, without its endpoints
//   endpoint/ID|ADDRESS|PORT    weight, state and all addresses of one endpoint
//   drain/MEMBER                the member is drained
//   pin/VIP                     the member that the VIP is pinned to
//   note/NAME                   what a part of the daemon wants all members to know; nothing here reads it
//
// A value is JSON: {"r": revision, "v": value}; a deleted key keeps {"r": revision}, or a member that was away would
// bring it back. Of concurrent values the one that `compareEntries` puts last stays: a pure function of all of them.
import type { Address, Endpoint, Service, ServiceId } from "@holdfast/model";
import { isEndpointValue, isServiceValue } from "./validation.ts";

export interface Entry {
  /** 1 + the greatest that the writer knew of for this key. */
  readonly revision: number;
  /** undefined: deleted. */
  readonly value: unknown;
}

/** Keys, tombstones included. Beyond, the oldest tombstones go; without any, puts are refused. */
export const ENTRY_COUNT_MAX = 16_384;
export const ENTRY_BYTES_MAX = 8_192;

export const NOTE_NAME_LENGTH_MAX = 512;
/** As JSON text. */
export const NOTE_LENGTH_MAX = 4_096;

export type ServiceValue = Omit<Service, "endpoints">;
export type EndpointValue = Omit<Endpoint, "address" | "port">;

export const serviceKey = (id: ServiceId) => `service/${id}`;
export const endpointKey = (id: ServiceId, address: Address, port: number) =>
  `endpoint/${id}|${address}|${port}`;
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

export function encodeEntry({ revision, value }: Entry): string {
  return canonicalText(value === undefined ? { r: revision } : { r: revision, v: value });
}

/** The entry that a text under a key says, or undefined when it is not a valid one. Never throws. */
export function decodeEntry(key: string, text: unknown): Entry | undefined {
  if (typeof text !== "string" || text.length > ENTRY_BYTES_MAX) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return undefined;
  const { r, v } = parsed as { r?: unknown; v?: unknown };
  if (typeof r !== "number" || !Number.isSafeInteger(r) || r < 1) return undefined;
  return v === undefined || isValueOf(key, v) ? { revision: r, value: v } : undefined;
}

function isValueOf(key: string, value: unknown): boolean {
  const [kind, name = ""] = splitKey(key);
  switch (kind) {
    case "service":
      return isServiceValue(name, value);
    case "endpoint":
      return name.split("|").length === 3 && isEndpointValue(value);
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
 * Positive: `a` stays. The greater revision; then what is there before what is deleted, since a deletion that did not
 * know the edit was not meant for it; then a draining endpoint before an active one, the careful side; then the text.
 */
export function compareEntries(a: Entry, b: Entry): number {
  if (a.revision !== b.revision) return a.revision - b.revision;
  const isThere = Number(a.value !== undefined) - Number(b.value !== undefined);
  if (isThere !== 0) return isThere;
  const drains = Number(isDraining(a.value)) - Number(isDraining(b.value));
  if (drains !== 0) return drains;
  const [ours, theirs] = [encodeEntry(a), encodeEntry(b)];
  return ours < theirs ? -1 : ours > theirs ? 1 : 0;
}

function isDraining(value: unknown): boolean {
  return typeof value === "object" && value !== null && "state" in value && value.state === "drain";
}
