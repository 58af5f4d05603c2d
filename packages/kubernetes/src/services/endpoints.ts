// Endpoints of one port of a Service: its pods, from EndpointSlices. A node's port is never used: the NAT behind it does not know
// multi-homing.

import type { EndpointSlice, Pod, ServicePort, SliceEndpoint } from "../objects.ts";
import { addressNumber, canonical, familyOf } from "../pools/address.ts";

/** The members' bound. */
export const ENDPOINT_COUNT_MAX = 32;
const ADDRESS_COUNT_MAX = 8;
const NETWORK_STATUS = "k8s.v1.cni.cncf.io/network-status";
/** A pod's own network among `holdfast.io/networks`. */
const POD_NETWORK = "pod";

export interface WantedEndpoint {
  /** Its identity first. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly state: "active" | "drain";
  /** Share of new associations; absent: like the others. */
  readonly weight?: number;
}

export interface EndpointWishes {
  readonly port: ServicePort;
  readonly slices: Iterable<EndpointSlice>;
  /** Of the service's VIPs: other addresses cannot be reached from them. */
  readonly families: readonly (4 | 6)[];
  readonly networks: readonly string[];
  readonly zones: readonly string[];
  /** By uid: those that were asked for. */
  readonly pods: ReadonlyMap<string, Pod>;
}

export interface FoundEndpoints {
  readonly endpoints: readonly WantedEndpoint[];
  /** For events. */
  readonly notes: readonly string[];
}

interface Candidate {
  readonly addresses: string[];
  readonly port: number;
  readonly of: SliceEndpoint;
}

/** Where several have one address, the first of these has it. */
const STATES = ["ready", "serving", "unready", "terminating"];

/** Whether a slice's endpoint takes new associations, only keeps what it has, or cannot be used. */
function stateOf({ conditions = {} }: SliceEndpoint): "ready" | "serving" | "terminating" | "unready" {
  const { ready = true, serving = ready, terminating = false } = conditions;
  if (terminating) return serving ? "serving" : "terminating";
  return ready ? "ready" : "unready";
}

export function findEndpoints(wishes: EndpointWishes): FoundEndpoints {
  const notes: string[] = [];
  const candidates = [...candidatesOf(wishes).values()].filter(({ of }) => stateOf(of) !== "terminating");
  const placed = withoutRepeats(
    candidates.flatMap((candidate) => {
      const addresses = addressesOf(candidate, wishes, notes);
      return addresses.length === 0 ? [] : [{ ...candidate, addresses }];
    }),
    ({ of }) => STATES.indexOf(stateOf(of)),
  );
  // As kube-proxy does: when nobody is ready, those that are about to go still serve.
  const ready = placed.filter(({ of }) => stateOf(of) === "ready");
  const willing = ready.length > 0 ? ready : placed.filter(({ of }) => stateOf(of) === "serving");
  const near = willing.filter(({ of }) => of.zone !== undefined && wishes.zones.includes(of.zone));
  const active = new Set(near.length > 0 ? near : willing);
  const endpoints = placed
    .map((candidate): WantedEndpoint => {
      const { addresses, port } = candidate;
      return { addresses, port, state: active.has(candidate) ? "active" : "drain" };
    })
    .sort((a, b) =>
      a.state === b.state ? compare(a.addresses[0], b.addresses[0]) : a.state === "active" ? -1 : 1,
    );
  if (endpoints.length > ENDPOINT_COUNT_MAX)
    notes.push(
      `It has ${endpoints.length} endpoints: ${ENDPOINT_COUNT_MAX} are used, those that are ready first.`,
    );
  return {
    endpoints: endpoints.slice(0, ENDPOINT_COUNT_MAX).sort((a, b) => compare(a.addresses[0], b.addresses[0])),
    notes: [...new Set(notes)],
  };
}

/** Slices are of one family each: a pod's addresses are joined. */
function candidatesOf({ port, slices, families }: EndpointWishes): Map<string, Candidate> {
  const found = new Map<string, Candidate>();
  for (const slice of slices) {
    const match = slice.ports?.find(
      ({ name = "", protocol = "TCP" }) =>
        name === (port.name ?? "") && protocol === (port.protocol ?? "TCP"),
    );
    if (match?.port === undefined || slice.addressType === "FQDN") continue;
    for (const endpoint of slice.endpoints ?? []) {
      const addresses = endpoint.addresses
        .map(canonical)
        .filter((address) => address !== undefined && families.includes(familyOf(address))) as string[];
      const [first] = addresses;
      if (first === undefined) continue;
      const key = `${endpoint.targetRef?.uid ?? first}|${match.port}`;
      const other = found.get(key);
      if (other === undefined) found.set(key, { addresses: [first], port: match.port, of: endpoint });
      else if (!other.addresses.includes(first)) other.addresses.push(first);
    }
  }
  // A slice may stand before or behind another: the identity does not depend on it.
  for (const { addresses } of found.values())
    addresses.sort((a, b) => familyOf(a) - familyOf(b) || compare(a, b));
  return found;
}

/**
 * Members refuse a service that has an address and port twice. Two pods may have one: of a node's network, one
 * that goes and one that comes; in slices that somebody writes. Who is of the least rank has it, then who has
 * more addresses, then who comes first; what is left without any goes.
 */
export function withoutRepeats<E extends { readonly addresses: readonly string[]; readonly port: number }>(
  endpoints: readonly E[],
  rankOf: (endpoint: E) => number,
): readonly E[] {
  const taken = new Set<string>();
  const own = new Map<E, readonly string[]>();
  const inTurn = [...endpoints].sort(
    (a, b) => rankOf(a) - rankOf(b) || b.addresses.length - a.addresses.length,
  );
  for (const endpoint of inTurn) {
    const keyOf = (address: string) => `${address}|${endpoint.port}`;
    const addresses = endpoint.addresses.filter((address) => !taken.has(keyOf(address)));
    for (const address of addresses) taken.add(keyOf(address));
    own.set(endpoint, addresses);
  }
  return endpoints.flatMap((endpoint) => {
    const addresses = own.get(endpoint) ?? [];
    return addresses.length === 0 ? [] : [{ ...endpoint, addresses }];
  });
}

/** Its own addresses, or those on the networks that are asked for, in their order. */
function addressesOf({ addresses, of }: Candidate, wishes: EndpointWishes, notes: string[]): string[] {
  const { networks, families, pods } = wishes;
  if (networks.length === 0) return addresses;
  const name = of.targetRef?.name ?? "";
  const pod = pods.get(of.targetRef?.uid ?? "");
  const found: string[] = [];
  for (const network of networks) {
    const there = network === POD_NETWORK ? addresses : pod === undefined ? [] : onNetwork(pod, network);
    const usable = there.filter((address) => families.includes(familyOf(address)));
    if (usable.length === 0) {
      notes.push(`Pod ${name} has no address on network ${network}: it is no endpoint.`);
      return [];
    }
    found.push(...usable.filter((address) => !found.includes(address)));
  }
  return found.slice(0, ADDRESS_COUNT_MAX);
}

/** Addresses that Multus says a pod has on a network; `NAMESPACE/NAME`, or the name alone in the pod's own namespace. */
export function onNetwork({ metadata }: Pod, network: string): string[] {
  const wanted = network.includes("/") ? network : `${metadata.namespace ?? ""}/${network}`;
  let status: unknown;
  try {
    status = JSON.parse(metadata.annotations?.[NETWORK_STATUS] ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(status)) return [];
  return (status as { name?: unknown; ips?: unknown }[])
    .filter(({ name }) => name === wanted)
    .flatMap(({ ips }) => (Array.isArray(ips) ? ips : []))
    .map((ip) => canonical(String(ip)))
    .filter((ip) => ip !== undefined);
}

/** Pods that `findEndpoints` wants to know: all for networks, else those that go. */
export function podsToAskFor(
  slices: Iterable<EndpointSlice>,
  networks: readonly string[],
): SliceEndpoint["targetRef"][] {
  const needsAll = networks.some((network) => network !== POD_NETWORK);
  const wanted = new Map<string, SliceEndpoint["targetRef"]>();
  for (const { endpoints = [] } of slices)
    for (const endpoint of endpoints)
      if (endpoint.targetRef?.kind === "Pod" && (needsAll || endpoint.conditions?.terminating === true))
        wanted.set(endpoint.targetRef.uid ?? "", endpoint.targetRef);
  return [...wanted.values()];
}

function compare(a = "", b = ""): number {
  const [x, y] = [addressNumber(a)?.value ?? 0n, addressNumber(b)?.value ?? 0n];
  return x < y ? -1 : x > y ? 1 : 0;
}
