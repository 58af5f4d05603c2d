import type { RouterStatus } from "@holdfast/announcer";
import {
  type MemberView,
  MemberViewSchema,
  oneOf,
  type PinSpec,
  PinSpecSchema,
  ProblemSchema,
  type RouterView,
  RouterViewSchema,
  VipSchema,
  type VipView,
} from "@holdfast/api";
import { HoldfastError, parseAddress } from "@holdfast/model";
import { Type } from "@sinclair/typebox";
import type { FastifyInstance } from "fastify";
import { textOf } from "../../services/clash-report.ts";
import type { ApiSources } from "../sources.ts";

const closed = { additionalProperties: false } as const;
const problems = { "4xx": ProblemSchema, "5xx": ProblemSchema };
const tags = ["cluster"];
const vipParams = Type.Object({ vip: Type.String({ maxLength: 64 }) });

function routerView({ sinceWallMs, flapCount, bfd, routes, ...rest }: RouterStatus): RouterView {
  return {
    ...rest,
    ...(bfd !== undefined && { bfd }),
    since: new Date(sinceWallMs).toISOString(),
    flaps: flapCount,
    routes: routes.map(({ vip, rank, reason, attributes }) => {
      const { communities, largeCommunities, ...figures } = attributes ?? {};
      return {
        vip,
        ...(rank === "leaving" ? { leaving: true } : { rank }),
        sent: attributes !== undefined && rest.session === "Established",
        reason,
        ...figures,
        ...(communities !== undefined && { communities: [...communities] }),
        ...(largeCommunities !== undefined && { largeCommunities: [...largeCommunities] }),
      };
    }),
  };
}

export function clusterRoutes(sources: ApiSources) {
  const { registry } = sources;

  function vips(): VipView[] {
    const services = registry.list();
    return sources.ownerships().map((ownership) => {
      const pin = sources.orders.pinOf(ownership.vip);
      return {
        vip: ownership.vip,
        services: services.filter((s) => s.vips.includes(ownership.vip)).map((s) => s.id),
        ...(ownership.owner !== undefined && { owner: ownership.owner }),
        ...(pin !== undefined && { pin }),
        candidates: [...ownership.candidates],
        reasons: [...ownership.reasons],
        announcements: sources.announcementsOf(ownership.vip),
        ...clashOf(ownership.vip),
      };
    });
  }

  /** Of a VIP that some service has. */
  function vipOf(text: string): VipView {
    const vip = parseAddress(text);
    const found = vips().find((view) => view.vip === vip);
    if (found === undefined) throw new HoldfastError("VIP_NOT_FOUND", { vip });
    return found;
  }

  function clashOf(vip: string): Pick<VipView, "clash"> {
    const clash = sources.clashes().clashes.get(vip);
    if (clash === undefined) return {};
    const { holder, servedHere, problem } = clash;
    const { member, interface: name } = holder;
    return { clash: { code: problem.code, member, interface: name, servedHere, message: textOf(clash) } };
  }

  return async (app: FastifyInstance) => {
    app.get(
      "/v1/vips",
      {
        schema: {
          tags,
          summary: "Who owns each VIP, who comes next, and why",
          response: { 200: Type.Object({ items: Type.Array(VipSchema) }, closed), ...problems },
        },
      },
      async () => ({ items: vips() }),
    );

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
        return vipOf(request.params.vip);
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

    app.get(
      "/v1/members",
      {
        schema: {
          tags,
          summary: "The members as this one sees them",
          response: { 200: Type.Object({ items: Type.Array(MemberViewSchema) }, closed), ...problems },
        },
      },
      async () => ({ items: await sources.members() }),
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
  };
}
