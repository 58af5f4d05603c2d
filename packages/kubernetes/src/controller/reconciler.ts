// One Service, from what it says to what the members do and back to its status. Safe to run again at any time and after any
// failure: it looks at what is there, and does what is missing.
import type { KubernetesClient } from "../client/client.ts";
import type { EventRecorder } from "../events.ts";
import type { KubernetesService, ServicePort } from "../objects.ts";
import { familyOf } from "../pools/address.ts";
import type { Allocator, Assignment, Demand } from "../pools/allocator.ts";
import { readAnnotations } from "../services/annotations.ts";
import { allowedSourcesOf, finalizerOf, portKey, sharingOf, wishesOf } from "../services/demand.ts";
import { findEndpoints, podsToAskFor } from "../services/endpoints.ts";
import { memberServiceOf, protocolOf } from "../services/member-service.ts";
import type { Settings } from "../services/settings.ts";
import { type PortState, PROTOCOL_NOT_SERVED } from "../services/status.ts";
import { unprovenOf } from "../services/unproven.ts";
import type { Copies } from "./copies.ts";
import type { MemberCopy } from "./member-copy.ts";
import { programPort } from "./program.ts";
import { from, ServiceWriter } from "./service-writer.ts";
import { Told } from "./told.ts";

export interface ReconcilerParts {
  readonly client: KubernetesClient;
  readonly copies: Copies;
  readonly members: MemberCopy;
  readonly allocator: Allocator;
  readonly events: EventRecorder;
  readonly cluster: string;
  readonly classes: readonly string[];
  /** VIPs became free: those that wait may look again. */
  readonly onReleased: () => void;
  /** Not done, and nothing but time or others will change it. */
  readonly onPending: (key: string) => void;
  readonly wallMs: () => number;
}

const DEFAULT_GRACE_S = 30;
const DEFERRED = { status: "False", reason: "Pending", message: "Waiting for a VIP." } as const;

export class Reconciler {
  readonly #parts: ReconcilerParts;
  readonly #told: Told;
  readonly #writer: ServiceWriter;

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
    this.#told = new Told(parts.events);
    this.#writer = new ServiceWriter(parts);
  }

  isWanted(service: KubernetesService | undefined): boolean {
    const { type, loadBalancerClass = "" } = service?.spec ?? {};
    return (
      type === "LoadBalancer" &&
      this.#parts.classes.includes(loadBalancerClass) &&
      service?.metadata.deletionTimestamp === undefined
    );
  }

  async reconcile(key: string): Promise<void> {
    const service = this.#parts.copies.services.objects.get(key);
    if (service !== undefined && this.isWanted(service)) return this.#serve(key, service);
    if (service === undefined) this.#told.forget(key);
    await this.#leave(key, service);
  }

  /** It is no longer ours: the members let go of it, then it of us. */
  async #leave(key: string, service: KubernetesService | undefined): Promise<void> {
    const { members, allocator, events, onReleased } = this.#parts;
    const isMarked = service?.metadata.finalizers?.includes(finalizerOf(this.#parts.cluster)) === true;
    const views = members.ofKey(key).filter(({ removal }) => removal === undefined);
    if (service !== undefined && views.length > 0)
      events.normal(service, "DeletingLoadBalancer", "Taking it away from the members.");
    let draining = 0;
    for (const view of views) if (!(await members.remove(view))) draining += view.sessions;
    if (allocator.release(key)) onReleased();
    if (service === undefined || !isMarked) return;
    const rest = draining > 0 ? `; ${draining} associations drain` : "";
    events.normal(service, "DeletedLoadBalancer", `The members serve it no more${rest}.`);
    await this.#writer.unmark(service);
  }

  async #serve(key: string, service: KubernetesService): Promise<void> {
    const ports = service.spec?.ports ?? [];
    const { settings, notes, error } = readAnnotations(
      service.metadata.annotations ?? {},
      ports.map(protocolOf),
    );
    this.#told.notes(key, service, notes);
    const states = new Map<string, PortState>();
    const allowed = allowedSourcesOf(service, []);
    const refusal =
      error !== undefined
        ? { reason: "AnnotationInvalid", message: error }
        : typeof allowed === "string"
          ? { reason: "SourceRangesInvalid", message: allowed }
          : undefined;
    if (refusal !== undefined) return this.#pending(key, service, refusal, states);
    const assignment = this.#assign(key, service, settings, ports);
    if ("reason" in assignment) return this.#pending(key, service, assignment, states);
    const written = await this.#writer.writeDown(service, assignment);
    const covered = ports.filter((port) => assignment.ports.includes(portKey(port)));
    const { members, onReleased } = this.#parts;
    const idsBefore = members.ofKey(key).map(({ id }) => id);
    const wantedIds = await this.#program(key, written, assignment, settings, covered, states);
    for (const view of members.ofKey(key))
      if (!wantedIds.has(view.id) && view.removal === undefined) await members.remove(view);
    // Gone without a drain: its VIPs are free at once.
    if (idsBefore.some((id) => members.get(id) === undefined)) onReleased();
    await this.#writeStatus(key, written, assignment, states);
  }

  /** What it has stays when what it wants now cannot be had. */
  #assign(
    key: string,
    service: KubernetesService,
    settings: Settings,
    served: readonly ServicePort[],
  ): Assignment | { readonly reason: string; readonly message: string } {
    const { allocator, onPending, onReleased } = this.#parts;
    const demand: Demand = {
      service,
      wishes: wishesOf(service, settings),
      ports: served.map(portKey),
      ...sharingOf(settings),
    };
    const before = allocator.assignmentOf(key);
    const result = allocator.assign(key, demand);
    if (!("reason" in result)) {
      this.#told.clear(key, "AllocationFailed");
      if (before?.vips.some(({ vip }) => !result.vips.some((each) => each.vip === vip)) === true)
        onReleased();
      return result;
    }
    onPending(key);
    this.#told.warning(key, service, "AllocationFailed", result.message);
    return before ?? result;
  }

  async #pending(
    key: string,
    service: KubernetesService,
    { reason, message }: { readonly reason: string; readonly message: string },
    states: ReadonlyMap<string, PortState>,
  ): Promise<void> {
    const { members, allocator, onPending, onReleased } = this.#parts;
    this.#told.warning(key, service, reason, message);
    const before = allocator.assignmentOf(key);
    if (before === undefined) {
      for (const view of members.ofKey(key)) if (view.removal === undefined) await members.remove(view);
      if (allocator.release(key)) onReleased();
    }
    // A Service that was served and now says what cannot be had is served as before: a slip ends no association.
    await this.#writer.status({
      service,
      primaries: before === undefined ? [] : primariesOf(before),
      ports: states,
      assigned: { status: "False", reason, message },
      programmed: before === undefined ? DEFERRED : { status: "False", reason: "AsBefore", message },
      nowMs: this.#parts.wallMs(),
    });
    onPending(key);
  }

  /** The members' services, one for each port; their ids. */
  async #program(
    key: string,
    service: KubernetesService,
    assignment: Assignment,
    wished: Settings,
    served: readonly ServicePort[],
    states: Map<string, PortState>,
  ): Promise<ReadonlySet<string>> {
    const { copies, cluster } = this.#parts;
    const settings = { ...wished, sourceAddresses: assignment.sources ?? [] };
    const vips = assignment.vips.map(({ vip }) => vip);
    const slices = copies.slicesOf(key);
    const networks = settings.networks ?? [];
    const pods = await copies.podsOf(podsToAskFor(slices, networks));
    const graces = [...pods.values()]
      .filter(({ metadata }) => metadata.deletionTimestamp !== undefined || networks.length === 0)
      .map(
        ({ metadata, spec }) =>
          metadata.deletionGracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S,
      );
    const families = [...new Set(vips.map(familyOf))];
    const allowedSources = allowedSourcesOf(service, families);
    const { members } = this.#parts;
    const ids = await members.makeRoom(key, vips, served);
    for (const port of served) {
      const { endpoints, notes } = findEndpoints({
        port,
        slices,
        families,
        networks,
        zones: settings.zones ?? [],
        pods,
      });
      this.#told.texts(key, service, `EndpointsIgnored ${portKey(port)}`, notes);
      const before = members.servedAs(key, vips, port).view;
      const wanted = memberServiceOf(
        {
          cluster,
          key,
          port,
          vips,
          settings,
          allowedSources: typeof allowedSources === "string" ? [] : allowedSources,
          isSticky: service.spec?.sessionAffinity === "ClientIP",
          endpoints,
          graceS: graces.length === 0 ? undefined : Math.max(...graces),
        },
        before,
      );
      states.set(
        portKey(port),
        await programPort({ ...this.#parts, told: this.#told }, key, service, wanted, before),
      );
    }
    return ids;
  }

  async #writeStatus(
    key: string,
    service: KubernetesService,
    { vips }: Assignment,
    states: ReadonlyMap<string, PortState>,
  ): Promise<void> {
    const isAny = [...states.values()].some(({ error }) => error === undefined);
    const failed = [...states.values()].filter(
      ({ error }) => error !== undefined && error !== PROTOCOL_NOT_SERVED,
    );
    const ordered = primariesOf({ vips });
    const unproven = unprovenOf(this.#parts.members.ofKey(key));
    this.#told.texts(key, service, "EndpointUnproven", unproven);
    const before = service.status?.loadBalancer?.ingress?.[0]?.ip;
    await this.#writer.status({
      service,
      primaries: isAny ? ordered : [],
      ports: states,
      assigned: {
        status: "True",
        reason: "Assigned",
        message: `Assigned ${vips.map(({ vip, pool }) => `${vip}${from(pool)}`).join(", ")}.`,
      },
      programmed:
        failed.length === 0
          ? { status: "True", reason: "Programmed", message: "The members serve it." }
          : {
              status: "False",
              reason: "Refused",
              message: failed
                .map(({ message }) => message)
                .join(" ")
                .slice(0, 1024),
            },
      unproven,
      nowMs: this.#parts.wallMs(),
    });
    if (before !== undefined && isAny && before !== ordered[0])
      this.#parts.events.normal(
        service,
        "UpdatedLoadBalancer",
        `Its address was ${before}, and is ${ordered[0]}.`,
      );
    if (isAny) this.#told.clear(key, "Pending");
  }
}

/** The first VIP of each family, in the order of the VIPs. */
function primariesOf({ vips }: Pick<Assignment, "vips">): readonly string[] {
  return vips
    .map(({ vip }) => vip)
    .filter((vip, at, all) => all.findIndex((other) => familyOf(other) === familyOf(vip)) === at);
}
