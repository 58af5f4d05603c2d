// Ownership made true: a VIP is announced and answered before the others see the claim; and whoever waits for
// a VIP's owner knows who that is.
import { type ClusterView, isPresent } from "@holdfast/coordinator";
import type { VipDuty } from "@holdfast/model";
import { announcementsOf } from "../cluster/announcer.ts";
import { placing } from "../cluster/member-list.ts";
import { SuccessorHops } from "../data-plane/successors.ts";
import { tellEvent } from "./events.ts";
import type { MemberParts } from "./parts.ts";
import { sourcesByVip, withSources } from "./source-addresses.ts";

export class Ownership {
  readonly #parts: MemberParts;
  readonly #hops: SuccessorHops;
  /** VIPs that are somebody's address. */
  readonly #unserved: () => ReadonlySet<string>;
  #duties: readonly VipDuty[] = [];
  #isLone = false;

  constructor(parts: MemberParts, unserved: () => ReadonlySet<string>) {
    this.#parts = parts;
    this.#unserved = unserved;
    this.#hops = new SuccessorHops(parts.dataPlane, placing(parts.members, parts.topology), parts.topology);
    const { coordinator, announcer } = parts;
    coordinator.onDuties(async (next) => {
      this.#duties = next;
      this.#treatVips();
      await this.announce();
      this.#tellOwners();
    });
    coordinator.onEvent((event) => {
      tellEvent(parts, event);
      if (event.kind === "vipMoved") this.#tellOwners();
      // The other one may have answered ARP for it until now.
      if (event.kind === "vipUncontested")
        for (const vip of [event.vip, ...(sourcesByVip(parts.registry.list()).get(event.vip) ?? [])])
          announcer.renew(vip);
    });
  }

  /**
   * The host keeps an address of its own from the moment that it has it, whoever takes the VIP over and when.
   */
  announce(): Promise<void> {
    const { announcer, coordinator } = this.#parts;
    const unserved = this.#unserved();
    const duties = withSources(this.#duties, this.#parts.registry.list()).filter(
      ({ vip }) => !unserved.has(vip),
    );
    return announcer.announce(announcementsOf(duties, isLeaving(coordinator.view())));
  }

  /** What services say of routes, or what goes with their VIPs, is something else now. */
  servicesChanged(): Promise<void> {
    this.#treatVips();
    return this.announce();
  }

  /** Next hops of successors may have changed, and who is on the list. */
  observe(): void {
    if (this.#hops.changed() || this.#isLone !== this.#findsNobody()) this.#treatVips();
  }

  /** … whether alive or not: one that is away now may come back and take a VIP (docs/decisions/0591). */
  #findsNobody(): boolean {
    return this.#parts.directory.others.length === 0;
  }

  #treatVips(): void {
    this.#isLone = this.#findsNobody();
    this.#parts.dataPlane.setVips(
      withSources(this.#duties, this.#parts.registry.list()).map(({ vip, owned, successor }) => ({
        vip,
        owned,
        lone: this.#isLone,
        successor: successor === undefined ? undefined : this.#hops.towards(successor, vip),
      })),
    );
  }

  /**
   * An INIT-ACK waits for the owners of the service's other VIPs: the endpoint's first HEARTBEAT meets them.
   */
  #tellOwners(): void {
    const { coordinator, registry, directory, link } = this.#parts;
    const present = coordinator
      .view()
      .members.filter(isPresent)
      .map(({ name }) => name);
    const owners = new Map(coordinator.vips().map(({ vip, announcer: owner }) => [vip, owner]));
    for (const service of registry.list()) {
      const numbers = service.vips
        .flatMap((vip) => [
          owners.get(vip),
          // Spread: whoever it is that the endpoint's router chooses.
          ...(service.announce?.spread === true ? present : []),
        ])
        .map((owner) => (owner === undefined ? undefined : directory.numberOf(owner)))
        .filter((number) => number !== undefined);
      link.setOwners(service.id, [...new Set(numbers)]);
    }
  }
}

/** This member drains or stops: it owns nothing new, and serves what still comes. */
function isLeaving({ members }: ClusterView): boolean {
  return members.some(({ isSelf, draining }) => isSelf && draining);
}
