// A service in the API's words, and the specification that it came from.
import type { ServiceSpec, ServiceView } from "@holdfast/api";
import {
  type HoldfastError,
  idleOf,
  isPlain,
  NAT_PORT_POLICY_DEFAULT,
  PROTOCOL_TCP,
  protocolName,
  REPLICATE_AFTER_DEFAULT_MS,
  REPLICATE_DEFAULT,
  type Removal,
  type Service,
  type ServiceProtocol,
  serviceWarnings,
} from "@holdfast/model";
import { untilMs } from "../services/removal.ts";
import { endpointKey, endpointRemovalOf, revisionOf, specOfEndpoint } from "../services/specification.ts";
import type { ApiSources } from "./sources.ts";

/** A service as the API shows it. */
export function serviceView(sources: ApiSources, service: Service): ServiceView {
  const { registry, catalogue } = sources;
  const refused = sources.clashes().refused.get(service.id);
  return {
    id: service.id,
    name: service.name,
    ...commonOf(service),
    endpoints: service.endpoints.map((endpoint) => endpointView(sources, service, endpoint)),
    ...plainViewOf(service),
    leaving: (service.leaving ?? []).map((place) => leavingView(sources, service, place)),
    ...(service.removal !== undefined && {
      removal: { mode: service.removal.mode, ...graceOf(sources, service.removal) },
    }),
    withheld: registry.withheldOf(service.id).map((each) => ({ ...each })),
    managedBy: registry.managerOf(service),
    source: registry.isFromFile(service.id) ? "file" : "api",
    sessions: catalogue.countOfService(service.id),
    revision: revisionOf(service),
    warnings: serviceWarnings(service).map(noteOf),
    ...(refused !== undefined && { refused: noteOf(refused) }),
  };
}

function endpointView(
  sources: ApiSources,
  service: Service,
  endpoint: Service["endpoints"][number],
): ServiceView["endpoints"][number] {
  const key = endpointKey(endpoint.address, endpoint.port);
  const { health, reason, unproven, addresses, sameServerAs } = sources.endpointHealth(service.id, key);
  return {
    ...specOfEndpoint(endpoint),
    address: endpoint.address,
    health,
    ...(reason !== undefined && { reason }),
    ...(unproven !== undefined && { unproven: unproven.map((each) => ({ ...each })) }),
    ...(addresses !== undefined && { addressHealth: addresses.map((each) => ({ ...each })) }),
    ...(sameServerAs !== undefined && { sameServerAs: [...sameServerAs] }),
    sessions: sources.catalogue.countOfEndpoint(service.id, key),
  };
}

function leavingView(
  sources: ApiSources,
  service: Service,
  place: NonNullable<Service["leaving"]>[number],
): ServiceView["leaving"][number] {
  const key = endpointKey(place.address, place.port);
  return {
    address: place.address,
    port: place.port,
    health: sources.endpointHealth(service.id, key).health,
    sessions: sources.catalogue.countOfEndpoint(service.id, key),
    ...graceOf(sources, place),
  };
}

function graceOf({ clock }: ApiSources, removal: Removal): { until: string; leftS: number } {
  const until = untilMs(removal);
  const leftMs = Math.max(0, until - clock.wallMs());
  return { until: new Date(until).toISOString(), leftS: Math.ceil(leftMs / 1000) };
}

const noteOf = ({ code, message, remedy }: HoldfastError) => ({ code, message, remedy });

/** What view and specification say alike. */
function commonOf(service: Service) {
  return {
    protocol: protocolName(service.protocol) as ServiceProtocol,
    vips: [...service.vips],
    port: service.port,
    selection: service.selection,
    idleTimeoutS: service.idleTimeoutS,
    restartNewAddresses: service.restartNewAddresses,
    clientPrefixes: [...service.clientPrefixes],
    allowedSources: [...(service.allowedSources ?? [])],
    withdrawWhenDown: service.withdrawWhenDown,
    natPort: service.natPort ?? NAT_PORT_POLICY_DEFAULT,
    endpointsMayBegin: service.endpointsMayBegin ?? false,
    peers: [...(service.peers ?? [])],
    ...(service.healthCheck !== undefined && { healthCheck: service.healthCheck }),
    ...(service.announce !== undefined && { announce: service.announce }),
    endpointRemoval: { ...endpointRemovalOf(service) },
  };
}

/** The specification that a service came from. */
export function specOf(service: Service): ServiceSpec {
  return {
    name: service.name === service.id ? "" : service.name,
    ...commonOf(service),
    endpoints: service.endpoints.map(specOfEndpoint),
    ...plainSpecOf(service),
  };
}

type PlainSpec = Pick<
  ServiceSpec,
  "idle" | "replicate" | "replicateAfterMs" | "proxyProtocol" | "stateless" | "sourceAddresses"
>;

/** The same with what is in force where the service says nothing. */
function plainViewOf(service: Service): PlainSpec {
  if (!isPlain(service.protocol)) return {};
  const { establishedS, transitoryS, flowS, oneShotS } = idleOf(service);
  return {
    idle: service.protocol === PROTOCOL_TCP ? { establishedS, transitoryS } : { flowS, oneShotS },
    replicate: service.replicate ?? REPLICATE_DEFAULT,
    replicateAfterMs: service.replicateAfterMs ?? REPLICATE_AFTER_DEFAULT_MS,
    ...(service.protocol === PROTOCOL_TCP && { proxyProtocol: service.proxyProtocol ?? false }),
    stateless: service.stateless ?? false,
    sourceAddresses: [...(service.sourceAddresses ?? [])],
  };
}

/** What services of TCP and UDP say alone. */
function plainSpecOf(service: Service): PlainSpec {
  const { idle, replicate, replicateAfterMs, proxyProtocol, stateless, sourceAddresses } = service;
  return {
    ...(idle !== undefined && { idle: { ...idle } }),
    ...(replicate !== undefined && { replicate }),
    ...(replicateAfterMs !== undefined && { replicateAfterMs }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    ...(stateless !== undefined && { stateless }),
    ...(sourceAddresses !== undefined && { sourceAddresses: [...sourceAddresses] }),
  };
}
