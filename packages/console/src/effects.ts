// What an act will do to how many sessions, said before it is done. Pure: of the picture on the screen.
import type { ClusterPicture, ClusterService } from "@holdfast/api";

type Picture = Pick<ClusterPicture, "vips" | "members" | "services">;

const count = (n: number, noun: string) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

const sessionsOf = ({ services }: Picture) => services.reduce((sum, { sessions }) => sum + sessions, 0);

/** What a service's sessions are to their hosts. */
const BEGINNINGS: Readonly<Record<ClusterService["protocol"], string>> = {
  sctp: "New associations, and clients that restart,",
  tcp: "New connections",
  udp: "New flows",
};

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
  const vips = new Set(owned.map(({ vip }) => vip));
  const touched = picture.services.filter((service) => service.vips.some((vip) => vips.has(vip)));
  const sum = touched.reduce((all, { sessions }) => all + sessions, 0);
  return [
    ...owned.map(({ vip, candidates }) => {
      const next = candidates.find((candidate) => candidate !== member && ready.has(candidate));
      const sessions = count(sessionsOfVip(picture, vip), "session");
      return next === undefined
        ? `VIP ${vip} stays with ${member}: nobody else can take it. ${sessions} use it.`
        : `VIP ${vip} moves to ${next}; ${sessions} follow it.`;
    }),
    `${count(sum, "session")} in all, and none ends: the new owner announces first, ${member} lets go after.`,
  ];
}

export function undrainMemberEffects(picture: Picture, member: string): string[] {
  return [
    `${member} may own VIPs again. Some of ${count(picture.vips.length, "VIP")} may move to it, as the cluster ranks them.`,
    `The sessions of those follow, of ${count(sessionsOf(picture), "session")} in all; none ends.`,
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
      `${vip} stays with ${found?.owner ?? "nobody"} until it can; then ${sessions} follow it, and none ends.`,
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
  const begin = BEGINNINGS[found?.protocol ?? "sctp"];
  return [
    `${count(sessions, "session")} at ${endpoint} ${sessions === 1 ? "goes" : "go"} on there; none is ended.`,
    others.length === 0
      ? `No other endpoint takes new ones. ${begin} find no server.`
      : `${begin} go to ${others.map((each) => each.endpoint).join(", ")}.`,
  ];
}

export function undrainEndpointEffects(picture: Picture, service: string, endpoint: string): string[] {
  const found = picture.services.find(({ id }) => id === service);
  const begin = BEGINNINGS[found?.protocol ?? "sctp"];
  return [
    `${begin} may go to ${endpoint} again.`,
    `${count(found?.sessions ?? 0, "session")} of the service stay where they are; none ends.`,
  ];
}

/** `protocol`: also one that this page does not know. */
export function endSessionEffects(protocol: string, client: string, endpoint: string | undefined): string[] {
  const both = `${client} and ${endpoint ?? "the endpoint"}`;
  if (protocol === "tcp")
    return [`1 session ends. ${both} are told with a RST.`, "Most clients connect again at once."];
  if (protocol === "udp")
    return [
      `1 session ends. UDP has no word for it: ${both} are told nothing.`,
      "The client's next datagram begins a new one, perhaps at another endpoint.",
    ];
  return [`1 session ends. ${both} are told with an ABORT.`, "Most clients begin a new association at once."];
}
