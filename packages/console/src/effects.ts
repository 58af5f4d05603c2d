// What an act will do to how many sessions, said before it is done. Pure: of the picture on the screen.
import type { ClusterPicture } from "@holdfast/api";

type Picture = Pick<ClusterPicture, "vips" | "members" | "services">;

const count = (n: number, noun: string) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** Living sessions of the services that have the VIP. */
export function sessionsOfVip({ services }: Picture, vip: string): number {
  return services.reduce((sum, { vips, sessions }) => (vips.includes(vip) ? sum + sessions : sum), 0);
}

export function drainMemberEffects(picture: Picture, member: string): string[] {
  const owned = picture.vips.filter(({ owner }) => owner === member);
  if (owned.length === 0)
    return [
      `${member} owns no VIP now; nothing moves.`,
      "It owns none until it is undrained. No session ends.",
    ];
  const ready = new Set(picture.members.filter((m) => m.ready && !m.draining).map(({ name }) => name));
  return [
    ...owned.map(({ vip, candidates }) => {
      const next = candidates.find((candidate) => candidate !== member && ready.has(candidate));
      const sessions = count(sessionsOfVip(picture, vip), "session");
      return next === undefined
        ? `VIP ${vip} stays with ${member}: nobody else can take it. ${sessions} use it.`
        : `VIP ${vip} moves to ${next}; ${sessions} follow it.`;
    }),
    `No session ends: the new owner announces first, ${member} lets go after.`,
  ];
}

export function undrainMemberEffects(picture: Picture, member: string): string[] {
  const back = picture.vips.filter(({ candidates }) => candidates.includes(member)).length;
  return [
    `${member} may own VIPs again. Some of ${count(picture.vips.length, "VIP")} move to it${back > 0 ? "" : " as the cluster ranks them"}.`,
    "No session ends.",
  ];
}

export function pinEffects(picture: Picture, vip: string, to: string | undefined): string[] {
  const found = picture.vips.find((each) => each.vip === vip);
  const sessions = count(sessionsOfVip(picture, vip), "session");
  if (to === undefined)
    return [`The cluster ranks the members for ${vip} again; it may move. ${sessions} follow it, none ends.`];
  const member = picture.members.find(({ name }) => name === to);
  if (member !== undefined && (!member.ready || member.draining))
    return [
      `${to} cannot own it now: ${member.draining ? "it drains" : (member.reason ?? "it is not ready")}.`,
      `${vip} stays with ${found?.owner ?? "nobody"} until it can.`,
    ];
  return found?.owner === to
    ? [`${vip} is with ${to} already, and returns to it whenever it can. Nothing moves now.`]
    : [`${vip} moves from ${found?.owner ?? "nobody"} to ${to} now; ${sessions} follow it, none ends.`];
}

export function drainEndpointEffects(picture: Picture, service: string, endpoint: string): string[] {
  const found = picture.services.find(({ id }) => id === service);
  const own = found?.endpoints.find((each) => each.endpoint === endpoint);
  const others = (found?.endpoints ?? []).filter(
    (each) => each.endpoint !== endpoint && each.state === "active" && each.health !== "down",
  );
  const sessions = own?.sessions ?? 0;
  return [
    `${count(sessions, "session")} at ${endpoint} ${sessions === 1 ? "goes" : "go"} on there; none is ended.`,
    others.length === 0
      ? "No other endpoint takes new ones: new associations find no server."
      : `New associations, and clients that restart, go to ${others.map((each) => each.endpoint).join(", ")}.`,
  ];
}

export function undrainEndpointEffects(_picture: Picture, _service: string, endpoint: string): string[] {
  return [`${endpoint} takes new associations again. Living ones stay where they are.`];
}

export function endSessionEffects(client: string, endpoint: string | undefined): string[] {
  return [
    `1 session ends. ${client} and ${endpoint ?? "the endpoint"} are told with an ABORT.`,
    "Most clients begin a new association at once.",
  ];
}
