// A service as LoxiLB's clients see it.
import {
  idleOf,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  protocolName,
  type SelectionMode,
  type Service,
} from "@holdfast/model";
import { endpointKey } from "../services/specification.ts";
import { ruleProbeView } from "./probe.ts";
import { omitEmpty } from "./reply.ts";
import { MODE_FULLNAT, type PostedFields, SELECTION_OF } from "./rule.ts";

/** The clients decode a weight into one byte; a greater one would cost them the whole list. */
const WEIGHT_MOST = 255;

/** Weights as they are shown: of a service with greater ones the same shares, and 0 stays what it is. */
export function shownWeights(endpoints: Service["endpoints"]): readonly number[] {
  const most = Math.max(0, ...endpoints.map(({ weight }) => weight));
  if (most <= WEIGHT_MOST) return endpoints.map(({ weight }) => weight);
  return endpoints.map(({ weight }) =>
    weight === 0 ? 0 : Math.max(1, Math.round((weight * WEIGHT_MOST) / most)),
  );
}

export interface EndpointFigures {
  readonly up: boolean;
  readonly packets: number;
  readonly bytes: number;
}

/** As `GET /config/loadbalancer/all` lists it. */
export function ruleView(
  service: Service,
  posted: Partial<PostedFields>,
  figuresOf: (endpoint: string) => EndpointFigures,
): Record<string, unknown> {
  const [primary, ...secondaries] = service.vips;
  const weights = shownWeights(service.endpoints);
  return {
    serviceArguments: omitEmpty(
      {
        externalIP: primary,
        port: service.port,
        protocol: protocolName(service.protocol),
        sel: selectionNumber(service.selection),
        mode: posted.mode ?? MODE_FULLNAT,
        bgp: posted.bgp,
        // Endpoints are always watched.
        monitor: true,
        inactiveTimeOut: idleSecondsOf(service),
        block: posted.block,
        proxyprotocolv2: service.proxyProtocol,
        managed: posted.managed,
        ...ruleProbeView(service.healthCheck),
        name: service.name === service.id ? "" : service.name,
      },
      ["externalIP", "port"],
    ),
    secondaryIPs: secondaries.length === 0 ? null : secondaries.map((secondaryIP) => ({ secondaryIP })),
    allowedSources: service.allowedSources?.map((prefix) => ({ prefix })) ?? null,
    endpoints: service.endpoints.map(({ address, port, state }, index) => {
      const { up, packets, bytes } = figuresOf(endpointKey(address, port));
      return {
        endpointIP: address,
        targetPort: port,
        weight: weights[index],
        state: up && state === "active" ? "active" : "inactive",
        counter: `${packets}:${bytes}`,
      };
    }),
  };
}

function idleSecondsOf(service: Service): number {
  if (service.protocol === PROTOCOL_TCP) return idleOf(service).establishedS;
  return service.protocol === PROTOCOL_UDP ? idleOf(service).flowS : service.idleTimeoutS;
}

function selectionNumber(selection: SelectionMode): number {
  return Math.max(0, SELECTION_OF.indexOf(selection));
}
