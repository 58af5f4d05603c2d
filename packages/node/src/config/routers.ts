// Routers, and what they are told of a VIP at each rank: the part of the schema that concerns bgp.

import { AddressSchema, RankSchema } from "@holdfast/api";
import { RANK_COUNT_MAX } from "@holdfast/model";
import { type Static, Type } from "typebox";

const closed = { additionalProperties: false } as const;
const AS_MAX = 4_294_967_295;
const asNumber = (description: string) => Type.Integer({ minimum: 1, maximum: AS_MAX, description });

export const RanksSchema = Type.Array(RankSchema, {
  maxItems: RANK_COUNT_MAX,
  default: [],
  description:
    "What routers are told of a VIP by this member's rank for it: the first for its owner, the second for the first successor, …; the last one's hold for all behind it. Empty: MED 10, 20, 30, the own AS prepended 0, 1, 2 times, communities AS:1, AS:2, AS:3 and AS:0:1, …; local preference 300, 200, 100 inside the own AS.",
});

export const RouterSchema = Type.Object(
  {
    name: Type.String({
      pattern: "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
      maxLength: 63,
      description: "A name for people and for metrics.",
    }),
    address: Type.Optional(AddressSchema),
    interface: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 15,
        pattern: '^[^"\\\\\\s/]+$',
        description:
          "The interface of a link-local address; or, without an address, where a router is looked for by its own connection (IPv6 link-local).",
      }),
    ),
    group: Type.Optional(
      Type.String({ minLength: 1, maxLength: 63, description: "What services may call it and its like." }),
    ),
    port: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65_535, description: "Its TCP port. 179 when absent." }),
    ),
    as: asNumber("The router's AS."),
    localAs: Type.Optional(asNumber("This member's AS toward it. announcer.localAs when absent.")),
    networks: Type.Optional(
      Type.Array(Type.String({ maxLength: 63, description: "As interfaces[].network names it." }), {
        minItems: 1,
        maxItems: 16,
        description: "Networks whose VIPs it gets, beside those that belong to none. When absent: all VIPs.",
      }),
    ),
    bfd: Type.Optional(
      Type.Object(
        {
          intervalMs: Type.Integer({
            minimum: 10,
            maximum: 60_000,
            default: 100,
            description: "Between two packets, both ways; the slower side's counts. Milliseconds.",
          }),
          multiplier: Type.Integer({
            minimum: 2,
            maximum: 255,
            default: 3,
            description: "Packets missed until the other is down.",
          }),
        },
        {
          ...closed,
          description:
            "Bidirectional forwarding detection (RFC 5880) beside the session; multihop when it is.",
        },
      ),
    ),
    password: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 80,
        pattern: '^[^"\\\\\\r\\n]+$',
        description: "TCP MD5 (RFC 2385). Better: passwordFile.",
      }),
    ),
    passwordFile: Type.Optional(
      Type.String({ minLength: 1, description: "File with the password; its first line counts." }),
    ),
    ttlSecurity: Type.Boolean({
      default: false,
      description: "Only packets that no router has passed on (RFC 5082); the router needs it too.",
    }),
    multihop: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 255,
        description: "Hops to a router that is not on the link.",
      }),
    ),
    holdS: Type.Integer({
      minimum: 3,
      maximum: 65_535,
      default: 30,
      description: "Hold time. 9 where BFD is absent. Seconds.",
    }),
    ipv6: Type.Boolean({
      default: false,
      description: "IPv6 VIPs go over this IPv4 session, too.",
    }),
    extendedNextHop: Type.Boolean({
      default: false,
      description: "IPv4 VIPs go over this IPv6 session, too, with an IPv6 next hop (RFC 8950).",
    }),
    passive: Type.Boolean({ default: false, description: "Wait for the router to connect." }),
    announce: Type.Optional(RanksSchema),
  },
  closed,
);

export type RouterSpecification = Static<typeof RouterSchema>;
