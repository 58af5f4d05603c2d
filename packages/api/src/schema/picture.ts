// The cluster in one answer: what a page, or a script, needs to show all of it.
import { type Static, Type } from "typebox";
import { MemberViewSchema, RouterViewSchema, VipSchema } from "./cluster.ts";
import { closed, TimestampSchema } from "./common.ts";
import { oneOf } from "./enumeration.ts";
import { AddressSchema } from "./service.ts";

const AnnouncementSchema = VipSchema.properties.announcements.items;
const CountSchema = Type.Object({ name: Type.String(), count: Type.Integer() }, closed);

/** What a member tells of itself. */
export const MemberReportSchema = Type.Object(
  {
    member: Type.String(),
    at: TimestampSchema,
    version: Type.String(),
    startedAt: TimestampSchema,
    ready: Type.Boolean(),
    failing: Type.Array(
      Type.Object({ name: Type.String(), required: Type.Boolean(), detail: Type.String() }, closed),
      { description: "Checks of its readiness that fail; a required one keeps it from owning VIPs." },
    ),
    fastPath: Type.String(),
    sessions: Type.Integer({ description: "In its tables, of every protocol." }),
    natPortsUsed: Type.Integer({ description: "NAT ports in use, of all endpoints." }),
    interfaces: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          network: Type.String(),
          roles: Type.Array(Type.String()),
          up: Type.Boolean(),
        },
        closed,
      ),
    ),
    peers: Type.Array(
      Type.Object(
        {
          member: Type.String(),
          connected: Type.Boolean(),
          lagMs: Type.Number({ description: "Of what it sends to that one, latest." }),
          queue: Type.Integer({ description: "Bytes that wait for that one." }),
        },
        closed,
      ),
      { description: "Replication to each other member." },
    ),
    announcements: Type.Array(
      Type.Object({ vip: AddressSchema, places: Type.Array(AnnouncementSchema) }, closed),
    ),
    routers: Type.Array(RouterViewSchema),
    drops: Type.Array(CountSchema, { description: "Packets dropped since its start, by reason." }),
    traffic: Type.Array(CountSchema, { description: "The other totals of its fast path." }),
    api: Type.Array(Type.String(), {
      description: "Origins at which a page of another member may ask it: `api.url`, or where it listens.",
    }),
  },
  closed,
);
export type MemberReport = Static<typeof MemberReportSchema>;

export const ClusterMemberSchema = Type.Object(
  {
    ...MemberViewSchema.properties,
    heardMsAgo: Type.Optional(Type.Integer({ description: "How old the report is; absent without one." })),
    report: Type.Optional(MemberReportSchema),
  },
  closed,
);
export type ClusterMember = Static<typeof ClusterMemberSchema>;

export const ClusterVipSchema = Type.Object(
  {
    ...VipSchema.properties,
    announcements: Type.Array(
      Type.Object({ member: Type.String(), ...AnnouncementSchema.properties }, closed),
      { description: "By every member that was heard." },
    ),
  },
  closed,
);
export type ClusterVip = Static<typeof ClusterVipSchema>;

export const ClusterServiceSchema = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    protocol: oneOf(["sctp", "tcp", "udp"]),
    vips: Type.Array(AddressSchema),
    port: Type.Integer(),
    selection: Type.String(),
    sessions: Type.Integer(),
    source: oneOf(["file", "api"]),
    draining: Type.Boolean({ description: "It was deleted, and its sessions go on for the grace." }),
    refused: Type.Optional(Type.String({ description: "Why it is not served." })),
    endpoints: Type.Array(
      Type.Object(
        {
          endpoint: Type.String({ description: "ADDRESS:PORT." }),
          state: oneOf(["active", "drain", "leaving"]),
          weight: Type.Integer(),
          health: oneOf(["up", "down", "unknown"]),
          reason: Type.Optional(Type.String()),
          unproven: Type.Optional(
            Type.String({ description: "Why the way of a VIP to it is not known to work, though it is up." }),
          ),
          sessions: Type.Integer(),
          natPortShare: Type.Number({
            description: "Of the ports of the living members toward it that its sessions use, 0 … 1.",
          }),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type ClusterService = Static<typeof ClusterServiceSchema>;

export const ALERT_SEVERITIES = ["critical", "warning", "info"] as const;
export const AlertSchema = Type.Object(
  {
    code: Type.String({ description: "Stable." }),
    severity: oneOf(ALERT_SEVERITIES),
    subject: Type.String({ description: "The member, VIP, endpoint or router." }),
    message: Type.String({ description: "One sentence." }),
    remedy: Type.String({ description: "What to do." }),
  },
  closed,
);
export type Alert = Static<typeof AlertSchema>;

export const ClusterSchema = Type.Object(
  {
    at: TimestampSchema,
    cluster: Type.String(),
    member: Type.String({ description: "The member that answers." }),
    version: Type.String(),
    sessions: Type.Integer({ description: "Living sessions, as this member holds them." }),
    members: Type.Array(ClusterMemberSchema),
    vips: Type.Array(ClusterVipSchema),
    services: Type.Array(ClusterServiceSchema),
    alerts: Type.Array(AlertSchema, { description: "The worst first." }),
  },
  closed,
);
export type ClusterPicture = Static<typeof ClusterSchema>;
