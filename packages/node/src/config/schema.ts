// The one schema of the configuration file. Every field has a description (docs/configuration.md is generated
// from it) and, where it can have one, a default, so that `holdfast config show` prints the whole truth.
import { ANNOUNCER_KINDS, ROUTER_COUNT_MAX } from "@holdfast/announcer";
import { AddressSchema, oneOf, oneOfNumbers, PrefixSchema, ROLES, ServiceSpecSchema } from "@holdfast/api";
import { MEMBER_NUMBER_COUNT_DEFAULT } from "@holdfast/model";
import { type Static, type TProperties, Type } from "typebox";
import { DataPlaneSchema } from "./data-plane.ts";
import { HostSchema } from "./host.ts";
import { RanksSchema, RouterSchema } from "./routers.ts";

const closed = { additionalProperties: false } as const;

/** A section that may be left out: its defaults apply. */
function section<T extends TProperties>(description: string, properties: T) {
  return Type.Object(properties, { ...closed, default: {}, description });
}
const upTo100 = (count: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 100, default: count, description });

const milliseconds = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, default: value, description: `${description} Milliseconds.` });
const seconds = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Number({ minimum, maximum, default: value, description: `${description} Seconds.` });
const port = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 65535, default: value, description });
const portNumber = (description: string) => Type.Integer({ minimum: 1, maximum: 65535, description });
const listen = (description: string, options: { default?: string } = {}) =>
  Type.String({ format: "listen-address", description, ...options });
const file = (description: string) => Type.String({ minLength: 1, description });

const NAME_PATTERN = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$";
const name = (description: string, options: { default?: string } = {}) =>
  Type.String({ pattern: NAME_PATTERN, maxLength: 63, description, ...options });
const memberNumber = (description: string, options: { default?: number } = {}) =>
  Type.Integer({ minimum: 0, maximum: 63, description, ...options });

const ApiTokenSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 63, description: "Whose it is, for people." }),
    role: oneOf(ROLES, {
      description: "read: looks at everything but packets; operate: changes and traces, too.",
    }),
    token: Type.Optional(Type.String({ minLength: 16, description: "Bearer token. Better: tokenFile." })),
    tokenFile: Type.Optional(file("File with the bearer token, at least 16 characters.")),
  },
  closed,
);
const AnnouncerKindSchema = oneOf(ANNOUNCER_KINDS);
const RoleSchema = oneOf(["path", "core", "cluster"]);

export const InterfaceSchema = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 15,
      description:
        "Interface name as the kernel knows it, or a pattern: `*` for any characters, `?` for one.",
    }),
    role: Type.Union([RoleSchema, Type.Array(RoleSchema, { minItems: 1, uniqueItems: true })], {
      description:
        "path: clients come in here; core: endpoints live here; cluster: other members. One, or a list of them.",
    }),
    network: Type.Optional(
      name("Name of the network behind it, the same at every member. The interface's name when absent."),
    ),
    vips: Type.Optional(
      Type.Array(PrefixSchema, {
        maxItems: 256,
        description:
          "Prefixes of the VIPs that belong to this network: when it is cut, they move. When absent: the VIPs inside the interface's own prefixes.",
      }),
    ),
  },
  closed,
);

export const MemberSchema = Type.Object(
  {
    name: name("The member's name, as in its own member.name."),
    number: memberNumber(
      "Its number: unique in the cluster, it decides which NAT ports the member allocates.",
    ),
    zone: Type.Optional(
      Type.String({ maxLength: 63, description: "Failure domain; VIPs of a service spread." }),
    ),
    addresses: Type.Array(
      Type.Union([
        AddressSchema,
        Type.Object(
          { network: name("The network's name, as in interfaces[].network."), address: AddressSchema },
          closed,
        ),
      ]),
      {
        minItems: 1,
        maxItems: 8,
        description:
          "Its addresses, one on each network; probes and replication use any that works. An address alone belongs to the network of the local interface whose prefix contains it.",
      },
    ),
    replicationPort: Type.Optional(portNumber("When it differs from replication.port.")),
    probePort: Type.Optional(portNumber("When it differs from coordinator.probePort.")),
  },
  closed,
);

export const ConfigurationSchema = Type.Object(
  {
    cluster: section("The cluster that this member belongs to.", {
      id: name("Members of another id are refused.", { default: "holdfast" }),
      memberNumberCount: oneOfNumbers([1, 2, 4, 8, 16, 32, 64], {
        default: MEMBER_NUMBER_COUNT_DEFAULT,
        description:
          "How many member numbers the cluster has room for: a power of two, the same at every member for the cluster's life.",
      }),
      join: Type.Array(Type.String({ pattern: "^(\\[[^\\]]+\\]|[^:\\[\\]]+):[0-9]{1,5}$", maxLength: 300 }), {
        maxItems: 64,
        default: [],
        description:
          "HOST:PORT of members' replication, one is enough: a new member takes the list of members from there. Names are resolved at every try.",
      }),
      admit: oneOf(["list", "certificate"], {
        default: "list",
        description:
          "list: whoever is on the list of members; certificate: whoever comes with a certificate of the authority is put on it.",
      }),
      secret: Type.Optional(
        Type.String({
          minLength: 16,
          description: "Shared by all members, authenticates probes. Better: secretFile.",
        }),
      ),
      secretFile: Type.Optional(
        file(
          "File with the shared secret, or two while members change over, a line each: the first is used. `holdfast certificates init` makes one.",
        ),
      ),
      certificates: Type.Optional(
        Type.Object(
          {
            authority: file("The cluster's certificate authority, PEM file."),
            certificate: file("This member's certificate, PEM file."),
            key: file("Its private key, PEM file."),
          },
          {
            ...closed,
            description: "Needed as soon as there are other members; `holdfast certificates` makes them.",
          },
        ),
      ),
    }),
    member: section("This member.", {
      name: Type.Optional(name("Unique in the cluster. The host's name when absent.")),
      number: Type.Optional(
        memberNumber(
          "Unique in the cluster, below cluster.memberNumberCount. The list's, or 0, when absent.",
        ),
      ),
      zone: Type.String({ maxLength: 63, default: "", description: "Failure domain." }),
    }),
    members: Type.Array(MemberSchema, {
      maxItems: 64,
      default: [],
      description: "All members of the cluster; this one may be listed too, so that one list serves all.",
    }),
    interfaces: Type.Array(InterfaceSchema, {
      maxItems: 64,
      default: [],
      description:
        "Interfaces to work on, those of a pattern as they come and go. Empty: every Ethernet interface that is up and no member of a bridge or bond, as path and core; with host.loop the host's own, not its pods'.",
    }),
    dataPlane: DataPlaneSchema,
    replication: section("How members share sessions and configuration.", {
      release: oneOf(["peer", "none"], {
        default: "peer",
        description:
          "peer: an INIT-ACK leaves only when another member holds its record; none: it does not wait.",
      }),
      releaseTimeoutMs: milliseconds(20, 1, 1000, "Longest wait of release: peer."),
      port: port(7081, "TCP port that members connect to."),
      listen: Type.Optional(
        listen("Listen only here. Every address of the member on replication.port when absent."),
      ),
    }),
    coordinator: section("Who is alive, and who owns which VIP.", {
      probePort: port(7082, "UDP port of the probes."),
      probeIntervalMs: milliseconds(
        50,
        5,
        1_000,
        "Between two probes. Times missedCountMax it is at most 2,000 ms.",
      ),
      missedCountMax: Type.Integer({
        minimum: 2,
        maximum: 100,
        default: 3,
        description: "Unanswered probes until a member is dead.",
      }),
      minimumMembers: Type.Integer({
        minimum: 1,
        maximum: 64,
        default: 1,
        description:
          "Take over no VIP while fewer members are alive, this one included; what a member owns it keeps.",
      }),
    }),
    announcer: section("How ownership becomes true on the network.", {
      kind: Type.Union(
        [
          AnnouncerKindSchema,
          Type.Array(AnnouncerKindSchema, { minItems: 1, maxItems: 2, uniqueItems: true }),
        ],
        {
          default: "l2",
          description:
            "l2: ARP and neighbour discovery on every path and core interface; bgp: routes for routers; none: routes are made elsewhere. One, or a list of l2 and bgp.",
        },
      ),
      l2Interfaces: Type.Optional(
        Type.Array(Type.String({ minLength: 1, maxLength: 15, description: "As interfaces[].name." }), {
          maxItems: 64,
          description: "Where l2 announces; the others are bgp's alone. When absent: everywhere.",
        }),
      ),
      localAs: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 4_294_967_295,
          description: "This member's AS toward routers that name no other; the same at all members.",
        }),
      ),
      routerId: Type.Optional(
        Type.String({
          pattern: "^(\\d{1,3}\\.){3}\\d{1,3}$",
          description: "BGP identifier. The host's first IPv4 address when absent.",
        }),
      ),
      speaker: oneOf(["bird", "gobgp"], {
        default: "bird",
        description: "The daemon that speaks BGP for this member: BIRD 2.0.12, or GoBGP 4.8, or newer.",
      }),
      gobgp: Type.String({
        pattern: "^/",
        default: "/usr/local/bin/gobgpd",
        description: "GoBGP's daemon, where it is the speaker.",
      }),
      bird: Type.String({
        pattern: "^/",
        default: "/usr/sbin/bird",
        description: "BIRD's program, 2.0.12 or newer.",
      }),
      directory: Type.String({
        pattern: "^/",
        default: "/run/holdfast/bgp",
        description: "Holds BIRD's generated file and its control socket.",
      }),
      holdDownMs: Type.Integer({
        minimum: 0,
        maximum: 600_000,
        default: 3_000,
        description:
          "For so long after a lost session is back, BFD included, its router is told that other members are better. 0: not. Milliseconds.",
      }),
    }),
    routers: Type.Array(RouterSchema, {
      maxItems: ROUTER_COUNT_MAX,
      default: [],
      description: "Routers that bgp announces VIPs to.",
    }),
    announce: RanksSchema,
    host: HostSchema,
    health: section("Probes of endpoints (INIT, INIT-ACK).", {
      enabled: Type.Boolean({ default: true, description: "Without it every endpoint counts as healthy." }),
      proveWays: Type.Boolean({
        default: true,
        description: "INITs and SYNs from VIPs, too: do answers come back?",
      }),
      intervalMs: milliseconds(1000, 100, 600_000, "Between two probes of an endpoint."),
      timeoutMs: milliseconds(500, 50, 60_000, "Until a probe counts as unanswered; less than the interval."),
      downCount: upTo100(3, "Unanswered probes until down."),
      upCount: upTo100(2, "Answered probes until up."),
    }),
    store: section("What survives a restart of the whole cluster.", {
      directory: Type.String({
        pattern: "^(/|$)",
        default: "/var/lib/holdfast",
        description: "Sessions and configuration; empty keeps nothing on disk.",
      }),
    }),
    api: section("The node's own API.", {
      listen: Type.Union(
        [listen("One place."), Type.Array(listen("Several."), { minItems: 1, maxItems: 8 })],
        {
          default: "127.0.0.1:7080",
          description:
            "ADDRESS:PORT or unix:/PATH, one or a list. Beyond the loopback a token and TLS are required.",
        },
      ),
      url: Type.Optional(
        Type.String({
          pattern: "^https?://[^/\\s]+$",
          description:
            "Where browsers reach this API, when it is not where it listens: pages of the other members go there when theirs is gone.",
        }),
      ),
      token: Type.Optional(Type.String({ minLength: 16, description: "Bearer token. Better: tokenFile." })),
      tokenFile: Type.Optional(file("File with the bearer token, at least 16 characters.")),
      tokens: Type.Array(ApiTokenSchema, {
        maxItems: 16,
        default: [],
        description: "Further tokens, each with what it is good for; token and tokenFile may do everything.",
      }),
      tls: Type.Optional(
        Type.Object(
          { certificate: file("PEM file."), key: file("PEM file.") },
          { ...closed, description: "TLS for every TCP listener." },
        ),
      ),
    }),
    loxilb: section("LoxiLB's REST API, so that loxicmd and kube-loxilb drive this node unchanged.", {
      enabled: Type.Boolean({ default: false, description: "Serve it." }),
      listen: listen("Where.", { default: "127.0.0.1:11111" }),
      allowRemote: Type.Array(
        Type.String({
          format: "address-or-prefix",
          description: "Address or prefix of clients that may come from beyond the loopback.",
        }),
        {
          maxItems: 256,
          default: [],
          description:
            "Addresses and prefixes of clients beyond the loopback. Empty: everybody with the token, over TLS; both are required then.",
        },
      ),
      token: Type.Optional(
        Type.String({
          minLength: 16,
          description: "Required as the raw Authorization header when set. Better: tokenFile.",
        }),
      ),
      tokenFile: Type.Optional(file("File with that token, at least 16 characters.")),
      tls: Type.Optional(
        Type.Object(
          { certificate: file("PEM file."), key: file("PEM file.") },
          { ...closed, description: "TLS for this listener; clients use https." },
        ),
      ),
      changeGraceMs: milliseconds(
        120_000,
        0,
        3_600_000,
        "A rule deleted and posted again within this time is a change; associations live on. kube-loxilb waits 30 s in between for every member that is dead.",
      ),
      metrics: Type.Boolean({
        default: true,
        description: "LoxiLB's metric names under /netlox/v1/metrics.",
      }),
    }),
    services: Type.Array(ServiceSpecSchema, {
      maxItems: 1024,
      default: [],
      description:
        "Services of the file, one source beside the APIs: what the file changes since it was applied last is applied, and nothing else.",
    }),
    removedServices: Type.Array(
      Type.Object(
        {
          service: Type.String({ minLength: 1, maxLength: 300, description: "Id or name." }),
          sessions: oneOf(["drain", "end"], {
            default: "drain",
            description:
              "drain: it takes nothing new, and living associations go on for its endpointRemoval.graceS; end: they end at once.",
          }),
        },
        closed,
      ),
      {
        maxItems: 1024,
        default: [],
        description:
          "Your word that services are gone from the file on purpose. Without it a reload that would take away a service with living associations is refused.",
      },
    ),
    clientPrefixes: Type.Array(PrefixSchema, {
      maxItems: 64,
      default: [],
      description: "Private prefixes in which addresses that clients list are believed, for every service.",
    }),
    timers: section("Time-outs of the tracker. Defaults are the recommended ones; scale is for tests.", {
      scale: Type.Number({
        exclusiveMinimum: 0,
        maximum: 100,
        default: 1,
        description: "Every time below is multiplied by it.",
      }),
      initS: seconds(15, 0.1, 3600, "An INIT without INIT-ACK."),
      handshakeS: seconds(75, 0.1, 3600, "From INIT-ACK to COOKIE-ACK."),
      shutdownS: seconds(60, 0.1, 3600, "SHUTDOWN seen, end not yet."),
      closedLingerS: seconds(
        30,
        0.1,
        3600,
        "A closed session still passes stragglers, and its NAT port rests.",
      ),
      quarantineS: seconds(600, 0.1, 86_400, "Rest of a NAT port after an end that nobody witnessed."),
    }),
    stop: section("Graceful stop.", {
      drainTimeoutMs: milliseconds(5000, 0, 600_000, "Longest wait for the successors to take over."),
    }),
    log: section("The log: one line of JSON for each change of state.", {
      level: oneOf(["trace", "debug", "info", "warn", "error", "silent"], {
        default: "info",
        description: "The least that is written.",
      }),
    }),
  },
  closed,
);

/** The configuration with every default filled in. */
export type Configuration = Static<typeof ConfigurationSchema>;
export type InterfaceRole = "path" | "core" | "cluster";
