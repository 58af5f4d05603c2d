// What a posted rule says. A field that the post leaves out, or that its client cannot leave out and fills
// with zero, says nothing; what that means depends on whether the rule is known (post.ts).
import { addressFamily } from "@holdfast/api";
import {
  type Address,
  ALLOWED_SOURCE_COUNT_MAX,
  addressBytes,
  canonicalPrefix,
  defaultCheckOf,
  type HealthCheck,
  PROTOCOL_SCTP,
  parseAddress,
  protocolOf,
  type SelectionMode,
  type ServiceProtocol,
} from "@holdfast/model";
import { endpointKey } from "../services/specification.ts";
import { type Folded, flagOf, hasKey, listOf, numberOf, objectOf, textOf } from "./fold.ts";
import { healthCheckOf, ruleProbeWords } from "./probe.ts";
import { LoxilbError, Refusal, SchemaViolation } from "./reply.ts";

const ENDPOINT_COUNT_MAX = 32;
const SECONDARY_COUNT_MAX = 3;
/**
 * Below, living associations of stacks with default timers would be forgotten (HEARTBEAT every 30 s and
 * back-off).
 */
const IDLE_LEAST_S = 210;
const IDLE_MOST_S = 86_400;
const MARK_MOST = 0xffff_ffff;

const PROTOCOLS = ["tcp", "udp", "sctp", "icmp"];
export const MODE_FULLNAT = 2;
const MODES = ["default", "onearm", "fullnat", "dsr", "fullproxy", "hostonearm"] as const;
/**
 * Translation of another kind: fullNAT does all that they promise a client. The others take the node out of
 * the path.
 */
const MODES_AS_FULLNAT: readonly string[] = ["default", "onearm", "hostonearm"];
const SELECTIONS = ["rr", "hash", "priority", "persist", "lc", "n2", "n3"];
export const SELECTION_OF: readonly (SelectionMode | undefined)[] = [
  "roundRobin",
  "hash",
  "weighted",
  "persist",
  "leastAssociations",
  undefined,
  undefined,
];
/** What every source is inside. */
const EVERYBODY = ["0.0.0.0/0", "::/0"];

export type Operation = "create" | "attach" | "detach";

/** What a rule carries for LoxiLB's clients alone: kept at every member and shown. */
export interface PostedFields {
  readonly mode: number;
  readonly bgp: boolean;
  /** loxicmd's --mark. */
  readonly block: number;
  readonly managed: boolean;
}

export interface PostedEndpoint {
  readonly address: Address;
  readonly port: number;
  /** As it was posted. */
  readonly weight: number;
}

export interface ParsedRule {
  readonly operation: Operation;
  readonly protocol: ServiceProtocol;
  readonly primary: Address;
  readonly port: number;
  /** undefined, here and below: the post says nothing of it. */
  readonly secondaries: readonly Address[] | undefined;
  readonly endpoints: readonly PostedEndpoint[] | undefined;
  readonly name: string | undefined;
  readonly selection: SelectionMode | undefined;
  readonly idleTimeoutS: number | undefined;
  readonly allowedSources: readonly string[] | undefined;
  readonly healthCheck: HealthCheck | undefined;
  readonly proxyProtocol: boolean | undefined;
  readonly posted: Partial<PostedFields>;
  /**
   * Everything that a client fills with zero is zero: `loxicmd apply` posts addresses and endpoints alone.
   */
  readonly isBare: boolean;
  /** loxicmd posts a field that kube-loxilb leaves out: a person means it, no cache. */
  readonly isByHand: boolean;
  /** Taken, though not as it stands. */
  readonly warnings: readonly string[];
}

function addressIn(text: string, error: string): Address {
  if (addressFamily(text) === 0) throw new LoxilbError(error);
  return parseAddress(text);
}

/**
 * Numerically, IPv4 before IPv6: the order in which LoxiLB keeps secondaries, so that every writer means the
 * same.
 */
export function compareAddresses(a: Address, b: Address): number {
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
  const operation = (["create", "attach", "detach"] as const)[numberOf(service, "oper")];
  if (operation === undefined) throw new LoxilbError("service-args error");

  const warnings: string[] = [];
  const mode = parseMode(service, warnings);
  const selection = parseSelection(service);
  const idleTimeoutS = parseIdle(service, protocol, warnings);
  const block = numberOf(service, "block");
  if (block < 0 || block > MARK_MOST) throw new LoxilbError("service-args error: block range");
  const name = textOf(service, "name").slice(0, 253);
  const healthCheck = healthCheckOf(
    ruleProbeWords(service),
    defaultCheckOf(protocolOf(protocol) ?? PROTOCOL_SCTP).kind,
  );
  const [bgp, managed] = [flagOf(service, "bgp"), flagOf(service, "managed")];
  const isBare =
    mode === 0 &&
    numberOf(service, "sel") === 0 &&
    idleTimeoutS === undefined &&
    block === 0 &&
    name === "" &&
    healthCheck === undefined &&
    !flagOf(service, "proxyprotocolv2") &&
    !bgp &&
    !managed &&
    !flagOf(service, "monitor");
  return {
    operation,
    protocol: protocol as ServiceProtocol,
    primary,
    port,
    // Of other protocols LoxiLB passes over them: kube-loxilb posts them for every port of a Service.
    secondaries: protocol === "sctp" ? parseSecondaries(rule, primary) : undefined,
    endpoints: parseEndpoints(rule),
    name: name === "" ? undefined : name,
    selection: hasKey(service, "sel") ? selection : undefined,
    idleTimeoutS,
    allowedSources: parseSources(rule),
    healthCheck,
    proxyProtocol:
      protocol === "tcp" && hasKey(service, "proxyprotocolv2")
        ? flagOf(service, "proxyprotocolv2")
        : undefined,
    posted: {
      ...(hasKey(service, "mode") && { mode }),
      ...(hasKey(service, "bgp") && { bgp }),
      // `loxicmd apply` always posts these two as zero.
      ...(block > 0 && { block }),
      ...(managed && { managed }),
    },
    isBare,
    isByHand: hasKey(service, "proxyprotocolv2"),
    warnings,
  };
}

function parseMode(service: Folded, warnings: string[]): number {
  const mode = numberOf(service, "mode");
  const name = MODES[mode];
  if (name === undefined) throw new LoxilbError("service-args error");
  if (mode === MODE_FULLNAT || !hasKey(service, "mode")) return mode;
  if (!MODES_AS_FULLNAT.includes(name)) throw new Refusal(`mode ${name} is not offered: use fullnat`);
  warnings.push(`mode ${name} works as fullnat here: the server sees the service's addresses`);
  return mode;
}

function parseSelection(service: Folded): SelectionMode {
  const sel = numberOf(service, "sel");
  if (SELECTIONS[sel] === undefined) throw new LoxilbError("service-args error");
  const selection = SELECTION_OF[sel];
  if (selection === undefined)
    throw new Refusal(`selection ${SELECTIONS[sel]} is not offered: use lc, rr, hash, priority or persist`);
  return selection;
}

/** undefined: 0, which is how its clients leave it out. */
function parseIdle(service: Folded, protocol: string, warnings: string[]): number | undefined {
  const idle = numberOf(service, "inactiveTimeOut");
  if (idle < 0 || idle > IDLE_MOST_S) throw new LoxilbError("service-args error: inactiveTimeOut range");
  if (idle === 0) return undefined;
  if (protocol !== "sctp") return idle;
  if (idle < IDLE_LEAST_S)
    warnings.push(`inactiveTimeOut ${idle} is raised to ${IDLE_LEAST_S}: HEARTBEATs may be as far apart`);
  return Math.max(IDLE_LEAST_S, idle);
}

function parseSecondaries(rule: Folded, primary: Address): readonly Address[] | undefined {
  const posted = rule["secondaryips"];
  if (posted === undefined || posted === null) return undefined;
  const addresses = listOf(posted, "secondaryIPs").map((entry) =>
    addressIn(textOf(objectOf(entry, "secondaryIPs"), "secondaryIP"), "malformed-secIP error"),
  );
  const secondaries = [...new Set(addresses)].filter((address) => address !== primary).sort(compareAddresses);
  if (secondaries.length > SECONDARY_COUNT_MAX) throw new LoxilbError("secondaryIP-args len error");
  return secondaries;
}

/** undefined: the post says nothing of them. One that is everybody of a family makes a list of no use. */
function parseSources(rule: Folded): readonly string[] | undefined {
  if (!hasKey(rule, "allowedSources")) return undefined;
  const sources = listOf(rule["allowedsources"], "allowedSources").map((entry) => {
    const text = textOf(objectOf(entry, "allowedSources"), "prefix");
    const prefix = canonicalPrefix(text);
    if (prefix === undefined) throw new LoxilbError("malformed-allowedSources error");
    return prefix;
  });
  if (sources.length > ALLOWED_SOURCE_COUNT_MAX) throw new LoxilbError("allowedSources range error");
  return sources.some((prefix) => EVERYBODY.includes(prefix)) ? [] : sources;
}

/** What LoxiLB does and this node does not, each with the text that says so. */
function refuseOthers(service: Folded, protocol: string, port: number): void {
  if (protocolOf(protocol) === undefined)
    throw new Refusal(`protocol ${protocol} is not offered: this node balances SCTP, TCP and UDP`);
  const portMax = numberOf(service, "portMax");
  if (portMax !== 0 && portMax !== port)
    throw new Refusal("a range of ports is not offered: post a rule for each port");
  if (numberOf(service, "security") !== 0) throw new Refusal("TLS is layer 7: not offered");
  const host = textOf(service, "host");
  if (host !== "" && host !== "any") throw new Refusal("a host URL is layer 7: not offered");
  if (textOf(service, "path_prefix") !== "") throw new Refusal("a path prefix is layer 7: not offered");
  if (flagOf(service, "proxyprotocolv2") && protocol !== "tcp")
    throw new Refusal(`proxy protocol is not offered for ${protocol}: its header begins a stream of TCP`);
  if (flagOf(service, "egress")) throw new Refusal("egress rules are not offered");
  if (flagOf(service, "snat")) throw new Refusal("snat rules are not offered");
  if (textOf(service, "privateIP") !== "")
    throw new Refusal("privateIP is not offered: clients see the external address");
}

function parseEndpoints(rule: Folded): readonly PostedEndpoint[] | undefined {
  const posted = rule["endpoints"];
  if (posted === undefined || posted === null) return undefined;
  const list = listOf(posted, "endpoints");
  if (list.length > ENDPOINT_COUNT_MAX) throw new LoxilbError("endpoints-range error");
  const endpoints = new Map<string, PostedEndpoint>();
  for (const entry of list) {
    const endpoint = objectOf(entry, "endpoints");
    const address = addressIn(textOf(endpoint, "endpointIP"), "malformed-lbep error");
    const port = numberOf(endpoint, "targetPort");
    if (port < 1 || port > 65535) throw new LoxilbError("malformed-lbep error: targetPort range");
    const weight = numberOf(endpoint, "weight");
    if (weight < 0 || weight > 65535) throw new LoxilbError("malformed-lbep error: weight range");
    endpoints.set(endpointKey(address, port), { address, port, weight });
  }
  return [...endpoints.values()];
}
