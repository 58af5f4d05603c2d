// Sessions: a page of summaries for lists, everything known for one.
import { type Static, Type } from "typebox";
import { closed, pageOf, TagSchema, TimestampSchema } from "./common.ts";
import { oneOf } from "./enumeration.ts";
import { AddressSchema } from "./service.ts";

export const PHASE_NAMES = [
  "init",
  "initAck",
  "cookieEchoed",
  "established",
  "shutdown",
  "shutdownAck",
  "closed",
  // Of TCP and UDP.
  "opening",
  "closing",
  "timeWait",
] as const;
export const PhaseSchema = oneOf(PHASE_NAMES, {
  description:
    "What the tracker believes. Of tcp: opening, established, closing (one FIN is acknowledged), timeWait (both are), closed; of udp: opening until the client speaks again after an answer, established, closed.",
});

export const SESSION_PAGE_DEFAULT = 100;
export const SESSION_PAGE_MAX = 1000;

export const SessionQuerySchema = Type.Object(
  {
    service: Type.Optional(Type.String({ description: "Service id or name." })),
    client: Type.Optional(AddressSchema),
    vip: Type.Optional(AddressSchema),
    endpoint: Type.Optional(
      Type.String({ description: "ADDRESS, or ADDRESS:PORT ([ADDRESS]:PORT for IPv6)." }),
    ),
    natPort: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    clientPort: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
    tag: Type.Optional(
      Type.String({
        pattern: "^(0x)?[0-9a-fA-F]{1,8}$",
        description: "A tag of either side, of any generation, in hexadecimal.",
      }),
    ),
    phase: Type.Optional(PhaseSchema),
    protocol: Type.Optional(oneOf(["sctp", "tcp", "udp"], { description: "Of this protocol alone." })),
    owner: Type.Optional(Type.String({ description: "A member that owns one of the session's VIPs." })),
    member: Type.Optional(
      Type.String({ description: "The member (name or number) that allocated the NAT port." }),
    ),
    cursor: Type.Optional(Type.String({ maxLength: 256, description: "`next` of the page before." })),
    limit: Type.Integer({ minimum: 1, maximum: SESSION_PAGE_MAX, default: SESSION_PAGE_DEFAULT }),
  },
  closed,
);
export type SessionQuery = Static<typeof SessionQuerySchema>;

const summary = {
  id: Type.String({ description: "uuid, the same at every member." }),
  protocol: Type.String({
    description:
      "sctp, or that of a later version: such a session is carried for other members, and no more.",
  }),
  service: Type.String({ description: "Service id." }),
  serviceName: Type.String(),
  phase: Type.Union([PhaseSchema, Type.Literal("unknown")], {
    description: "unknown: of a protocol that this member does not know.",
  }),
  clientPort: Type.Integer(),
  clients: Type.Array(AddressSchema, { description: "The client's addresses." }),
  endpoint: Type.Optional(
    Type.String({ description: "ADDRESS:PORT of the endpoint that carries it; absent before an answer." }),
  ),
  natPort: Type.Optional(Type.Integer({ description: "The client's port as the endpoint sees it." })),
  member: Type.Optional(Type.String({ description: "The member that allocated the NAT port." })),
  pending: Type.Boolean({ description: "A restart is unproven." }),
  createdAt: TimestampSchema,
  ended: Type.Optional(Type.String({ description: "Why it ended." })),
};
export const SessionSummarySchema = Type.Object(summary, closed);
export type SessionSummary = Static<typeof SessionSummarySchema>;

export const SessionPageSchema = pageOf(SessionSummarySchema);
export type SessionPage = Static<typeof SessionPageSchema>;

export const FlowCountersSchema = Type.Object(
  {
    packets: Type.Integer(),
    bytes: Type.Integer(),
    lastSeenMsAgo: Type.Optional(Type.Integer({ description: "Absent when no packet passed." })),
  },
  closed,
);

export const PathCountersSchema = Type.Object(
  {
    member: Type.String({ description: "The member whose fast path counted." }),
    vip: AddressSchema,
    client: AddressSchema,
    up: FlowCountersSchema,
    down: FlowCountersSchema,
  },
  closed,
);
export type PathCounters = Static<typeof PathCountersSchema>;

export const SessionPathSchema = Type.Object(
  {
    index: Type.Integer({ description: "0 is the primary." }),
    vip: AddressSchema,
    pairedClient: Type.Optional(AddressSchema),
    pairedGaveWay: Type.Optional(
      Type.Literal(true, {
        description:
          "The paired address had its HEARTBEAT and never proved itself: the path goes to the one last heard.",
      }),
    ),
    lastHeard: Type.Optional(Type.Object({ client: AddressSchema, member: Type.String() }, closed)),
    owner: Type.Optional(Type.String({ description: "The member that announces the VIP now." })),
    successor: Type.Optional(Type.String()),
  },
  closed,
);

export const CandidateSchema = Type.Object(
  {
    member: Type.String(),
    endpoint: Type.String(),
    endpointAddresses: Type.Array(AddressSchema, {
      description:
        "The endpoint's addresses in this association, as its INIT-ACKs told; empty: the configured one.",
    }),
    natPort: Type.Integer(),
    endpointTag: TagSchema,
    echoed: Type.Boolean({ description: "A COOKIE-ECHO carried its tag." }),
    committed: Type.Boolean({ description: "The endpoint has shown it to be in force." }),
  },
  closed,
);

export const GenerationSchema = Type.Object(
  {
    role: oneOf(["current", "pending", "past"]),
    phase: PhaseSchema,
    clientTag: TagSchema,
    arrivalVip: Type.Integer(),
    source: AddressSchema,
    listed: Type.Array(AddressSchema),
    pairing: Type.Array(AddressSchema),
    aborted: Type.Boolean(),
    candidates: Type.Array(CandidateSchema),
  },
  closed,
);

export const SessionDetailSchema = Type.Object(
  {
    ...summary,
    bodyUnderstood: Type.Boolean({
      description:
        "false: of a protocol that this member does not know; clients, generations and counters are then unknown, not none.",
    }),
    clientAddresses: Type.Array(Type.Object({ address: AddressSchema, verified: Type.Boolean() }, closed)),
    generations: Type.Array(GenerationSchema),
    commit: Type.Optional(Type.Object({ epoch: Type.Integer(), clientTag: TagSchema }, closed)),
    paths: Type.Array(SessionPathSchema),
    counters: Type.Array(PathCountersSchema, { description: "Each member's own; asked for when read." }),
    replication: Type.Array(
      Type.Object(
        {
          member: Type.String(),
          state: oneOf(["holds", "behind", "unknown"]),
          lagMs: Type.Optional(Type.Number()),
        },
        closed,
      ),
    ),
    history: Type.Array(
      Type.Object(
        {
          at: TimestampSchema,
          phase: PhaseSchema,
          origin: oneOf(["local", "remote"], { description: "Seen here, or learned from a member." }),
          note: Type.Optional(Type.String()),
        },
        closed,
      ),
      { description: "Phases as this member saw them change, oldest first; bounded." },
    ),
    activity: Type.Integer({ description: "Activity epoch, raised each quarter of the idle limit." }),
    end: Type.Optional(
      Type.Object(
        {
          cause: Type.String(),
          absorbing: Type.Boolean(),
          epochSeen: Type.Integer(),
          phaseSeen: PhaseSchema,
        },
        closed,
      ),
    ),
  },
  closed,
);
export type SessionDetail = Static<typeof SessionDetailSchema>;
