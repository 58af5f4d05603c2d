// Where a new flow goes: an endpoint, and a NAT port toward it.
import {
  type Address,
  type Endpoint,
  endpointKey,
  familyOf,
  PROTOCOL_TCP,
  type Service,
} from "@holdfast/model";
import { selectEndpoint } from "../../selection/selection.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import { type LocalFlow, placeKeyOf } from "./flow.ts";
import { findOpened } from "./opened.ts";
import { end, livingAt, portsFrom, type Room, type Side } from "./room.ts";

/**
 * A flow that is over gives its NAT port up when others have none left, once it had so long for late
 * packets.
 */
const SPENT_LEAST_MS = 1_000;

const NOBODY: ReadonlySet<string> = new Set();

export interface PlainPlace {
  readonly endpoint: Address;
  readonly endpointPort: number;
  readonly natPort: number;
  /** What the endpoint sees when it is not the VIP. */
  readonly source?: Address;
}

export interface PlainSeeker {
  readonly vip: Address;
  readonly client: Address;
  readonly clientPort: number;
}

export function findPlainPlace(
  room: Room,
  side: Side,
  entry: ServiceEntry,
  seeker: PlainSeeker,
  unreachable: ReadonlySet<string> = NOBODY,
): PlainPlace | "no-endpoint" | "nat-ports-exhausted" {
  const { service } = entry;
  if (service.removal?.mode === "drain") return "no-endpoint";
  let full: Set<Endpoint> | undefined;
  const isTaken = (endpoint: Endpoint) =>
    full?.has(endpoint) === true ||
    (unreachable.size > 0 &&
      side.registry
        .configuredOf(endpoint)
        .some((address) => unreachable.has(endpointKey({ address, port: endpoint.port }))));
  for (;;) {
    const isAnyone = full === undefined && unreachable.size === 0;
    const endpoint = chooseEndpoint(room, side, entry, seeker, isAnyone ? undefined : isTaken);
    if (endpoint === undefined) return full === undefined ? "no-endpoint" : "nat-ports-exhausted";
    const address = addressFor(side, endpoint, seeker.vip) as Address;
    const place = { address, port: endpoint.port };
    const port = portToward(room, side, place, seeker, service);
    if (port !== undefined) return { endpoint: address, endpointPort: endpoint.port, ...port };
    full = (full ?? new Set<Endpoint>()).add(endpoint);
  }
}

/** Where a newcomer would go now, whatever NAT ports are left; undefined: nowhere. */
export function wantedPlace(
  room: Room,
  side: Side,
  entry: ServiceEntry,
  seeker: PlainSeeker,
): { readonly address: Address; readonly port: number } | undefined {
  const endpoint = chooseEndpoint(room, side, entry, seeker, undefined);
  const address = endpoint && addressFor(side, endpoint, seeker.vip);
  return endpoint && address && { address, port: endpoint.port };
}

/** The endpoint's address of the VIP's family that is up, else any of it. */
export function addressFor(side: Side, endpoint: Endpoint, vip: Address): Address | undefined {
  const { port } = endpoint;
  const configured = side.registry.configuredOf(endpoint);
  const family = familyOf(vip);
  const isOfFamily = (address: Address) => familyOf(address) === family;
  const first = configured[0];
  if (!side.health.knowsDown)
    return first !== undefined && isOfFamily(first) ? first : configured.find(isOfFamily);
  const all = configured.filter(isOfFamily);
  return all.find((address) => side.health.isUp({ address, port })) ?? all[0];
}

/** `isTaken`: who is left out; undefined: nobody. */
export function chooseEndpoint(
  room: Room,
  side: Side,
  { service }: ServiceEntry,
  { vip, client }: PlainSeeker,
  isTaken: ((endpoint: Endpoint) => boolean) | undefined,
): Endpoint | undefined {
  const choose = (mayTake: (endpoint: Endpoint) => boolean) =>
    selectEndpoint({
      service,
      clientAddresses: [client],
      isUp: mayTake,
      countOf: (endpoint) => livingAt(side, endpoint),
      // `persist` is `hash` here: a client has one address, and its endpoint follows from that.
      persisted: () => undefined,
      turn: room.core.nextTurn(),
    });
  // The usual case: whoever has an address of the family.
  if (isTaken === undefined && !side.health.knowsDown)
    return choose((endpoint) => addressFor(side, endpoint, vip) !== undefined);
  const isUsable = (endpoint: Endpoint) =>
    isTaken?.(endpoint) !== true && addressFor(side, endpoint, vip) !== undefined;
  // What is up of another family is of no use here.
  const isUp = (endpoint: Endpoint) => {
    const address = addressFor(side, endpoint, vip);
    return address !== undefined && side.health.isUp({ address, port: endpoint.port });
  };
  // When all are down the client goes to one of them all the same: a verdict is some probes old.
  return choose((endpoint) => isUsable(endpoint) && isUp(endpoint)) ?? choose(isUsable);
}

/** What an endpoint may see: the VIP (undefined), then those further addresses that this member has. */
export function sourcesFor(
  room: Room,
  vip: Address,
  sourceAddresses: readonly Address[],
): readonly (Address | undefined)[] {
  const fits = (source: Address) => familyOf(source) === familyOf(vip) && room.core.ownsVip(source);
  return [undefined, ...sourceAddresses.filter(fits)];
}

type PortOfSource = Pick<PlainPlace, "natPort" | "source">;

/**
 * The client's own port when it is this member's to give, else any, from the VIP and then from each further
 * address that this member has; when none is left that of a flow that is over, or that a SYN's client has
 * not opened for a second.
 */
function portToward(
  room: Room,
  side: Side,
  place: { readonly address: Address; readonly port: number },
  { vip, client, clientPort }: PlainSeeker,
  { natPort: policy, sourceAddresses = [] }: Service,
): PortOfSource | undefined {
  const { address, port } = place;
  const nowMs = room.core.clock.nowMs();
  const wanted = policy === "any" ? 0 : clientPort;
  const key = `${client}|${clientPort}`;
  const sources = sourcesFor(room, vip, sourceAddresses);
  for (const source of sources) {
    const natPort = portsFrom(side, source).allocate(address, port, wanted, key, nowMs);
    if (natPort !== undefined) return { natPort, ...(source !== undefined && { source }) };
  }
  const isOwn = ({ record }: LocalFlow) =>
    side.natPorts.isOwn(record.natPort) && sources.includes(record.source);
  const placeKey = endpointKey(place);
  const isOld = (flow: LocalFlow) => isOwn(flow) && nowMs - flow.lastSeenMs >= SPENT_LEAST_MS;
  const last = room.flows.takeSpent(placeKey, isOld);
  if (last !== undefined) {
    last.hands = true;
    end(room, last, "closed", true);
    return portOf(last);
  }
  // What answers an old datagram would be another client's: of UDP no port goes on at once.
  return side.protocol === PROTOCOL_TCP ? embryosPort(room, placeKey, isOwn) : undefined;
}

/** Late answers to the SYN that has to go acknowledge another than the next one. */
function embryosPort(
  room: Room,
  placeKey: string,
  isOwn: (flow: LocalFlow) => boolean,
): PortOfSource | undefined {
  const { clock, counters } = room.core;
  const isThere = (flow: LocalFlow) =>
    !flow.isPublished &&
    flow.record.protocol === PROTOCOL_TCP &&
    placeKeyOf(flow.record) === placeKey &&
    isOwn(flow);
  for (;;) {
    const flow = room.flows.oldestEmbryo(isThere, clock.nowMs());
    if (flow === undefined) return undefined;
    // Grown up, it is none any more.
    if (findOpened(room, flow)) continue;
    counters.count("embryos-evicted");
    flow.hands = true;
    end(room, flow, "handshakeTimeout", false);
    return portOf(flow);
  }
}

function portOf({ record: { natPort, source } }: LocalFlow): PortOfSource {
  return { natPort, ...(source !== undefined && { source }) };
}
