// The controller of one leader: copies in, members and statuses out. Between the two everything can be missing for a while, and
// what is served goes on: nothing here ends a service because somebody does not answer.

import type { Members } from "@holdfast/api";
import type { KubernetesClient } from "../client/client.ts";
import { isConflict } from "../client/error.ts";
import type { Reflector, ReflectorTimes } from "../client/reflector.ts";
import { WorkQueue } from "../client/work-queue.ts";
import type { EventRecorder } from "../events.ts";
import { GatewaySide } from "../gateway/gateway-side.ts";
import { isGatewayKey } from "../gateway/objects.ts";
import { type KubernetesObject, type KubernetesService, keyOf } from "../objects.ts";
import { Allocator, type Assignment } from "../pools/allocator.ts";
import { readAnnotations } from "../services/annotations.ts";
import {
  finalizerOf,
  OWNERS_ANNOTATION,
  portKey,
  recordedVips,
  sharingOf,
  VIPS_ANNOTATION,
} from "../services/demand.ts";
import { idOf, protocolOf } from "../services/member-service.ts";
import { unprovenOf } from "../services/unproven.ts";
import { Copies } from "./copies.ts";
import { MemberCopy } from "./member-copy.ts";
import { type ReadPools, readPools, writePoolStatuses } from "./pool-status.ts";
import { Reconciler } from "./reconciler.ts";

export interface ControllerTimes {
  /** Between two looks at what the members have. */
  readonly pollMs: number;
  /** What waits for others is looked at again after it. */
  readonly pendingMs: number;
  /** From a change until pools' statuses are counted anew, changes of meanwhile included. */
  readonly poolStatusMs: number;
  readonly firstBackoffMs: number;
  readonly mostBackoffMs: number;
  readonly reflector?: Partial<ReflectorTimes>;
}

export const CONTROLLER_TIMES: ControllerTimes = {
  pollMs: 10_000,
  pendingMs: 30_000,
  poolStatusMs: 1_000,
  firstBackoffMs: 100,
  mostBackoffMs: 30_000,
};

export interface ControllerOptions {
  readonly client: KubernetesClient;
  readonly members: Members;
  readonly events: EventRecorder;
  /** Marks services at the members as this Kubernetes' own. */
  readonly cluster: string;
  readonly classes: readonly string[];
  readonly allowsAnyAddress: boolean;
  readonly log: (message: string) => void;
  readonly times?: Partial<ControllerTimes>;
  readonly wallMs?: () => number;
}

const WIDTH = 8;
const POOL_STATUS_KEY = "pools";
/** Looks at the members in which a service without a Service must be met before it is taken away. */
const ORPHAN_LOOKS = 2;

export class Controller {
  readonly #options: ControllerOptions;
  readonly #times: ControllerTimes;
  readonly #wallMs: () => number;
  readonly copies: Copies;
  readonly members: MemberCopy;
  readonly allocator: Allocator;
  readonly #reconciler: Reconciler;
  readonly queue: WorkQueue;
  readonly #poolQueue: WorkQueue;
  readonly #gateways: GatewaySide;
  readonly #waiting = new Set<string>();
  readonly #orphans = new Map<string, number>();
  readonly #stop = new AbortController();
  #pools: ReadPools = { pools: [], problems: new Map() };
  #poll: NodeJS.Timeout | undefined;
  #polling: Promise<void> = Promise.resolve();
  #isReady = false;
  /** performance.now() of the latest answer of a member. */
  membersHeardAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#times = { ...CONTROLLER_TIMES, ...options.times };
    this.#wallMs = options.wallMs ?? Date.now;
    const { client, cluster, classes, events, log } = options;
    this.members = new MemberCopy(options.members, cluster);
    this.allocator = new Allocator({ allowsAnyAddress: options.allowsAnyAddress });
    this.copies = new Copies({
      client,
      onService: (key) => {
        this.#look(key);
        this.#gateways.onService(key);
      },
      onPools: () => this.#onPools(),
      onFailure: (what, error, retryMs) =>
        log(`${what}: ${textOf(error)}; again in ${Math.round(retryMs)} ms`),
      ...(this.#times.reflector !== undefined && { times: this.#times.reflector }),
    });
    this.#reconciler = new Reconciler({
      client,
      copies: this.copies,
      members: this.members,
      allocator: this.allocator,
      events,
      cluster,
      classes,
      onReleased: () => this.#onReleased(),
      onPending: (key) => this.#onPending(key),
      wallMs: this.#wallMs,
    });
    const backoff = { firstMs: this.#times.firstBackoffMs, mostMs: this.#times.mostBackoffMs };
    this.queue = new WorkQueue({
      work: (key) => this.#work(key),
      width: WIDTH,
      backoff,
      onFailure: (key, error, retryMs) => {
        // Somebody was faster: their change is on its way to us.
        if (!isConflict(error)) log(`${key}: ${textOf(error)}; again in ${Math.round(retryMs)} ms`);
      },
    });
    this.#poolQueue = new WorkQueue({
      work: () => this.#writePools(),
      width: 1,
      backoff,
      onFailure: (_key, error) => {
        if (!isConflict(error)) log(`statuses of pools: ${textOf(error)}`);
      },
    });
    this.#gateways = this.#gatewaySide(backoff);
  }

  #gatewaySide(backoff: { readonly firstMs: number; readonly mostMs: number }): GatewaySide {
    const { client, cluster, classes, events, log } = this.#options;
    return new GatewaySide({
      client,
      copies: this.copies,
      members: this.members,
      allocator: this.allocator,
      events,
      cluster,
      classes,
      onReleased: () => this.#onReleased(),
      onPassed: () => this.#countPools(),
      isReady: () => this.#isReady,
      wallMs: this.#wallMs,
      backoff,
      pendingMs: this.#times.pendingMs,
      times: this.#times.reflector,
      log,
    });
  }

  /** Everything was seen once, and every Service is looked at. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get reflectors(): readonly Reflector<KubernetesObject>[] {
    return [...this.copies.all, ...this.#gateways.reflectors];
  }

  /** Services and Gateways of ours, and those Services that wait for something. */
  get counts(): { readonly services: number; readonly pending: number; readonly gateways: number } {
    const services = [...this.copies.services.objects.values()].filter((each) =>
      this.#reconciler.isWanted(each),
    );
    return { services: services.length, pending: this.#waiting.size, gateways: this.#gateways.count };
  }

  /** Resolves when every Service has been looked at once, or it was stopped. */
  async start(): Promise<void> {
    this.copies.start();
    this.#gateways.start();
    const stopped = new Promise<void>((resolve) =>
      this.#stop.signal.addEventListener("abort", () => resolve()),
    );
    const copies = Promise.all([this.copies.synced(), this.#gateways.settled(), this.#firstLook()]);
    await Promise.race([copies, stopped]);
    if (this.#stop.signal.aborted) return;
    this.#pools = readPools(this.copies.pools.objects.values());
    this.allocator.setPools(this.#pools.pools);
    this.#reserve();
    this.#setForeign();
    this.#isReady = true;
    for (const key of this.copies.services.objects.keys()) this.#look(key);
    this.#countPools();
    this.#gateways.look();
    this.#schedulePoll();
    await Promise.race([Promise.all([this.queue.idle(), this.#gateways.idle()]), stopped]);
  }

  /** What runs ends; nothing is taken back. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#poll);
    await Promise.all([this.copies.stop(), this.#gateways.stop()]);
    await Promise.all([this.queue.stop(), this.#poolQueue.stop(), this.#polling]);
  }

  /** What the members have, however long nobody answers. */
  async #firstLook(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.members.refresh();
        this.membersHeardAtMs = performance.now();
        return;
      } catch (error) {
        this.#options.log(`members: ${textOf(error)}`);
        await new Promise((resolve) => setTimeout(resolve, Math.min(1000, this.#times.pollMs)));
      }
    }
  }

  /** All that is written down, before the first new VIP is given: the oldest Service first. */
  #reserve(): void {
    const services = [...this.copies.services.objects.values()]
      .filter((service) => this.#reconciler.isWanted(service))
      .sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1));
    for (const service of services) {
      const recorded = this.#recordOf(service);
      if (recorded === undefined) continue;
      const clash = this.allocator.reserve(keyOf(service), recorded);
      if (clash !== undefined) this.#options.events.warning(service, clash.reason, clash.message);
    }
    this.#gateways.reserve();
  }

  /** kube-loxilb writes no secondaries down: those that the members have for its rule are the ones. */
  #recordOf(service: KubernetesService): Assignment | undefined {
    const vips = [...recordedVips(service)];
    const [primary] = vips;
    if (primary === undefined) return undefined;
    const ports = service.spec?.ports ?? [];
    if (service.metadata.annotations?.[VIPS_ANNOTATION] === undefined)
      for (const vip of ports.flatMap((port) => this.members.get(idOf(primary.vip, port))?.vips ?? []))
        if (!vips.some((each) => each.vip === vip)) vips.push({ vip, pool: "" });
    const { settings } = readAnnotations(service.metadata.annotations ?? {}, ports.map(protocolOf));
    return { vips, ports: ports.map(portKey), ...sharingOf(settings) };
  }

  /** A Service, or a Gateway (gateway/objects.ts). */
  #isWanted(key: string): boolean {
    return isGatewayKey(key)
      ? this.#gateways.isWanted(key)
      : this.#reconciler.isWanted(this.copies.services.objects.get(key));
  }

  #look(key: string): void {
    if (!this.#isReady) return;
    const service = this.copies.services.objects.get(key);
    const isOurs =
      this.#reconciler.isWanted(service) ||
      service?.metadata.finalizers?.includes(finalizerOf(this.#options.cluster)) === true ||
      this.allocator.assignmentOf(key) !== undefined ||
      this.members.ofKey(key).some(({ removal }) => removal === undefined);
    if (isOurs) this.queue.add(key);
  }

  async #work(key: string): Promise<void> {
    const before = this.allocator.assignmentOf(key);
    this.#waiting.delete(key);
    await this.#reconciler.reconcile(key);
    if (this.allocator.assignmentOf(key) !== before) this.#countPools();
  }

  #onPools(): void {
    if (!this.#isReady) return;
    const before = this.#pools;
    this.#pools = readPools(this.copies.pools.objects.values());
    this.#countPools();
    // Its own status is no change.
    if (JSON.stringify(before.pools, asText) === JSON.stringify(this.#pools.pools, asText)) return;
    this.allocator.setPools(this.#pools.pools);
    for (const key of this.copies.services.objects.keys()) this.#look(key);
    this.#gateways.look();
  }

  /** A thousand Services that get their VIPs are some words about pools, not a thousand. */
  #countPools(): void {
    this.#poolQueue.addLater(POOL_STATUS_KEY, this.#times.poolStatusMs);
  }

  async #writePools(): Promise<void> {
    const objects = [...this.copies.pools.objects.values()];
    await writePoolStatuses(this.#options.client, objects, this.#pools, this.allocator, this.#wallMs());
  }

  #onReleased(): void {
    this.#setForeign();
    this.#countPools();
    for (const key of this.#waiting) this.queue.add(key);
    this.#gateways.look();
  }

  #onPending(key: string): void {
    this.#waiting.add(key);
    this.queue.addLater(key, this.#times.pendingMs);
  }

  #schedulePoll(): void {
    if (this.#stop.signal.aborted) return;
    this.#poll = setTimeout(() => {
      this.#polling = this.#lookAtMembers().finally(() => this.#schedulePoll());
    }, this.#times.pollMs);
  }

  async #lookAtMembers(): Promise<void> {
    try {
      await this.members.refresh();
    } catch (error) {
      this.#options.log(`members: ${textOf(error)}`);
      return;
    }
    this.membersHeardAtMs = performance.now();
    this.#setForeign();
    this.#findOrphans();
    this.#gateways.look();
    for (const [key, service] of this.copies.services.objects)
      if (this.#reconciler.isWanted(service) && this.#hasMoved(key, service)) this.queue.add(key);
  }

  /** Owners are others, a service is gone at the members or is another one: rare, and cheap to look at. */
  #hasMoved(key: string, service: KubernetesService): boolean {
    const assignment = this.allocator.assignmentOf(key);
    if (assignment === undefined) return false;
    const owners = assignment.vips
      .map(({ vip }) => `${vip}=${this.members.vip(vip)?.owner}`)
      .filter((text) => !text.endsWith("=undefined"));
    if (owners.length > 0 && owners.join(",") !== service.metadata.annotations?.[OWNERS_ANNOTATION])
      return true;
    return this.members.ofKey(key).length !== assignment.ports.length || this.#isChanged(key);
  }

  readonly #revisions = new Map<string, string>();
  #isChanged(key: string): boolean {
    const views = this.members.ofKey(key);
    const revision = [...views.map((view) => view.revision), ...unprovenOf(views)].join();
    const isSame = this.#revisions.get(key) === revision;
    this.#revisions.set(key, revision);
    return !isSame;
  }

  #setForeign(): void {
    this.allocator.setForeign(
      this.members.foreignVips((key, address) => this.#isWanted(key) && this.allocator.has(key, address)),
    );
  }

  /** Ours at the members, of a Service that is not there: of an earlier controller, or deleted while nobody looked. */
  #findOrphans(): void {
    const found = new Set<string>();
    for (const view of this.members.services) {
      const key = this.members.keyOf(view);
      if (key === undefined || view.removal !== undefined) continue;
      if (this.#isWanted(key)) continue;
      found.add(view.id);
      const looks = (this.#orphans.get(view.id) ?? 0) + 1;
      this.#orphans.set(view.id, looks);
      if (looks === ORPHAN_LOOKS) this.#options.log(`${view.id} is an orphan of ${key}: it is taken away`);
      if (looks >= ORPHAN_LOOKS && isGatewayKey(key)) this.#gateways.look();
      else if (looks >= ORPHAN_LOOKS) this.queue.add(key);
    }
    for (const id of this.#orphans.keys()) if (!found.has(id)) this.#orphans.delete(id);
  }
}

function ageOf({ metadata }: KubernetesService): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.namespace ?? ""}/${metadata.name}`;
}

function asText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
