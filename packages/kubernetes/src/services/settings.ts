// What a Service asks for beside its spec, whatever dialect it was said in, and how the words of annotations
// are read.
import type { ServiceAnnounceSpec, ServiceInput } from "@holdfast/api";
import type { ServicePort } from "../objects.ts";
import { canonical, canonicalPrefix } from "../pools/address.ts";

export type PortProtocol = NonNullable<ServicePort["protocol"]>;

export interface Settings {
  readonly pool?: string;
  readonly secondaryPools?: readonly string[];
  /** kube-loxilb's older dialect: so many, from the pools in their ranks. */
  readonly secondaryCount?: number;
  readonly primaryIp?: string;
  readonly secondaryIps?: readonly string[];
  readonly sharingKey?: string;
  readonly family?: 4 | 6;
  readonly selection?: NonNullable<ServiceInput["selection"]>;
  readonly healthCheck?: ServiceInput["healthCheck"];
  readonly natPort?: ServiceInput["natPort"];
  /** Without a packet: of SCTP an association, of TCP an open connection, of UDP a flow. */
  readonly idleTimeoutS?: number;
  /** TCP: a connection that opens or closes. */
  readonly transitoryS?: number;
  /** UDP: a question and its answer. */
  readonly oneShotS?: number;
  readonly drainS?: number;
  readonly clientPrefixes?: readonly string[];
  readonly withdrawWhenDown?: boolean;
  readonly announce?: ServiceAnnounceSpec;
  readonly endpointsMayBegin?: boolean;
  readonly peers?: readonly string[];
  readonly restartNewAddresses?: NonNullable<ServiceInput["restartNewAddresses"]>;
  readonly proxyProtocol?: boolean;
  readonly stateless?: boolean;
  readonly sourceAddresses?: readonly string[];
  readonly replicate?: NonNullable<ServiceInput["replicate"]>;
  readonly replicateAfterMs?: number;
  /** Networks of a pod whose addresses are one endpoint; `pod` is its own. */
  readonly networks?: readonly string[];
  /** Endpoints elsewhere are used when these zones have none. */
  readonly zones?: readonly string[];
}

/** For an event. */
export interface Note {
  readonly reason: "AnnotationUnknown" | "AnnotationInvalid" | "AnnotationIgnored";
  readonly message: string;
}

/** Not wrong, and without effect. */
export function ignoredNote(key: string, why: string): Note {
  return { reason: "AnnotationIgnored", message: `${key} has no effect: ${why}.` };
}

export function invalidNote(key: string, value: string | undefined, why: string): Note {
  return { reason: "AnnotationInvalid", message: `${key}: '${value}' is not understood: ${why}.` };
}

/** A value that is not understood; its text says what is expected. */
export class Wrong extends Error {}

/** A value's part of the settings; a text: not wrong, and without effect here, and why. Throws Wrong. */
export type Reader = (value: string) => Partial<Settings> | string;

export const SECONDARY_COUNT_MAX = 3;
/** The members' own bounds: of SCTP (api: idleTimeoutS), of TCP and UDP (api: idle). */
export const SCTP_IDLE_S = [210, 86_400] as const;
export const PLAIN_IDLE_S = [1, 604_800] as const;

/** Whose ports a setting is for; of those that are not here: all. */
export const PROTOCOLS_OF: Readonly<Partial<Record<keyof Settings, readonly PortProtocol[]>>> = {
  clientPrefixes: ["SCTP"],
  endpointsMayBegin: ["SCTP"],
  peers: ["SCTP"],
  restartNewAddresses: ["SCTP"],
  proxyProtocol: ["TCP"],
  transitoryS: ["TCP"],
  stateless: ["TCP", "UDP"],
  oneShotS: ["UDP"],
  sourceAddresses: ["TCP", "UDP"],
  replicate: ["TCP", "UDP"],
  replicateAfterMs: ["TCP", "UDP"],
};

/** Why ports of TCP cannot be `stateless` beside that; undefined: they can. */
export function tcpSessionsFor({ selection, proxyProtocol, replicate }: Settings): string | undefined {
  if (selection === "hash" || selection === "persist") return `selection is '${selection}'`;
  if (proxyProtocol === true) return "they send the header of proxy-protocol";
  return replicate === "always" ? "replicate is 'always'" : undefined;
}

export const words = (value: string) =>
  value
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

export function oneOf<T extends string>(value: string, names: readonly T[]): T {
  const found = names.find((name) => name.toLowerCase() === value.trim().toLowerCase());
  if (found !== undefined) return found;
  throw new Wrong(`it takes one of ${names.join(", ")}`);
}

export function integer(value: string, least: number, most: number): number {
  const number = /^\d{1,9}$/.test(value.trim()) ? Number(value) : -1;
  if (number < least || number > most) throw new Wrong(`it takes a number from ${least} to ${most}`);
  return number;
}

export function yes(value: string): boolean {
  return ["yes", "true"].includes(oneOf(value, ["yes", "no", "true", "false"]));
}

export function addresses(value: string): string[] {
  const list = words(value).map((part) => canonical(part) ?? part);
  const wrong = list.find((part) => canonical(part) === undefined);
  if (wrong !== undefined) throw new Wrong(`'${wrong}' is no address`);
  return list;
}

export function atMost<T>(list: readonly T[], most: number, what: string): readonly T[] {
  if (list.length > most) throw new Wrong(`a Service has at most ${most} ${what}`);
  return list;
}

export function prefixes(value: string): string[] {
  const list = words(value);
  const wrong = list.find((part) => !part.includes("/") || canonicalPrefix(part) === undefined);
  if (wrong !== undefined) throw new Wrong(`'${wrong}' is no prefix`);
  return list;
}
