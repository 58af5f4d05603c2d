// Where a new association goes: an endpoint, and a NAT port toward it, which is the client's own port where
// the service wants that and nobody else has it.
import {
  type Address,
  type Endpoint,
  familyOf,
  NAT_PORT_POLICY_DEFAULT,
  type NatPortPolicy,
  type Tag,
} from "@holdfast/model";
import type { Core } from "../../core.ts";
import { evict } from "../../embryos/ports.ts";
import { endpointAddress, isEndpointUp, isUpFor } from "../../health/endpoint-addresses.ts";
import type { Loan, LoanAnswer, PortWish } from "../../nat-ports/lending.ts";
import type { GrantedWish } from "../../nat-ports/wishes.ts";
import type { SctpInput } from "../../packet/input.ts";
import { selectEndpoint } from "../../selection/selection.ts";
import type { ServiceEntry } from "../../services/registry.ts";

/** Ports that are kept for INITs that come again: one for so many embryos of the endpoint. */
const RESERVE_SHARE = 3;
/**
 * With more embryos at the endpoint others are not asked for the ports of newcomers: under a flood any port
 * is good.
 */
const ASKING_EMBRYO_COUNT_MAX = 256;

/** Whoever looks for a place: a client, by one INIT. */
export interface Seeker {
  readonly key: string;
  readonly entry: ServiceEntry;
  readonly vip: number;
  readonly source: Address;
  readonly listed: readonly Address[];
  readonly clientPort: number;
  readonly clientTag: Tag;
  readonly input: SctpInput;
  /** Endpoints that did not answer. */
  readonly avoid?: ReadonlySet<Endpoint> | undefined;
  readonly comesAgain: () => boolean;
}

export interface Place {
  readonly endpoint: Endpoint;
  readonly natPort: number;
  /** It is the client's own port, and whoever lent it has to know when it is over. */
  readonly loan: Loan | undefined;
  /** Endpoints that were asked before, or had no port. */
  readonly refused: readonly Endpoint[];
}

export type PortRefusal = "nat-port-taken" | "nat-port-unreachable" | "nat-port-rate";
export type NoPlace = "no-endpoint" | "nat-ports-exhausted" | "init-rate" | PortRefusal;

/** `asked`: the INIT waits for other members, and comes again. */
export function findPlace(core: Core, seeker: Seeker): Place | NoPlace | "asked" {
  if (core.wishes.isAsking(seeker.key)) return "asked";
  let granted = core.wishes.take(seeker.key);
  const { endpoints } = seeker.entry.service;
  if (
    granted !== undefined &&
    (!endpoints.includes(granted.endpoint) || seeker.avoid?.has(granted.endpoint))
  ) {
    core.wishes.giveBack(granted);
    granted = undefined;
  }
  // Without a port toward one endpoint another one takes the client.
  const full = new Set<Endpoint>(granted?.refused);
  let refusal: NoPlace = "no-endpoint";
  for (;;) {
    const endpoint = granted?.endpoint ?? chooseEndpoint(core, seeker, full);
    if (endpoint === undefined) return refusal;
    const refused = granted?.refused ?? [...full, ...(seeker.avoid ?? [])];
    const place = placeAt(core, seeker, endpoint, refused, granted);
    granted = undefined;
    if (typeof place !== "string" || place === "asked") return place;
    refusal = place;
    full.add(endpoint);
  }
}

/** A place at this endpoint, if there is a port for this client. */
function placeAt(
  core: Core,
  seeker: Seeker,
  endpoint: Endpoint,
  refused: readonly Endpoint[],
  granted: GrantedWish | undefined,
): Place | NoPlace | "asked" {
  const { service } = seeker.entry;
  const room = makeRoom(core, seeker, endpoint);
  if (room !== undefined) {
    if (granted !== undefined) core.wishes.giveBack(granted);
    return room;
  }
  const policy = service.natPort ?? NAT_PORT_POLICY_DEFAULT;
  // A second endpoint would answer from the same port as the first, late, might: it sees another.
  const isSecond = seeker.avoid !== undefined;
  if (policy === "require" || (policy === "keep" && !isSecond)) {
    const own = granted?.answer ?? ownPort(core, seeker, { endpoint, refused }, policy);
    if (own === "asked") return own;
    if (typeof own !== "string") return { endpoint, natPort: own.natPort, loan: own, refused };
    if (policy === "require") return own === "elsewhere" ? "nat-port-rate" : `nat-port-${own}`;
  }
  const { source, listed } = seeker;
  const clientPort = policy === "keep" && isSecond ? 0 : seeker.clientPort;
  const probe = `${smallest(source, listed)}|${seeker.clientPort}|${service.id}`;
  const neighbours = {
    never: core.registry.sharingPorts(endpoint),
    rather: service.endpoints
      .filter((e) => e.port === endpoint.port && e.address !== endpoint.address)
      .map(({ address }) => address),
  };
  const { address, port } = endpoint;
  const natPort = core.natPorts.allocate(address, port, clientPort, probe, core.clock.nowMs(), neighbours);
  return natPort === undefined ? "nat-ports-exhausted" : { endpoint, natPort, loan: undefined, refused };
}

function smallest(source: Address, listed: readonly Address[]): Address {
  let first = source;
  for (const address of listed) if (address < first) first = address;
  return first;
}

/** The client's own port: taken, borrowed, asked for, or the reason why not. */
function ownPort(
  core: Core,
  seeker: Seeker,
  to: Pick<GrantedWish, "endpoint" | "refused">,
  policy: NatPortPolicy,
): LoanAnswer | "asked" | "rate" {
  const { loans, wishes, limits } = core;
  const { source, listed, clientPort, clientTag, entry, input, key, comesAgain } = seeker;
  const { endpoint } = to;
  const wish: PortWish = {
    endpoint: endpoint.address,
    endpointPort: endpoint.port,
    natPort: clientPort,
    serviceId: entry.service.id,
    source,
    listed,
    clientTag,
    isRequired: policy === "require",
  };
  if (loans.isFull) return "rate";
  const lender = loans.lenderOf(clientPort);
  if (lender === "nobody") return "unreachable";
  if (lender === "self") return loans.own(wish);
  if (wishes.isFull) return "rate";
  const isRequired = policy === "require";
  const isFlooded = core.nursery.countOf(endpoint) >= ASKING_EMBRYO_COUNT_MAX;
  if (!isRequired && isFlooded && !comesAgain()) return "rate";
  if (!loans.mayAsk()) return "rate";
  wishes.ask(key, to, wish, input, isRequired ? limits.natPortRequiredMs : limits.natPortLoanMs);
  return "asked";
}

function chooseEndpoint(core: Core, seeker: Seeker, full: ReadonlySet<Endpoint>): Endpoint | undefined {
  const { entry, vip, source, listed, avoid } = seeker;
  const { service } = entry;
  const family = familyOf(service.vips[vip] as Address);
  const clients = listed.length === 0 ? [source] : [source, ...listed].sort();
  const choose = (isUp: (endpoint: Endpoint) => boolean) =>
    selectEndpoint({
      service,
      clientAddresses: clients,
      isUp,
      countOf: (e) => countOf(core, e),
      isSame: (a, b) => core.registry.twinsOf(a).includes(b.address) && a.port === b.port,
      persisted: (client) => {
        const home = core.associations.homeOf(service.id, client);
        return home && service.endpoints.find((e) => e.address === home.address && e.port === home.port);
      },
      ...(avoid === undefined ? {} : { avoid }),
      turn: core.nextTurn(),
    });
  const isUsable = (e: Endpoint) => !full.has(e) && endpointAddress(core, e, family, 0) !== undefined;
  // When all are down the INIT goes to one of them all the same: a verdict is some probes old, an INIT costs
  // a dead endpoint nothing, and one that is just back answers it before the next probe would have found out.
  const isUp = (e: Endpoint) => isUsable(e) && isEndpointUp(core, e);
  // An address of the other family is of no use to an INIT, and of some when none of its own is up anywhere.
  return choose((e) => isUp(e) && isUpFor(core, e, family)) ?? choose(isUp) ?? choose(isUsable);
}

/** Associations and embryos of an endpoint, and of those that are the same server. */
function countOf(core: Core, endpoint: Endpoint): number {
  const { port } = endpoint;
  let count = core.associations.count(endpoint) + core.nursery.countOf(endpoint);
  for (const address of core.registry.twinsOf(endpoint))
    count += core.associations.count({ address, port }) + core.nursery.countOf({ address, port });
  return count;
}

/**
 * A flood of embryos holds the ports: the oldest that had its second makes room for a later one. Not only
 * when nothing is left, since its port rests before anybody has it.
 */
function makeRoom(core: Core, { entry, comesAgain }: Seeker, endpoint: Endpoint): "init-rate" | undefined {
  const available = core.natPorts.available(endpoint.address, endpoint.port);
  const embryos = core.nursery.countOf(endpoint);
  if (available >= embryos) return undefined;
  const oldest = core.nursery.evictableOf(entry.service.id, endpoint, core.clock.nowMs());
  if (oldest !== undefined) evict(core, oldest);
  // What is left is for those who come again.
  return available > 0 && available * RESERVE_SHARE < embryos && !comesAgain() ? "init-rate" : undefined;
}
