// What the members have: the services, those of ours among them, and who owns each VIP.

import { ApiError, type Members, type ServiceInput, type ServiceView, type VipView } from "@holdfast/api";
import type { Protocol, ServicePort } from "../objects.ts";
import { idOf, keyOfName } from "../services/member-service.ts";

export class MemberCopy {
  readonly #members: Members;
  readonly #cluster: string;
  #services = new Map<string, ServiceView>();
  #byKey = new Map<string, Set<string>>();
  #vips = new Map<string, VipView>();
  /** Changes by us while a list was under way: the list may be older. */
  #changedAtMs = new Map<string, number>();
  counters = { creates: 0, replaces: 0, removals: 0, lists: 0 };

  constructor(members: Members, cluster: string) {
    this.#members = members;
    this.#cluster = cluster;
  }

  get services(): Iterable<ServiceView> {
    return this.#services.values();
  }

  get(id: string): ServiceView | undefined {
    return this.#services.get(id);
  }

  vip(vip: string): VipView | undefined {
    return this.#vips.get(vip);
  }

  keyOf({ name }: ServiceView): string | undefined {
    return keyOfName(this.#cluster, name);
  }

  ofKey(key: string): readonly ServiceView[] {
    return [...(this.#byKey.get(key) ?? [])]
      .map((id) => this.#services.get(id))
      .filter((view) => view !== undefined);
  }

  /**
   * What a port is served as, ours first: its id names one of its VIPs, whatever order they are in by now.
   * `id`: what it has, or will have when it is made.
   */
  servedAs(
    key: string,
    vips: readonly string[],
    port: ServicePort,
  ): { readonly id: string; readonly view: ServiceView | undefined } {
    const ids = vips.map((vip) => idOf(vip, port));
    const own = this.ofKey(key).filter(({ id, removal }) => removal === undefined && ids.includes(id));
    const id = ids.find((each) => own.some((view) => view.id === each)) ?? (ids[0] as string);
    return { id, view: this.#services.get(id) };
  }

  /**
   * The ids that these ports are served under. What is ours under another one, and has a VIP and port of
   * theirs, goes first: they would be refused that.
   */
  async makeRoom(
    key: string,
    vips: readonly string[],
    ports: readonly ServicePort[],
  ): Promise<ReadonlySet<string>> {
    const ids = new Set(ports.map((port) => this.servedAs(key, vips, port).id));
    const claims = new Set(ports.flatMap((port) => vips.map((vip) => idOf(vip, port))));
    const isInTheWay = ({ vips: has, port, protocol }: ServiceView) =>
      has.some((vip) => claims.has(idOf(vip, { port, protocol: protocol.toUpperCase() as Protocol })));
    for (const view of this.ofKey(key))
      if (!ids.has(view.id) && view.removal === undefined && isInTheWay(view)) await this.remove(view);
    return ids;
  }

  /**
   * VIPs of services that are not ours, and of ours whose Service (NAMESPACE/NAME, the value) has them no more:
   * what is taken away drains, and nobody else could be served there.
   */
  foreignVips(hasIt: (key: string, address: string) => boolean): ReadonlyMap<string, string | undefined> {
    const foreign = new Map<string, string | undefined>();
    for (const view of this.#services.values()) {
      const key = this.keyOf(view);
      for (const address of [...view.vips, ...(view.sourceAddresses ?? [])])
        if (key === undefined || !hasIt(key, address)) foreign.set(address, key);
    }
    return foreign;
  }

  /** Ours that drains, and that this one would share a VIP and the port with. */
  drainsBefore(key: string, { vips, port, protocol = "sctp" }: ServiceInput): ServiceView | undefined {
    return this.ofKey(key).find(
      (view) =>
        view.removal !== undefined &&
        view.port === port &&
        view.protocol === protocol &&
        view.vips.some((vip) => vips.includes(vip)),
    );
  }

  async refresh(): Promise<void> {
    const startedAtMs = performance.now();
    const [services, vips] = await this.#members.ask(async (client) => [
      await client.listServices(),
      await client.listVips(),
    ]);
    this.counters.lists++;
    const before = this.#services;
    this.#services = new Map();
    this.#byKey = new Map();
    for (const view of services) if (!this.#isNewer(view.id, startedAtMs)) this.#set(view);
    for (const [id, view] of before) if (this.#isNewer(id, startedAtMs)) this.#set(view);
    this.#changedAtMs = new Map([...this.#changedAtMs].filter(([, atMs]) => atMs > startedAtMs));
    this.#vips = new Map(vips.map((view) => [view.vip, view]));
  }

  /** Makes it so. `before`: as it was seen; what is another one by now is seen anew and refused with SERVICE_CHANGED. */
  async put(wanted: ServiceInput, before: ServiceView | undefined): Promise<ServiceView> {
    try {
      const view = await this.#members.ask((client) =>
        before === undefined
          ? client.createService(wanted)
          : client.replaceService(before.id, wanted, `"${before.revision}"`),
      );
      this.counters[before === undefined ? "creates" : "replaces"]++;
      this.#changed(view.id);
      this.#set(view);
      return view;
    } catch (error) {
      if (error instanceof ApiError && [404, 409, 412].includes(error.status))
        await this.refresh().catch(() => {});
      throw error;
    }
  }

  /** It drains while it has associations. true: it is gone. */
  async remove(view: ServiceView): Promise<boolean> {
    let left: ServiceView | undefined;
    try {
      left = await this.#members.ask((client) => client.deleteService(view.id));
      this.counters.removals++;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
    this.#changed(view.id);
    this.#unset(view.id);
    if (left !== undefined) this.#set(left);
    return left === undefined;
  }

  #isNewer(id: string, thanMs: number): boolean {
    return (this.#changedAtMs.get(id) ?? Number.NEGATIVE_INFINITY) > thanMs;
  }

  #changed(id: string): void {
    this.#changedAtMs.set(id, performance.now());
  }

  #set(view: ServiceView): void {
    this.#unset(view.id);
    this.#services.set(view.id, view);
    const key = this.keyOf(view);
    if (key === undefined) return;
    const ids = this.#byKey.get(key) ?? new Set<string>();
    this.#byKey.set(key, ids.add(view.id));
  }

  #unset(id: string): void {
    const view = this.#services.get(id);
    this.#services.delete(id);
    const key = view === undefined ? undefined : this.keyOf(view);
    if (key !== undefined) this.#byKey.get(key)?.delete(id);
  }
}
