// Services as the operator writes them: the same shape in the configuration file, in requests and in replies.
import { type Static, Type } from "@sinclair/typebox";
import "../formats.ts";
import { oneOf } from "./enumeration.ts";

const closed = { additionalProperties: false } as const;

export const AddressSchema = Type.String({ format: "ip-address", description: "IPv4 or IPv6 address." });
export const PrefixSchema = Type.String({ format: "ip-prefix", description: "Prefix in CIDR notation." });
export const PortSchema = Type.Integer({ minimum: 1, maximum: 65535, description: "SCTP port." });

export const SELECTION_MODES = ["leastAssociations", "roundRobin", "weighted", "hash", "persist"] as const;

export const EndpointSpecSchema = Type.Object(
  {
    address: AddressSchema,
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
  },
  closed,
);
export type EndpointSpec = Static<typeof EndpointSpecSchema>;

export const ServiceSpecSchema = Type.Object(
  {
    name: Type.String({
      maxLength: 253,
      default: "",
      description: "A name for people and for metrics; the id when empty.",
    }),
    protocol: oneOf(["sctp"], { default: "sctp", description: "TCP and UDP come later." }),
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
      description: "An association without traffic on any path for this long is forgotten, seconds.",
    }),
    restartNewAddresses: oneOf(["abort", "accept"], {
      default: "abort",
      description: "RFC 9260 §5.2.2: what a restart that adds addresses gets.",
    }),
    clientPrefixes: Type.Array(PrefixSchema, {
      maxItems: 64,
      default: [],
      description: "Private prefixes that client addresses are accepted from, beside those with a route.",
    }),
    withdrawWhenDown: Type.Boolean({
      default: false,
      description: "Withdraw the VIPs while no endpoint is healthy.",
    }),
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
    health: EndpointHealthSchema,
    reason: Type.Optional(Type.String({ description: "Why it is down." })),
    sessions: Type.Integer({ description: "Living sessions that it carries." }),
  },
  closed,
);
export type EndpointView = Static<typeof EndpointViewSchema>;

export const ServiceViewSchema = Type.Object(
  {
    ...ServiceSpecSchema.properties,
    id: Type.String({ description: "sctp/PRIMARY:PORT; in a path, percent-encoded." }),
    endpoints: Type.Array(EndpointViewSchema),
    source: oneOf(["file", "api"], { description: "file: it is in this member's configuration file." }),
    sessions: Type.Integer({ description: "Living sessions." }),
    revision: Type.String({ description: "As in the ETag; changes with the service." }),
  },
  closed,
);
export type ServiceView = Static<typeof ServiceViewSchema>;
