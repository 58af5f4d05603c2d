// A port of a Service as the members' service, and whether they have it so.
import { isDeepStrictEqual } from "node:util";
import { PLAIN_DEFAULTS, type ServiceInput, ServiceSpecSchema, type ServiceView } from "@holdfast/api";
import type { ServicePort } from "../objects.ts";
import { sctpIdleOf } from "./annotations.ts";
import type { WantedEndpoint } from "./endpoints.ts";
import { type Settings, tcpSessionsFor } from "./settings.ts";

export interface PortDemand {
  readonly cluster: string;
  /** NAMESPACE/NAME */
  readonly key: string;
  readonly port: ServicePort;
  readonly vips: readonly string[];
  readonly settings: Settings;
  /** Empty: from anywhere. */
  readonly allowedSources: readonly string[];
  readonly isSticky: boolean;
  readonly endpoints: readonly WantedEndpoint[];
  /** Of pods that are going, seconds; undefined: nothing is known, what is there stays. */
  readonly graceS: number | undefined;
}

/** What marks a member's service as ours. */
export function nameOf(cluster: string, key: string, { port, protocol }: ServicePort): string {
  return `${cluster}/${key}/${port}${protocol === "SCTP" ? "" : `-${protocolOf({ protocol }).toLowerCase()}`}`;
}

export function protocolOf({
  protocol = "TCP",
}: {
  readonly protocol?: ServicePort["protocol"] | undefined;
}) {
  return protocol;
}

/** NAMESPACE/NAME of a member's service that is ours. */
export function keyOfName(cluster: string, name: string): string | undefined {
  const parts = name.split("/");
  return parts.length === 4 && parts[0] === cluster ? `${parts[1]}/${parts[2]}` : undefined;
}

/** As the members name it: protocol, primary and port. */
export function idOf(vip: string, { port, protocol = "TCP" }: ServicePort): string {
  return `${protocol.toLowerCase()}/${vip.includes(":") ? `[${vip}]` : vip}:${port}`;
}

type Field = keyof typeof ServiceSpecSchema.properties;
const DEFAULTED: readonly Field[] = [
  "selection",
  "idleTimeoutS",
  "clientPrefixes",
  "allowedSources",
  "withdrawWhenDown",
  "natPort",
  "endpointsMayBegin",
  "peers",
  "restartNewAddresses",
];
/** Left out where nothing is said. */
const OPTIONAL = [
  "idle",
  "proxyProtocol",
  "stateless",
  "sourceAddresses",
  "replicate",
  "replicateAfterMs",
  "announce",
] as const satisfies readonly Field[];

/** What a port's own protocol has no use for is left out. */
function saidOf({ settings, isSticky, allowedSources, port }: PortDemand): Partial<Record<Field, unknown>> {
  const protocol = protocolOf(port);
  const selection = settings.selection ?? (isSticky ? "persist" : undefined);
  const said = {
    selection,
    allowedSources: [...allowedSources],
    withdrawWhenDown: settings.withdrawWhenDown,
    announce: settings.announce,
  };
  if (protocol === "SCTP")
    return {
      ...said,
      idleTimeoutS: settings.idleTimeoutS && sctpIdleOf(settings.idleTimeoutS),
      natPort: settings.natPort,
      clientPrefixes: settings.clientPrefixes,
      endpointsMayBegin: settings.endpointsMayBegin,
      peers: settings.peers,
      restartNewAddresses: settings.restartNewAddresses,
    };
  return { ...said, ...plainOf({ ...settings, ...(selection !== undefined && { selection }) }, protocol) };
}

function plainOf(settings: Settings, protocol: "TCP" | "UDP"): Partial<Record<Field, unknown>> {
  // Of UDP nothing of a client is remembered: neither its endpoint, nor anything that others could know.
  const isStateless = protocol === "UDP" && settings.stateless === true;
  const begins = protocol === "TCP" && settings.stateless === true && tcpSessionsFor(settings) === undefined;
  const { natPort, replicate, replicateAfterMs, sourceAddresses = [] } = settings;
  return {
    natPort: natPort === "require" ? "keep" : natPort,
    idle: idleOf(settings, protocol),
    ...(sourceAddresses.length > 0 && { sourceAddresses: [...sourceAddresses] }),
    ...(protocol === "TCP" && settings.proxyProtocol === true && { proxyProtocol: true }),
    replicate: (isStateless ? undefined : replicate) ?? PLAIN_DEFAULTS.replicate,
    replicateAfterMs: (isStateless ? undefined : replicateAfterMs) ?? PLAIN_DEFAULTS.replicateAfterMs,
    ...(isStateless && { stateless: true, selection: "hash" }),
    ...(begins && { stateless: true }),
  };
}

/** Members answer with all of it, also where nothing was said. */
function idleOf({ idleTimeoutS, transitoryS, oneShotS }: Settings, protocol: "TCP" | "UDP") {
  const usual = PLAIN_DEFAULTS.idle;
  return protocol === "TCP"
    ? {
        establishedS: idleTimeoutS ?? usual.establishedS,
        transitoryS: transitoryS ?? usual.transitoryS,
      }
    : { flowS: idleTimeoutS ?? usual.flowS, oneShotS: oneShotS ?? usual.oneShotS };
}

/** Whole: what the Service does not say is the default: an annotation that goes takes its effect along. */
export function memberServiceOf(demand: PortDemand, before: ServiceView | undefined): ServiceInput {
  const { cluster, key, port, vips, settings, endpoints } = demand;
  const graceS = settings.drainS ?? demand.graceS ?? before?.endpointRemoval?.graceS;
  const said = saidOf(demand);
  const isAsked =
    settings.healthCheck !== undefined &&
    (protocolOf(port) === "SCTP" || settings.healthCheck.kind !== "sctp");
  const fields = Object.fromEntries(
    DEFAULTED.map((field) => [
      field,
      said[field] ?? (ServiceSpecSchema.properties[field] as { default?: unknown }).default,
    ]),
  );
  return {
    ...fields,
    ...Object.fromEntries(OPTIONAL.flatMap((name) => (said[name] === undefined ? [] : [[name, said[name]]]))),
    name: nameOf(cluster, key, port),
    protocol: protocolOf(port).toLowerCase() as "sctp",
    vips: [...vips],
    port: port.port,
    endpoints: endpoints.map(({ addresses, port: target, state, weight }) => ({
      ...(weight !== undefined && { weight }),
      ...(addresses.length === 1 ? { address: addresses[0] as string } : { addresses: [...addresses] }),
      port: target,
      state,
    })),
    ...(isAsked && { healthCheck: settings.healthCheck }),
    endpointRemoval: { mode: "drain", ...(graceS !== undefined && { graceS }) },
  };
}

/** The members have it as it is wanted. */
export function isAsWanted(view: ServiceView, wanted: ServiceInput): boolean {
  if (view.removal !== undefined) return false;
  const isWeighed = (wanted.endpoints ?? []).some(({ weight }) => weight !== undefined);
  const plain = (service: ServiceView | ServiceInput) => ({
    name: service.name,
    port: service.port,
    vips: [...service.vips].sort(),
    protocol: service.protocol,
    healthCheck: service.healthCheck,
    graceS: service.endpointRemoval?.graceS ?? view.endpointRemoval?.graceS,
    endpoints: (service.endpoints ?? [])
      .map(
        ({ address, addresses, port, state, weight }) =>
          `${(addresses ?? [address]).join()}|${port}|${state ?? "active"}${isWeighed ? `|${weight}` : ""}`,
      )
      .sort(),
    ...Object.fromEntries(OPTIONAL.map((field) => [field, saysSomething(service[field])])),
    ...Object.fromEntries(DEFAULTED.map((field) => [field, service[field as keyof typeof service]])),
  });
  return isDeepStrictEqual(withoutUndefined(plain(view)), withoutUndefined(plain(wanted)));
}

/** Members answer with what nobody said, too. */
function saysSomething(value: unknown): unknown {
  return value === false || (Array.isArray(value) && value.length === 0) ? undefined : value;
}

function withoutUndefined(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
