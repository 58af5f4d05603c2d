import {
  ClusterSchema,
  MemberListSchema,
  type MemberListView,
  type MemberSpec,
  MemberSpecSchema,
  type MemberView,
  MemberViewSchema,
  oneOf,
  type PinSpec,
  PinSpecSchema,
  ProblemSchema,
  RouterViewSchema,
  TakeOverSchema,
  VipSchema,
  type VipView,
} from "@holdfast/api";
import { HoldfastError, parseAddress } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { ClusterPictures } from "../picture.ts";
import { routerView } from "../router-view.ts";
import type { ApiSources } from "../sources.ts";
import { vipViews } from "../vip-views.ts";

const closed = { additionalProperties: false } as const;
const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };
const tags = ["cluster"];
const vipParams = Type.Object({ vip: Type.String({ maxLength: 64 }) });

export function clusterRoutes(sources: ApiSources) {
  return async (app: FastifyInstance) => {
    pictureRoutes(app, sources);
    vipRoutes(app, sources);
    pinRoutes(app, sources);
    memberRoutes(app, sources);
    listRoutes(app, sources);
  };
}

function pictureRoutes(app: FastifyInstance, sources: ApiSources): void {
  const pictures = new ClusterPictures(sources);
  app.get(
    "/v1/cluster",
    {
      schema: {
        tags,
        summary: "The cluster in one answer: members with what each tells, VIPs, services, alerts",
        description:
          "Made at most three times a second, whoever asks. `heardMsAgo` says how old a member's report is.",
        response: { 200: ClusterSchema, ...problems },
      },
    },
    async (_request, reply) =>
      reply
        .header("content-type", "application/json; charset=utf-8")
        .header("cache-control", "no-store")
        .serializer((text: unknown) => String(text))
        .send(await pictures.text()),
  );

  app.get(
    "/v1/takeovers",
    {
      schema: {
        tags,
        summary: "The last hundred take-overs, the latest first: what moved, and how long each step took",
        response: { 200: Type.Object({ items: Type.Array(TakeOverSchema) }, closed), ...problems },
      },
    },
    async () => ({ items: [...sources.takeOvers()] }),
  );
}

function vipRoutes(app: FastifyInstance, sources: ApiSources): void {
  app.get(
    "/v1/vips",
    {
      schema: {
        tags,
        summary: "Who owns each VIP, who comes next, and why",
        response: { 200: Type.Object({ items: Type.Array(VipSchema) }, closed), ...problems },
      },
    },
    async () => ({ items: vipViews(sources) }),
  );

  app.get(
    "/v1/routers",
    {
      schema: {
        tags,
        summary: "Routers of this member: sessions, BFD, and what each is told of each VIP and why",
        response: { 200: Type.Object({ items: Type.Array(RouterViewSchema) }, closed), ...problems },
      },
    },
    async () => ({ items: sources.routers().map(routerView) }),
  );
}

function pinRoutes(app: FastifyInstance, sources: ApiSources): void {
  app.put<{ Params: { vip: string }; Body: PinSpec }>(
    "/v1/vips/:vip/pin",
    {
      schema: {
        tags,
        summary: "Pin a VIP to a member: it owns the VIP whenever it can",
        params: vipParams,
        body: PinSpecSchema,
        response: { 200: VipSchema, ...problems },
      },
    },
    async (request) => {
      sources.orders.setPin(request.params.vip, request.body.member);
      return vipOf(sources, request.params.vip);
    },
  );

  app.delete<{ Params: { vip: string } }>(
    "/v1/vips/:vip/pin",
    {
      schema: {
        tags,
        summary: "Take the pin of a VIP back; without one nothing changes",
        params: vipParams,
        response: { 204: Type.Null(), ...problems },
      },
    },
    async (request, reply) => {
      sources.orders.setPin(request.params.vip, undefined);
      return reply.code(204).send();
    },
  );
}

function memberRoutes(app: FastifyInstance, sources: ApiSources): void {
  app.get(
    "/v1/members",
    {
      schema: {
        tags,
        summary: "The members as this one sees them",
        response: { 200: MemberListSchema, ...problems },
      },
    },
    () => memberList(sources),
  );

  app.post<{ Params: { name: string; action: "drain" | "undrain" } }>(
    "/v1/members/:name/:action",
    {
      schema: {
        tags,
        summary: "Drain a member: its VIPs move, then it owns none until undrained",
        params: Type.Object({
          name: Type.String({ maxLength: 63 }),
          action: oneOf(["drain", "undrain"]),
        }),
        response: { 200: MemberViewSchema, ...problems },
      },
    },
    async (request) => {
      const { name, action } = request.params;
      sources.orders.setMemberDrained(name, action === "drain");
      const member: MemberView | undefined = (await sources.members()).find((m) => m.name === name);
      if (member === undefined) throw new HoldfastError("MEMBER_NOT_FOUND", { member: name });
      return member;
    },
  );
}

function listRoutes(app: FastifyInstance, sources: ApiSources): void {
  app.post<{ Body: MemberSpec }>(
    "/v1/members",
    {
      schema: {
        tags,
        summary: "Add a member to the list, when a majority of the members agrees",
        body: MemberSpecSchema,
        response: { 200: MemberListSchema, ...problems },
      },
    },
    async (request) => {
      await sources.membership.add(request.body);
      return memberList(sources);
    },
  );

  app.delete<{ Params: { name: string }; Querystring: { gone?: boolean } }>(
    "/v1/members/:name",
    {
      schema: {
        tags,
        summary: "Take a member off the list: it hands its VIPs over first, its number rests afterwards",
        params: Type.Object({ name: Type.String({ maxLength: 63 }) }),
        querystring: Type.Object(
          {
            gone: Type.Optional(
              Type.Boolean({ description: "Its machine does not run and never will: it is not asked." }),
            ),
          },
          closed,
        ),
        response: { 200: MemberListSchema, ...problems },
      },
    },
    async (request) => {
      await sources.membership.remove(request.params.name, { gone: request.query.gone === true });
      return memberList(sources);
    },
  );
}

/** Of a VIP that some service has. */
function vipOf(sources: ApiSources, text: string): VipView {
  const vip = parseAddress(text);
  const found = vipViews(sources).find((view) => view.vip === vip);
  if (found === undefined) throw new HoldfastError("VIP_NOT_FOUND", { vip });
  return found;
}

async function memberList(sources: ApiSources): Promise<MemberListView> {
  return { items: [...(await sources.members())], ...sources.membership.state() };
}
