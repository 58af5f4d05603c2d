import {
  ProblemSchema,
  type RevocationSpec,
  RevocationSpecSchema,
  RevocationViewSchema,
} from "@holdfast/api";
import { HoldfastError } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import type { ApiSources } from "../sources.ts";

const closed = { additionalProperties: false } as const;
const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };
const tags = ["cluster"];
const Id = Type.Object({ id: Type.String({ maxLength: 300, description: "serial:HEX or member:NAME." }) });

/** Certificates of members that are not believed any more. */
export function certificateRoutes({ revocations, events, logger }: ApiSources) {
  function told(message: string): void {
    logger.warn({}, message);
    events.emit({ type: "membership", message });
  }

  return async (app: FastifyInstance) => {
    app.get(
      "/v1/certificates/revocations",
      {
        schema: {
          tags,
          summary: "Revoked certificates of members",
          response: { 200: Type.Object({ items: Type.Array(RevocationViewSchema) }, closed), ...problems },
        },
      },
      async () => ({ items: revocations.list() }),
    );

    app.post<{ Body: RevocationSpec }>(
      "/v1/certificates/revocations",
      {
        schema: {
          tags,
          summary: "Revoke one certificate, or all of a member: its links end, its probes are not believed",
          body: RevocationSpecSchema,
          response: { 200: RevocationViewSchema, ...problems },
        },
      },
      async (request) => {
        const { serial, member } = request.body;
        if ((serial === undefined) === (member === undefined))
          throw new HoldfastError("REQUEST_INVALID", {
            reason: "it names neither a serial number nor a member, or both",
            remedy: "Send one of them.",
          });
        const view = revocations.add(serial === undefined ? { member: member ?? "" } : { serial });
        told(
          view.member === undefined
            ? `The certificate with serial number ${view.serial} is revoked.`
            : `Every certificate of member ${view.member} that was issued until now is revoked.`,
        );
        return view;
      },
    );

    app.delete<{ Params: { id: string } }>(
      "/v1/certificates/revocations/:id",
      {
        schema: {
          tags,
          summary: "Take a revocation back",
          params: Id,
          response: { 204: Type.Null(), ...problems },
        },
      },
      async (request, reply) => {
        revocations.remove(request.params.id);
        told(`The revocation ${request.params.id} is taken back.`);
        return reply.code(204).send();
      },
    );
  };
}
