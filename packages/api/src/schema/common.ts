// Pieces that several resources share.
import { type Static, type TSchema, Type } from "typebox";

export const closed = { additionalProperties: false } as const;

/** RFC 9457 problem details; `code` is stable and listed in docs/errors.md. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: "Always about the code: urn:holdfast:error:CODE." }),
    title: Type.String({ description: "What happened, one sentence." }),
    status: Type.Integer(),
    code: Type.String({ description: "Stable; see docs/errors.md." }),
    detail: Type.String({ description: "What to do." }),
    instance: Type.Optional(Type.String({ description: "The request's id, as in the log." })),
    fields: Type.Optional(
      Type.Array(
        Type.Object({ field: Type.String(), reason: Type.String(), remedy: Type.String() }, closed),
        { description: "Every field that was wrong." },
      ),
    ),
  },
  closed,
);
export type Problem = Static<typeof ProblemSchema>;

/** What a token is good for: `read` looks, `operate` changes and traces, too. */
export const ROLES = ["read", "operate"] as const;
export type Role = (typeof ROLES)[number];
/** The answer's header with the role that the request had. */
export const ROLE_HEADER = "holdfast-role";

/** One page of a list; `next` is absent on the last. */
export function pageOf<T extends TSchema>(items: T) {
  return Type.Object(
    {
      items: Type.Array(items),
      next: Type.Optional(Type.String({ description: "Send it as `cursor` for the next page." })),
    },
    closed,
  );
}

export const TimestampSchema = Type.String({ description: "RFC 3339, UTC, by the member's own clock." });
export const TagSchema = Type.String({
  description: "32-bit tag in hexadecimal, as packet analysers show it.",
});

/** `0x` and eight digits. */
export function tagText(tag: number): string {
  return `0x${(tag >>> 0).toString(16).padStart(8, "0")}`;
}
