// Take-overs: when a VIP went from one member to another, and how long each step took.
import { type Static, Type } from "typebox";
import { closed, TimestampSchema } from "./common.ts";
import { oneOf } from "./enumeration.ts";
import { AddressSchema } from "./service.ts";

/** Kept by the cluster, in the memory of its members. */
export const TAKE_OVER_KEPT_COUNT_MAX = 100;

export const TakeOverSchema = Type.Object(
  {
    id: Type.String({ description: "The same at every member." }),
    at: TimestampSchema,
    vip: AddressSchema,
    from: Type.Optional(Type.String({ description: "Absent: the one before is not known." })),
    to: Type.String({ description: "The member that took it, and measured." }),
    cause: oneOf(["death", "planned"], {
      description: "death: the owner fell silent; planned: it let go, `at` is then.",
    }),
    verdictMs: Type.Optional(
      Type.Number({ description: "Death: from the last sign of life (`at`) until it was presumed dead." }),
    ),
    announcedMs: Type.Number({ description: "Until the new owner had announced the VIP, from `at`." }),
    firstPacketMs: Type.Optional(
      Type.Number({
        description:
          "Until a client's packet to the VIP passed the new owner, from `at`; of up to 16 sessions, and within 5 s. Absent: none did.",
      }),
    ),
    sessions: Type.Integer({ description: "Living sessions of the VIP's services then." }),
  },
  closed,
);
export type TakeOver = Static<typeof TakeOverSchema>;
