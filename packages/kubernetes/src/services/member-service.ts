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
  readonly isSticky: boolean;
  readonly endpoints: readonly WantedEndpoint[];
  /** Of pods that are going, seconds; undefined: nothing is known, what is there stays. */
  readonly graceS: number | undefined;
}

/** What marks a member's service as ours. */
export function nameOf(cluster: string, key: string, port: number): string {
  return `${cluster}/${key}/${port}`;
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
  "withdrawWhenDown",
  "natPort",
  "endpointsMayBegin",
  "peers",
];

/** Whole: what the Service does not say is the default, so that an annotation that goes takes its effect along. */
export function memberServiceOf(demand: PortDemand, before: ServiceView | undefined): ServiceInput {
  const { cluster, key, port, vips, settings, isSticky, endpoints } = demand;
  const graceS = settings.drainS ?? demand.graceS ?? before?.endpointRemoval?.graceS;
  const said: Record<string, unknown> = {
    selection: settings.selection ?? (isSticky ? "persist" : undefined),
    idleTimeoutS: settings.idleTimeoutS,
    clientPrefixes: settings.clientPrefixes,
    withdrawWhenDown: settings.withdrawWhenDown,
    natPort: settings.natPort,
    endpointsMayBegin: settings.endpointsMayBegin,
    peers: settings.peers,
  };
  const fields = Object.fromEntries(
    DEFAULTED.map((field) => [
      field,
      said[field] ?? (ServiceSpecSchema.properties[field] as { default?: unknown }).default,
    ]),
  );
  return {
    ...fields,
    name: nameOf(cluster, key, port.port),
    protocol: (port.protocol ?? "TCP").toLowerCase() as "sctp",
    vips: [...vips],
    port: port.port,
    endpoints: endpoints.map(({ addresses, port: target, state }) => ({
      ...(addresses.length === 1 ? { address: addresses[0] as string } : { addresses: [...addresses] }),
      port: target,
      state,
    })),
    ...(settings.healthCheck !== undefined && { healthCheck: settings.healthCheck }),
    endpointRemoval: { mode: "drain", ...(graceS !== undefined && { graceS }) },
  };
}

/** The members have it as it is wanted. */
export function isAsWanted(view: ServiceView, wanted: ServiceInput): boolean {
  if (view.removal !== undefined) return false;
  const plain = (service: ServiceView | ServiceInput) => ({
    name: service.name,
    port: service.port,
    vips: [...service.vips].sort(),
    healthCheck: service.healthCheck,
    graceS: service.endpointRemoval?.graceS ?? view.endpointRemoval?.graceS,
    endpoints: (service.endpoints ?? [])
      .map(
        ({ address, addresses, port, state }) =>
          `${(addresses ?? [address]).join()}|${port}|${state ?? "active"}`,
      )
      .sort(),
    ...Object.fromEntries(DEFAULTED.map((field) => [field, service[field as keyof typeof service]])),
  });
  return isDeepStrictEqual(withoutUndefined(plain(view)), withoutUndefined(plain(wanted)));
}

function withoutUndefined(value: object): unknown {
  return JSON.parse(JSON.stringify(value));
}
