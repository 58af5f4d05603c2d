// Services as the operator writes them: the same shape in the configuration file, in requests and in replies.
import { type Static, Type } from "typebox";
import "../formats.ts";
import { ServiceAnnounceSchema } from "./announce.ts";
import { TimestampSchema } from "./common.ts";
import { oneOf } from "./enumeration.ts";

const closed = { additionalProperties: false } as const;

export const AddressSchema = Type.String({ format: "ip-address", description: "IPv4 or IPv6 address." });
export const PrefixSchema = Type.String({ format: "ip-prefix", description: "Prefix in CIDR notation." });
export const PortSchema = Type.Integer({
  minimum: 1,
  maximum: 65535,
  description: "Port of the service's protocol.",
});

export const SELECTION_MODES = ["leastAssociations", "roundRobin", "weighted", "hash", "persist"] as const;

const healthNumber = (minimum: number, maximum: number, description: string) =>
  Type.Optional(Type.Integer({ minimum, maximum, description }));
const OneStatusSchema = Type.Integer({ minimum: 100, maximum: 599 });
const StatusRangeSchema = Type.String({ pattern: "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$" });
const StatusListSchema = Type.Array(Type.Union([OneStatusSchema, StatusRangeSchema]), {
  minItems: 1,
  maxItems: 16,
});
const healthText = (description: string) => Type.Optional(Type.String({ maxLength: 255, description }));

// The same kinds and bounds as the model's `healthCheckProblem`, which is asked for whatever does not pass
// here.
export const HealthCheckSchema = Type.Object(
  {
    kind: oneOf(["none", "ping", "sctp", "tcp", "udp", "http", "https"], {
      description:
        "sctp: INIT and INIT-ACK; ping; tcp: a connection; udp: no refusal; http, https: a status below 400, or the one that status says; none: not asked, always healthy.",
    }),
    port: healthNumber(1, 65535, "Where to ask when it is not the endpoint's own port."),
    path: healthText("http, https: what to ask for. / when absent."),
    send: healthText("tcp, udp: what to send first."),
    expect: healthText("tcp, udp, http, https: text that the answer must contain."),
    status: Type.Optional(
      Type.Union([OneStatusSchema, StatusRangeSchema, StatusListSchema], {
        description:
          'http, https: the statuses that are an answer: 200, "200-299", or a list of such. Below 400 when absent.',
      }),
    ),
    intervalMs: healthNumber(100, 86_400_000, "Between two probes. health.intervalMs when absent."),
    timeoutMs: healthNumber(
      50,
      60_000,
      "Until a probe counts as unanswered, less than the interval. health.timeoutMs when absent.",
    ),
    downCount: healthNumber(1, 100, "Unanswered probes until down. health.downCount when absent."),
    upCount: healthNumber(1, 100, "Answered probes until up. health.upCount when absent."),
  },
  {
    ...closed,
    description:
      "How endpoints are asked whether they live; when absent with their own protocol: an SCTP probe, a TCP connection, for UDP a ping. Living associations are ended only when SCTP is silent, too.",
  },
);
export type HealthCheckSpec = Static<typeof HealthCheckSchema>;

export const EndpointSpecSchema = Type.Object(
  {
    address: Type.Optional(AddressSchema),
    addresses: Type.Optional(
      Type.Array(AddressSchema, {
        minItems: 1,
        maxItems: 8,
        uniqueItems: true,
        description:
          "Addresses of one server with several, instead of address; the first is its identity. Probed each: the server is up while one answers.",
      }),
    ),
    port: PortSchema,
    weight: Type.Integer({
      minimum: 0,
      maximum: 65535,
      default: 1,
      description: "Share of new associations; 0 takes none.",
    }),
    state: oneOf(["active", "drain"], {
      default: "active",
      description: "drain: living associations stay, restarts and new ones go elsewhere.",
    }),
    healthCheck: Type.Optional(HealthCheckSchema),
  },
  closed,
);
export type EndpointSpec = Static<typeof EndpointSpecSchema>;

/** The addresses that an endpoint's specification names, its identity first; none when it names none. */
export function addressesOfSpec({ address, addresses }: EndpointSpec): readonly string[] {
  return addresses ?? (address === undefined ? [] : [address]);
}

export const EndpointRemovalSchema = Type.Object(
  {
    mode: oneOf(["drain", "end"], {
      default: "drain",
      description:
        "drain: living associations go on until they end, the endpoint dies, or the grace has passed; end: they end at once.",
    }),
    graceS: Type.Integer({
      minimum: 0,
      maximum: 86_400,
      default: 300,
      description: "Longest drain. An endpoint that is back in the list before never left. Seconds.",
    }),
  },
  {
    ...closed,
    default: {},
    description:
      "What happens to the associations of an endpoint that leaves the list. The grace is the service's own, too, when it is deleted.",
  },
);

/**
 * What stands for a service of tcp or udp that does not say it. No `default` of the schemas: a view shows
 * what was said.
 */
export const PLAIN_DEFAULTS = {
  idle: { establishedS: 7_440, transitoryS: 240, flowS: 300, oneShotS: 30 },
  replicate: "long-lived",
  replicateAfterMs: 1_000,
} as const;

const idleSeconds = (defaultS: number, description: string) =>
  Type.Optional(
    Type.Integer({ minimum: 1, maximum: 604_800, description: `${description} ${defaultS} when absent.` }),
  );

// The same bounds as the model's `protocolProblem`, PLAIN_DEFAULTS the same as its IDLE_DEFAULTS.
export const PlainIdleSchema = Type.Object(
  {
    establishedS: idleSeconds(PLAIN_DEFAULTS.idle.establishedS, "tcp: an open connection (RFC 5382 REQ-5)."),
    transitoryS: idleSeconds(
      PLAIN_DEFAULTS.idle.transitoryS,
      "tcp: one that opens, or has both FINs, or was reset.",
    ),
    flowS: idleSeconds(
      PLAIN_DEFAULTS.idle.flowS,
      "udp: a flow with packets in both directions, more than a question and its answer.",
    ),
    oneShotS: idleSeconds(PLAIN_DEFAULTS.idle.oneShotS, "udp: a flow that has not come so far."),
  },
  {
    ...closed,
    description: "tcp, udp: a flow without a packet in either direction for so long is forgotten, seconds.",
  },
);

export const ServiceSpecSchema = Type.Object(
  {
    name: Type.String({
      maxLength: 253,
      default: "",
      description: "A name for people and for metrics; the id when empty.",
    }),
    protocol: oneOf(["sctp", "tcp", "udp"], {
      default: "sctp",
      description: "Services of different protocols may have one port of one VIP.",
    }),
    vips: Type.Array(AddressSchema, {
      minItems: 1,
      maxItems: 4,
      uniqueItems: true,
      description: "The primary, then at most three secondaries.",
    }),
    port: PortSchema,
    selection: oneOf(SELECTION_MODES, {
      default: "leastAssociations",
      description: "How a new association's endpoint is chosen.",
    }),
    endpoints: Type.Array(EndpointSpecSchema, { maxItems: 32, default: [], description: "Servers." }),
    idleTimeoutS: Type.Integer({
      minimum: 210,
      maximum: 86_400,
      default: 900,
      description:
        "sctp: an association without traffic on any path for this long is forgotten, seconds. Of tcp and udp see idle.",
    }),
    restartNewAddresses: oneOf(["abort", "accept"], {
      default: "abort",
      description: "RFC 9260 §5.2.2: what a restart that adds addresses gets.",
    }),
    clientPrefixes: Type.Array(PrefixSchema, {
      maxItems: 64,
      default: [],
      description:
        "Private prefixes in which addresses that clients list are believed, beside those with a route other than the default.",
    }),
    allowedSources: Type.Optional(
      Type.Array(PrefixSchema, {
        maxItems: 256,
        default: [],
        description:
          "Prefixes from which associations may begin; empty: from anywhere. Of a family that is not listed nobody may.",
      }),
    ),
    withdrawWhenDown: Type.Boolean({
      default: false,
      description: "Withdraw the VIPs while no endpoint is healthy.",
    }),
    endpointsMayBegin: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          "Whether an INIT from an endpoint's own address and port is carried to the service's peer; else it is refused.",
      }),
    ),
    peers: Type.Optional(
      Type.Array(AddressSchema, {
        maxItems: 8,
        uniqueItems: true,
        default: [],
        description:
          "Addresses of the client, on the service's port, that endpoints may begin with: called one after the other.",
      }),
    ),
    natPort: Type.Optional(
      oneOf(["any", "keep", "require"], {
        default: "keep",
        description:
          "The client's own port toward the endpoint. keep: when nobody else has it there; require: or the client is refused with an ABORT; any: as it comes.",
      }),
    ),
    healthCheck: Type.Optional(HealthCheckSchema),
    idle: Type.Optional(PlainIdleSchema),
    replicate: Type.Optional(
      oneOf(["always", "long-lived", "never"], {
        description: `tcp, udp, ${PLAIN_DEFAULTS.replicate} when absent: which flows the other members know. always: from the endpoint's first answer on; long-lived: once replicateAfterMs old, and at once before a planned move; never.`,
      }),
    ),
    replicateAfterMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3_600_000,
        description: `tcp, udp: how old a flow is when long-lived replicates it, ms; ${PLAIN_DEFAULTS.replicateAfterMs} when absent.`,
      }),
    ),
    proxyProtocol: Type.Optional(
      Type.Boolean({
        description:
          "tcp: whether each connection to an endpoint begins with a header of the PROXY protocol, version 2, that names the client. The endpoint must expect it.",
      }),
    ),
    stateless: Type.Optional(
      Type.Boolean({
        description:
          "udp with selection hash: a client's endpoint follows from its address alone, and nothing is remembered but the way back for answers. No sessions. tcp: the kernel begins connections by itself, toward endpoints that were chosen before; they are sessions once they are replicateAfterMs old. Not with selection hash or persist, replicate always, or proxyProtocol.",
      }),
    ),
    sourceAddresses: Type.Optional(
      Type.Array(AddressSchema, {
        maxItems: 16,
        uniqueItems: true,
        description:
          "tcp, udp: further addresses that endpoints are talked to from, once the NAT ports of the VIP toward one are in use: 64,512 more each. The member that owns the first VIP of the family answers for them.",
      }),
    ),
    announce: Type.Optional(ServiceAnnounceSchema),
    endpointRemoval: Type.Optional(EndpointRemovalSchema),
  },
  closed,
);
/** A service with every default filled in. */
export type ServiceSpec = Static<typeof ServiceSpecSchema>;

export const EndpointHealthSchema = oneOf(["up", "down", "unknown"], {
  description: "unknown: not probed yet, or health.enabled is false.",
});

export const EndpointViewSchema = Type.Object(
  {
    ...EndpointSpecSchema.properties,
    address: AddressSchema,
    health: EndpointHealthSchema,
    reason: Type.Optional(Type.String({ description: "Why it is down." })),
    unproven: Type.Optional(
      Type.Array(Type.Object({ vip: AddressSchema, reason: Type.String() }, closed), {
        description:
          "VIPs from which the owner's INITs (SYNs of TCP) to it bring no answer back, though it is up: a warning, it is used all the same. Absent: none is known.",
      }),
    ),
    addressHealth: Type.Optional(
      Type.Array(
        Type.Object(
          {
            address: AddressSchema,
            health: EndpointHealthSchema,
            reason: Type.Optional(Type.String({ description: "Why it is down." })),
          },
          closed,
        ),
        { description: "Of a server with several addresses: which of them answer." },
      ),
    ),
    sameServerAs: Type.Optional(
      Type.Array(Type.String(), {
        description:
          "Other endpoints (ADDRESS:PORT) that are this same server: each lists the other in its answers to probes. Counted and judged as one.",
      }),
    ),
    sessions: Type.Integer({ description: "Living sessions that it carries." }),
  },
  closed,
);
export type EndpointView = Static<typeof EndpointViewSchema>;

export const NoteSchema = Type.Object(
  {
    code: Type.String({ description: "Stable; see docs/errors.md." }),
    message: Type.String({ description: "One sentence." }),
    remedy: Type.String({ description: "What to do." }),
  },
  closed,
);

const grace = {
  until: TimestampSchema,
  leftS: Type.Integer({ description: "Seconds left." }),
};

export const LeavingEndpointSchema = Type.Object(
  {
    address: AddressSchema,
    port: PortSchema,
    health: EndpointHealthSchema,
    sessions: Type.Integer({ description: "Living sessions that it still carries." }),
    ...grace,
  },
  closed,
);
export type LeavingEndpointView = Static<typeof LeavingEndpointSchema>;

export const ServiceViewSchema = Type.Object(
  {
    ...ServiceSpecSchema.properties,
    id: Type.String({ description: "PROTOCOL/PRIMARY:PORT; in a path, percent-encoded." }),
    endpoints: Type.Array(EndpointViewSchema),
    leaving: Type.Array(LeavingEndpointSchema, {
      description: "Endpoints that left the list and still carry their associations.",
    }),
    removal: Type.Optional(
      Type.Object(
        {
          mode: oneOf(["change", "drain"], {
            description:
              "change: deleted through LoxiLB's API, served as before, and back when it is posted again; drain: takes nothing new.",
          }),
          ...grace,
        },
        { ...closed, description: "It was deleted, and has its grace." },
      ),
    ),
    withheld: Type.Array(Type.Object({ vip: AddressSchema, by: Type.String() }, closed), {
      description: "Secondary VIPs that another service got: both changes were made at once.",
    }),
    source: oneOf(["file", "api"], { description: "file: it is in this member's configuration file." }),
    managedBy: Type.String({
      description: "api, loxilb, or file@ with the members whose configuration files have it.",
    }),
    sessions: Type.Integer({ description: "Living sessions." }),
    revision: Type.String({ description: "As in the ETag; changes with the service." }),
    warnings: Type.Array(NoteSchema, { description: "What is allowed, and likely not meant." }),
    refused: Type.Optional(
      Type.Object(NoteSchema.properties, {
        ...closed,
        description: "Why it is configured and not served: it came from another member and breaks the rule.",
      }),
    ),
  },
  closed,
);
export type ServiceView = Static<typeof ServiceViewSchema>;
