// A port of a Service as the members' service, and whether they have it so.
import { isDeepStrictEqual } from "node:util";
import { type ServiceInput, ServiceSpecSchema, type ServiceView } from "@holdfast/api";
import type { ServicePort } from "../objects.ts";
import type { Settings } from "./annotations.ts";
import type { WantedEndpoint } from "./endpoints.ts";

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
];

/** What a port of TCP or UDP has no use for is left out, and its idle time has a field of its own. */
function saidOf({ settings, isSticky, allowedSources, port }: PortDemand): Record<string, unknown> {
  const { idleTimeoutS, natPort } = settings;
  const said = {
    selection: settings.selection ?? (isSticky ? "persist" : undefined),
    clientPrefixes: settings.clientPrefixes,
    allowedSources: [...allowedSources],
    withdrawWhenDown: settings.withdrawWhenDown,
  };
  const protocol = protocolOf(port);
  if (protocol === "SCTP")
    return {
      ...said,
      idleTimeoutS,
      natPort,
      endpointsMayBegin: settings.endpointsMayBegin,
      peers: settings.peers,
    };
  const idle = protocol === "TCP" ? { establishedS: idleTimeoutS } : { flowS: idleTimeoutS };
  return {
    ...said,
    natPort: natPort === "require" ? "keep" : natPort,
    ...(idleTimeoutS !== undefined && { idle }),
  };
}

/** Whole: what the Service does not say is the default, so that an annotation that goes takes its effect along. */
export function memberServiceOf(demand: PortDemand, before: ServiceView | undefined): ServiceInput {
  const { cluster, key, port, vips, settings, endpoints } = demand;
  const graceS = settings.drainS ?? demand.graceS ?? before?.endpointRemoval?.graceS;
  const { idle, ...said } = saidOf(demand) as { idle?: ServiceInput["idle"] } & Record<string, unknown>;
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
    ...(idle !== undefined && { idle }),
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
    idle: service.idle,
    healthCheck: service.healthCheck,
    graceS: service.endpointRemoval?.graceS ?? view.endpointRemoval?.graceS,
    endpoints: (service.endpoints ?? [])
      .map(
        ({ address, addresses, port, state, weight }) =>
          `${(addresses ?? [address]).join()}|${port}|${state ?? "active"}${isWeighed ? `|${weight}` : ""}`,
      )
      .sort(),
    ...Object.fromEntries(DEFAULTED.map((field) => [field, service[field as keyof typeof service]])),
  });
  return isDeepStrictEqual(withoutUndefined(plain(view)), withoutUndefined(plain(wanted)));
}

function withoutUndefined(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
