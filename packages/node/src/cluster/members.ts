// Names and numbers of members, and the API's view of them.
import type { MemberView } from "@holdfast/api";
import type { Coordinator, MemberConfiguration } from "@holdfast/coordinator";
import type { MemberName } from "@holdfast/model";
import { CAPABILITIES } from "@holdfast/sync";
import type { OwnMember } from "../config/check.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import { HOLDFAST_VERSION } from "../version.ts";
import type { ClusterLink } from "./link.ts";

export class MemberDirectory {
  readonly #members: () => readonly MemberConfiguration[];
  readonly #own: OwnMember;

  /** `members`: as they are now. */
  constructor(members: () => readonly MemberConfiguration[], own: OwnMember) {
    this.#members = members;
    this.#own = own;
  }

  get self(): MemberName {
    return this.#own.name;
  }

  get others(): readonly MemberConfiguration[] {
    return this.#members().filter((member) => member.name !== this.#own.name);
  }

  /** A number that no member has now: one that was removed from the configuration may have sessions left. */
  nameOf(number: number): MemberName {
    return this.#members().find((member) => member.number === number)?.name ?? `number ${number}`;
  }

  numberOf(nameOrNumber: string): number | undefined {
    const named = this.#members().find((member) => member.name === nameOrNumber);
    if (named !== undefined) return named.number;
    return /^\d{1,3}$/.test(nameOrNumber) ? Number(nameOrNumber) : undefined;
  }

  async views(
    coordinator: Coordinator,
    link: ClusterLink,
    registry: ServiceRegistry,
  ): Promise<readonly MemberView[]> {
    const seen = new Map(coordinator.view().members.map((member) => [member.name, member]));
    const drained = link.store.drainedMembers();
    const replication = await link.metrics();
    const peers = new Map(replication?.peers.map((peer) => [peer.member, peer]));
    const served = new Set(registry.list().flatMap((service) => service.vips));
    return this.#members().map((member): MemberView => {
      const view = seen.get(member.name);
      const self = member.name === this.#own.name;
      const peer = peers.get(member.name);
      // What a member said last it says no longer once it is silent or gone.
      const present = view?.phase === "alive" || view?.phase === "suspect";
      const reason = reasonOf(view, self || peer === undefined ? undefined : peer.connected);
      return {
        name: member.name,
        number: member.number,
        zone: member.zone ?? "",
        self,
        phase: view === undefined ? "unknown" : view.phase === "left" ? "dead" : view.phase,
        ready: present && view.ready && view.caughtUp,
        draining: drained.has(member.name) || (present && view.draining),
        addresses: member.addresses.map(({ address }) => address),
        vips: present ? view.claims.map((claim) => claim.vip).filter((vip) => served.has(vip)) : [],
        ...(self && {
          sessions: link.sessions.size,
          version: HOLDFAST_VERSION,
          capabilities: [...CAPABILITIES],
          offered: [...link.offered()],
        }),
        ...(peer !== undefined && { lagMs: peer.lagMs, queue: peer.queuedBytes }),
        ...(peer?.capabilities !== undefined && { capabilities: [...peer.capabilities] }),
        ...(view !== undefined && view.incarnation > 0 && { incarnation: String(view.incarnation) }),
        ...(reason !== undefined && { reason }),
      };
    });
  }
}

type Seen = ReturnType<Coordinator["view"]>["members"][number];

function reasonOf(view: Seen | undefined, connected: boolean | undefined): string | undefined {
  if (view === undefined || view.incarnation === 0) return "never heard";
  if (view.phase === "left") return "it stopped and said so";
  if (view.phase === "dead") return "silent";
  if (!view.mainAlive) return "its main loop is silent";
  if (!view.ready) return "it says that it is not ready";
  if (!view.caughtUp) return "it catches up";
  if (view.settling) return "it was presumed dead a moment ago and settles";
  if (connected === false) return "no replication link";
  return undefined;
}
