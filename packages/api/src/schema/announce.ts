// What routers are told of a VIP, by the rank that a member has for it.
import { Type } from "typebox";
import { oneOf } from "./enumeration.ts";

const closed = { additionalProperties: false } as const;
/** As the model's RANK_COUNT_MAX. */
const RANK_COUNT_MAX = 8;
const UINT32_MAX = 4_294_967_295;

export const RankSchema = Type.Union(
  [
    Type.Literal(false, { description: "Who stands at this rank does not announce." }),
    Type.Object(
      {
        med: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: UINT32_MAX,
            description:
              "Multi-exit discriminator: lower is better. Left out: none is sent, which counts as 0.",
          }),
        ),
        prepend: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: 16,
            description: "How often the own AS stands before the path once more.",
          }),
        ),
        localPref: Type.Optional(
          Type.Integer({
            minimum: 0,
            maximum: UINT32_MAX,
            description: "Local preference: higher is better. Sent to routers of the own AS only.",
          }),
        ),
        communities: Type.Optional(
          Type.Array(
            Type.String({ pattern: "^\\d{1,5}:\\d{1,5}$", description: "Such as 65001:1 (RFC 1997)." }),
            { maxItems: 16 },
          ),
        ),
        largeCommunities: Type.Optional(
          Type.Array(
            Type.String({
              pattern: "^\\d{1,10}:\\d{1,10}:\\d{1,10}$",
              description: "Such as 65001:0:1 (RFC 8092).",
            }),
            { maxItems: 16 },
          ),
        ),
        origin: Type.Optional(oneOf(["igp", "egp", "incomplete"], { description: "Default: igp." })),
      },
      closed,
    ),
  ],
  { description: "Attributes of a VIP for which this member has that rank, or false." },
);

const OwnRanksSchema = Type.Array(RankSchema, {
  minItems: 1,
  maxItems: RANK_COUNT_MAX,
  description:
    "The first for the VIP's owner, the second for the first successor, …; the last one's hold behind it.",
});

/** As the model's RankPolicy: attributes, or false for a rank that is not announced. */
type Rank =
  | false
  | {
      readonly med?: number;
      readonly prepend?: number;
      readonly localPref?: number;
      readonly communities?: readonly string[];
      readonly largeCommunities?: readonly string[];
      readonly origin?: "igp" | "egp" | "incomplete";
    };

export interface ServiceAnnounceSpec {
  readonly ranks?: readonly Rank[];
  readonly routers?: Readonly<Record<string, readonly Rank[]>>;
  readonly spread?: boolean;
}

const AnnounceObject = Type.Object(
  {
    ranks: Type.Optional(OwnRanksSchema),
    routers: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 63 }), OwnRanksSchema, {
        maxProperties: 16,
        description: "Other ranks for some: by routers[].name or routers[].group of the configuration.",
      }),
    ),
    spread: Type.Optional(
      Type.Boolean({
        description:
          "All members announce its VIPs as the owner does: routers spread associations over them (ECMP). Associations live on when a router chooses anew.",
      }),
    ),
  },
  {
    ...closed,
    description:
      "What routers are told of its VIPs, in the place of the configuration's announce and routers[].announce. Of several services with one VIP, the first by id counts.",
  },
);
/** Nobody changes it in place: it goes as it is from requests to what is replicated. */
export const ServiceAnnounceSchema = Type.Unsafe<ServiceAnnounceSpec>(AnnounceObject);
