// VIPs, members, events, health.
import { type Static, Type } from "typebox";
import { closed, TimestampSchema } from "./common.ts";
import { oneOf } from "./enumeration.ts";
import { AddressSchema, NoteSchema } from "./service.ts";

export const VipSchema = Type.Object(
  {
    vip: AddressSchema,
    services: Type.Array(Type.String({ description: "Service id." })),
    owner: Type.Optional(Type.String({ description: "Absent: nobody may own it now; the reasons say why." })),
    pin: Type.Optional(
      Type.String({
        description: "The member that an operator pinned it to: it owns the VIP whenever it can.",
      }),
    ),
    candidates: Type.Array(Type.String(), { description: "Owner first, then the first successor, …" }),
    reasons: Type.Array(Type.String(), {
      description: "Why, for each candidate and each member passed over.",
    }),
    announcements: Type.Array(
      Type.Object(
        {
          interface: Type.String({ description: "An interface of l2, a router of bgp; - for neither." }),
          kind: Type.String(),
          rank: Type.Optional(Type.Integer({ description: "0: as its owner; 1: as the first successor, …" })),
          leaving: Type.Optional(Type.Boolean({ description: "This member drains." })),
          trouble: Type.Optional(
            Type.String({ description: "Why it leads no traffic here although it is announced." }),
          ),
          since: Type.Optional(TimestampSchema),
        },
        closed,
      ),
      { description: "Where this member announces it; empty at the others." },
    ),
    clash: Type.Optional(
      Type.Object(
        {
          code: Type.String({ description: "VIP_IS_MEMBER_ADDRESS, VIP_IS_GATEWAY or VIP_IS_BROADCAST." }),
          member: Type.String({ description: "Whose address, gateway or network it is." }),
          interface: Type.String({ description: "Empty when it is not known." }),
          servedHere: Type.Boolean({
            description:
              "This member serves it all the same: it was in service before, and the address is another's.",
          }),
          message: Type.String({ description: "One sentence." }),
        },
        { ...closed, description: "The VIP is somebody's address." },
      ),
    ),
  },
  closed,
);
export type VipView = Static<typeof VipSchema>;

export const PinSpecSchema = Type.Object(
  { member: Type.String({ minLength: 1, maxLength: 63, description: "Name of the member." }) },
  closed,
);
export type PinSpec = Static<typeof PinSpecSchema>;

const RouterRouteSchema = Type.Object(
  {
    vip: AddressSchema,
    rank: Type.Optional(
      Type.Integer({ description: "0: this member owns it; 1: it is the first successor, …" }),
    ),
    leaving: Type.Optional(Type.Boolean({ description: "This member drains." })),
    sent: Type.Boolean({ description: "The speaker is ordered to send it to this router." }),
    reason: Type.String({ description: "Why, or why not." }),
    med: Type.Optional(Type.Integer()),
    prepend: Type.Optional(Type.Integer()),
    localPref: Type.Optional(Type.Integer()),
    communities: Type.Optional(Type.Array(Type.String())),
    largeCommunities: Type.Optional(Type.Array(Type.String())),
    origin: Type.Optional(Type.String()),
  },
  closed,
);

export const RouterViewSchema = Type.Object(
  {
    name: Type.String(),
    address: Type.String({ description: "The neighbour's, or the interface on which it is looked for." }),
    as: Type.Integer(),
    localAs: Type.Integer(),
    session: oneOf(
      ["Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Passive", "Down"],
      { description: "RFC 4271 §8.2.2; Down while the speaker does not run." },
    ),
    bfd: Type.Optional(
      oneOf(["Up", "Down", "Init", "AdminDown"], {
        description: "Absent: not configured. A session can be up with BFD down: then nobody watches it.",
      }),
    ),
    info: Type.String({ description: "What the speaker says about it; empty when all is well." }),
    since: TimestampSchema,
    flaps: Type.Integer({ description: "How often the session was lost since the member's start." }),
    routes: Type.Array(RouterRouteSchema),
    warnings: Type.Array(NoteSchema, { description: "What is allowed, silent, and likely not meant." }),
  },
  closed,
);
export type RouterView = Static<typeof RouterViewSchema>;

export const MemberViewSchema = Type.Object(
  {
    name: Type.String(),
    number: Type.Integer(),
    zone: Type.String(),
    self: Type.Boolean(),
    phase: oneOf(["alive", "suspect", "dead", "unknown"], { description: "As this member believes." }),
    ready: Type.Boolean(),
    draining: Type.Boolean(),
    addresses: Type.Array(AddressSchema),
    vips: Type.Array(AddressSchema, { description: "VIPs that it owns." }),
    sessions: Type.Optional(Type.Integer({ description: "Sessions in its table." })),
    lagMs: Type.Optional(Type.Number({ description: "Replication lag of what it sends, latest." })),
    queue: Type.Optional(Type.Integer({ description: "Bytes that wait to be sent to it." })),
    incarnation: Type.Optional(Type.String()),
    version: Type.Optional(Type.String()),
    capabilities: Type.Optional(
      Type.Array(Type.String(), {
        description:
          "What it can read beyond what every version reads, as it said when it was connected last; absent: not since this member's start.",
      }),
    ),
    offered: Type.Optional(
      Type.Array(Type.String(), {
        description: "Of this member: capabilities that all have; only what these stand for is written.",
      }),
    ),
    reason: Type.Optional(Type.String({ description: "Why it is not ready or not alive." })),
  },
  closed,
);
export type MemberView = Static<typeof MemberViewSchema>;

export const MemberSpecSchema = Type.Object(
  {
    name: Type.String({
      pattern: "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
      maxLength: 63,
      description: "As in its certificate.",
    }),
    number: Type.Integer({
      minimum: 0,
      maximum: 63,
      description: "As in its certificate: nobody's, and not one that rests.",
    }),
    zone: Type.Optional(Type.String({ maxLength: 63, description: "Failure domain." })),
    addresses: Type.Array(
      Type.Union([
        AddressSchema,
        Type.Object(
          { network: Type.String({ minLength: 1, maxLength: 63 }), address: AddressSchema },
          closed,
        ),
      ]),
      {
        minItems: 1,
        maxItems: 8,
        description:
          "One on each network. An address alone belongs to the network of the interface whose prefix contains it, at every member.",
      },
    ),
    probePort: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    replicationPort: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
  },
  closed,
);
export type MemberSpec = Static<typeof MemberSpecSchema>;

export const MemberListSchema = Type.Object(
  {
    items: Type.Array(MemberViewSchema),
    version: Type.Integer({ description: "Of the list; 0: as in the files, nobody has changed it." }),
    resting: Type.Array(
      Type.Object(
        {
          number: Type.Integer(),
          name: Type.String({ description: "Who had it." }),
          waitS: Type.Integer({
            description: "It is not given before so many seconds, as this member knows.",
          }),
        },
        closed,
      ),
      { description: "Numbers of members that were removed." },
    ),
  },
  closed,
);
export type MemberListView = Static<typeof MemberListSchema>;

export const RevocationViewSchema = Type.Object(
  {
    id: Type.String({ description: "serial:HEX or member:NAME." }),
    serial: Type.Optional(Type.String({ description: "Of one certificate, hexadecimal." })),
    member: Type.Optional(Type.String({ description: "All its certificates that were issued until `at`." })),
    at: TimestampSchema,
  },
  closed,
);
export type RevocationView = Static<typeof RevocationViewSchema>;

export const RevocationSpecSchema = Type.Object(
  {
    serial: Type.Optional(
      Type.String({ minLength: 1, maxLength: 80, description: "Of one certificate, hexadecimal." }),
    ),
    member: Type.Optional(
      Type.String({
        pattern: "^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$",
        description: "All its certificates that were issued until now; one that is issued later is good.",
      }),
    ),
  },
  closed,
);
export type RevocationSpec = Static<typeof RevocationSpecSchema>;

export const EVENT_TYPES = [
  "ownership",
  "membership",
  "session",
  "service",
  "readiness",
  "router",
  "overflow",
] as const;
export const EventSchema = Type.Object(
  {
    id: Type.String({
      description:
        "The place in the stream: send the last one as Last-Event-ID, to any member, to go on from there.",
    }),
    at: TimestampSchema,
    type: oneOf(EVENT_TYPES),
    member: Type.String({ description: "The member that saw it." }),
    message: Type.String({ description: "One sentence." }),
    vip: Type.Optional(AddressSchema),
    from: Type.Optional(Type.String()),
    to: Type.Optional(Type.String()),
    session: Type.Optional(Type.String()),
    service: Type.Optional(Type.String()),
    cause: Type.Optional(Type.String()),
  },
  closed,
);
export type NodeEvent = Static<typeof EventSchema>;

export const HealthSchema = Type.Object(
  {
    status: oneOf(["ok", "notReady"]),
    member: Type.String(),
    version: Type.String(),
    checks: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          ok: Type.Boolean(),
          required: Type.Boolean({ description: "false: the member is ready all the same, but look at it." }),
          detail: Type.String(),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type Health = Static<typeof HealthSchema>;

export const DataPlaneStatusSchema = Type.Object(
  {
    fallback: Type.Optional(
      Type.Object(
        { code: Type.String(), reason: Type.String() },
        {
          ...closed,
          description:
            "A faster mode was wanted and did not work: the error, with the verifier's words if it was that.",
        },
      ),
    ),
    interfaces: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          hooks: Type.Array(Type.String(), { description: "How the programs hang on it." }),
          takesRedirected: Type.Optional(
            Type.Boolean({ description: "Whether XDP can send to it; absent without XDP." }),
          ),
          programsBefore: Type.Optional(
            Type.Integer({ description: "TC programs of others that see its packets before the fast path." }),
          ),
          receiveDrops: Type.Integer({
            description: "Packets that the interface itself dropped on receipt.",
          }),
          transmitDrops: Type.Integer({ description: "The same on sending." }),
        },
        closed,
      ),
    ),
    viaTc: Type.Array(Type.Object({ from: Type.String(), to: Type.String() }, closed), {
      description: "What comes in by one and leaves by the other goes by TC, since XDP cannot send there.",
    }),
  },
  { ...closed, description: "The interfaces that the fast path serves now." },
);
export type DataPlaneStatus = Static<typeof DataPlaneStatusSchema>;

export const HostStatusSchema = Type.Object(
  {
    loop: Type.Optional(
      Type.Object(
        {
          interface: Type.String({ description: "The end on which the programs hang." }),
          mtu: Type.Integer(),
          vips: Type.Integer({ description: "How many VIPs are routed to it." }),
        },
        closed,
      ),
    ),
    identityNat: Type.Optional(
      Type.Object({ table: Type.String(), vips: Type.Integer({ description: "In its sets." }) }, closed),
    ),
    warnings: Type.Array(
      Type.Object(
        {
          code: Type.String({ description: "Stable; see docs/errors.md." }),
          message: Type.String(),
          remedy: Type.String(),
        },
        closed,
      ),
    ),
  },
  { ...closed, description: "What the member prepared on its host (host in the configuration)." },
);
export type HostStatus = Static<typeof HostStatusSchema>;

export const NodeStatusSchema = Type.Object(
  {
    member: Type.String(),
    cluster: Type.String(),
    version: Type.String(),
    fastPath: Type.String({ description: "Mode of the fast path." }),
    dataPlane: DataPlaneStatusSchema,
    host: Type.Optional(HostStatusSchema),
    interfaces: Type.Array(
      Type.Object({ name: Type.String(), roles: Type.Array(Type.String()), up: Type.Boolean() }, closed),
    ),
    sessions: Type.Integer(),
    startedAt: TimestampSchema,
    pid: Type.Integer(),
  },
  closed,
);
export type NodeStatus = Static<typeof NodeStatusSchema>;
