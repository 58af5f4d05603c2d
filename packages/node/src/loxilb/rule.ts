// Between a LoxiLB rule and a service.
import { addressFamily, type ServiceSpec } from "@holdfast/api";
import { type Address, addressBytes, parseAddress, type SelectionMode, type Service } from "@holdfast/model";
import { endpointKey } from "../services/specification.ts";
import { type Folded, flagOf, listOf, numberOf, objectOf, textOf } from "./fold.ts";
import { LoxilbError, omitEmpty, Refusal, SchemaViolation } from "./reply.ts";

const ENDPOINT_COUNT_MAX = 32;
const SECONDARY_COUNT_MAX = 3;
const IDLE_DEFAULT_S = 900;
/** Below, living associations of stacks with default timers would be forgotten (HEARTBEAT every 30 s and back-off). */
const IDLE_LEAST_S = 210;
const IDLE_MOST_S = 86_400;

const PROTOCOLS = ["tcp", "udp", "sctp", "icmp"];
const MODE_FULLNAT = 2;
const MODES = ["dnat", "onearm", "fullnat", "dsr", "fullproxy", "hostonearm"];
const SELECTIONS = ["rr", "hash", "priority", "persist", "lc", "n2", "n3"];
const SELECTION_OF: readonly (SelectionMode | undefined)[] = [
  "roundRobin",
  "hash",
  "weighted",
  "persist",
  "leastAssociations",
  undefined,
  undefined,
];

export type Operation = "create" | "attach" | "detach";

export interface ParsedRule {
  readonly spec: ServiceSpec;
  readonly operation: Operation;
}

function addressIn(text: string, error: string): Address {
  if (addressFamily(text) === 0) throw new LoxilbError(error);
  return parseAddress(text);
}

/** Numerically, IPv4 before IPv6: the order in which LoxiLB keeps secondaries, so that every writer means the same. */
function compareAddresses(a: Address, b: Address): number {
  const [x, y] = [addressBytes(a), addressBytes(b)];
  return x.length - y.length || Buffer.compare(x, y);
}

/** Reads a POST's body (keys folded). Throws SchemaViolation, LoxilbError or Refusal. */
export function parseRule(body: unknown): ParsedRule {
  const rule = objectOf(body, "body");
  const service = objectOf(rule["servicearguments"], "serviceArguments");
  const external = textOf(service, "externalIP");
  if (external === "") throw new SchemaViolation(602, "serviceArguments.externalIP in body is required");
  const protocol = textOf(service, "protocol").toLowerCase();
  if (!PROTOCOLS.includes(protocol))
    throw new SchemaViolation(
      606,
      `serviceArguments.protocol in body should be one of [${PROTOCOLS.join(" ")}]`,
    );
  const port = numberOf(service, "port");
  const primary = addressIn(external, "malformed-service error");
  refuseOthers(service, protocol, port);
  if (port < 1 || port > 65535) throw new LoxilbError("serv-port-args range error");

  const secondaries = [
    ...new Set(
      listOf(rule["secondaryips"], "secondaryIPs").map((entry) =>
        addressIn(textOf(objectOf(entry, "secondaryIPs"), "secondaryIP"), "malformed-secIP error"),
      ),
    ),
  ]
    .filter((address) => address !== primary)
    .sort(compareAddresses);
  if (secondaries.length > SECONDARY_COUNT_MAX) throw new LoxilbError("secondaryIP-args len error");
  const mode = numberOf(service, "mode");
  if (MODES[mode] === undefined) throw new LoxilbError("service-args error");
  if (mode > MODE_FULLNAT || (secondaries.length > 0 && mode !== MODE_FULLNAT))
    throw new Refusal(
      `mode ${MODES[mode]} is not offered${secondaries.length > 0 ? " for SCTP multi-homing" : ""}: use fullnat`,
    );
  const sources = listOf(rule["allowedsources"], "allowedSources");
  if (sources.length > 0)
    throw new Refusal("allowedSources is not offered: filter sources before this node, or leave it out");

  const sel = numberOf(service, "sel");
  if (SELECTIONS[sel] === undefined) throw new LoxilbError("service-args error");
  const selection = SELECTION_OF[sel];
  if (selection === undefined)
    throw new Refusal(`selection ${SELECTIONS[sel]} is not offered: use lc, rr, hash, priority or persist`);
  const idle = numberOf(service, "inactiveTimeOut");
  if (idle < 0 || idle > IDLE_MOST_S) throw new LoxilbError("service-args error: inactiveTimeOut range");
  const operation = (["create", "attach", "detach"] as const)[numberOf(service, "oper")];
  if (operation === undefined) throw new LoxilbError("service-args error");
  return {
    operation,
    spec: {
      name: textOf(service, "name").slice(0, 253),
      protocol: "sctp",
      vips: [primary, ...secondaries],
      port,
      selection,
      endpoints: parseEndpoints(rule),
      idleTimeoutS: idle === 0 ? IDLE_DEFAULT_S : Math.max(IDLE_LEAST_S, idle),
      restartNewAddresses: "abort",
      clientPrefixes: [],
      withdrawWhenDown: false,
    },
  };
}

/** What LoxiLB does and this node does not, each with the text that says so. */
function refuseOthers(service: Folded, protocol: string, port: number): void {
  if (protocol !== "sctp")
    throw new Refusal(`protocol ${protocol} is not offered yet: this node balances SCTP`);
  const portMax = numberOf(service, "portMax");
  if (portMax !== 0 && portMax !== port)
    throw new Refusal("a range of ports is not offered: post a rule for each port");
  if (numberOf(service, "security") !== 0) throw new Refusal("TLS is layer 7: not offered for SCTP");
  const host = textOf(service, "host");
  if (host !== "" && host !== "any") throw new Refusal("a host URL is layer 7: not offered for SCTP");
  if (textOf(service, "path_prefix") !== "")
    throw new Refusal("a path prefix is layer 7: not offered for SCTP");
  if (flagOf(service, "proxyprotocolv2")) throw new Refusal("proxy protocol is not offered for SCTP");
  if (flagOf(service, "egress")) throw new Refusal("egress rules are not offered");
  if (flagOf(service, "snat")) throw new Refusal("snat rules are not offered");
  if (textOf(service, "privateIP") !== "")
    throw new Refusal("privateIP is not offered: clients see the external address");
}

function parseEndpoints(rule: Folded): ServiceSpec["endpoints"] {
  const list = listOf(rule["endpoints"], "endpoints");
  if (list.length > ENDPOINT_COUNT_MAX) throw new LoxilbError("endpoints-range error");
  const endpoints = new Map<string, ServiceSpec["endpoints"][number]>();
  for (const entry of list) {
    const endpoint = objectOf(entry, "endpoints");
    const address = addressIn(textOf(endpoint, "endpointIP"), "malformed-lbep error");
    const port = numberOf(endpoint, "targetPort");
    if (port < 1 || port > 65535) throw new LoxilbError("malformed-lbep error: targetPort range");
    const weight = numberOf(endpoint, "weight");
    if (weight < 0 || weight > 65535) throw new LoxilbError("malformed-lbep error: weight range");
    // A weight that was left out is the same share for everybody.
    endpoints.set(endpointKey(address, port), {
      address,
      port,
      weight: weight === 0 ? 1 : weight,
      state: "active",
    });
  }
  return [...endpoints.values()];
}

export interface EndpointFigures {
  readonly up: boolean;
  readonly packets: number;
  readonly bytes: number;
}

/** A service as `GET /config/loadbalancer/all` lists it. */
export function ruleView(
  service: Service,
  figuresOf: (endpoint: string) => EndpointFigures,
): Record<string, unknown> {
  const [primary, ...secondaries] = service.vips;
  return {
    serviceArguments: omitEmpty(
      {
        externalIP: primary,
        port: service.port,
        protocol: "sctp",
        sel: selectionNumber(service.selection),
        mode: MODE_FULLNAT,
        // Endpoints are always watched.
        monitor: true,
        inactiveTimeOut: service.idleTimeoutS,
        name: service.name === service.id ? "" : service.name,
      },
      ["externalIP", "port"],
    ),
    secondaryIPs: secondaries.length === 0 ? null : secondaries.map((secondaryIP) => ({ secondaryIP })),
    allowedSources: null,
    endpoints: service.endpoints.map(({ address, port, weight, state }) => {
      const { up, packets, bytes } = figuresOf(endpointKey(address, port));
      return {
        endpointIP: address,
        targetPort: port,
        weight,
        state: up && state === "active" ? "active" : "inactive",
        counter: `${packets}:${bytes}`,
      };
    }),
  };
}

function selectionNumber(selection: SelectionMode): number {
  const number = SELECTION_OF.indexOf(selection);
  return Math.max(0, number);
}
