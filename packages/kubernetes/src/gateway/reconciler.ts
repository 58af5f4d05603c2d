// The Gateway API, whole, in one pass: classes, Gateways with their listeners at the members, routes.
// Safe to run again at any time and after any failure; what fails for one Gateway keeps nothing from the
// others.
import type { KubernetesClient } from "../client/client.ts";
import type { Copies } from "../controller/copies.ts";
import type { MemberCopy } from "../controller/member-copy.ts";
import { programPort } from "../controller/program.ts";
import { Told } from "../controller/told.ts";
import type { EventRecorder } from "../events.ts";
import { apiVersionOf, type KubernetesService } from "../objects.ts";
import { canonical, familyOf } from "../pools/address.ts";
import type { Allocator, Assignment, Wish } from "../pools/allocator.ts";
import { readAnnotations } from "../services/annotations.ts";
import { finalizerOf, recordedVips, sharingOf, wishesOf } from "../services/demand.ts";
import { findEndpoints, podsToAskFor } from "../services/endpoints.ts";
import { memberServiceOf } from "../services/member-service.ts";
import type { Settings } from "../services/settings.ts";
import type { PortState } from "../services/status.ts";
import { unprovenOf } from "../services/unproven.ts";
import { type Attachment, attachmentsOf, byAge, type KnownRoute, no, type Verdict } from "./attachment.ts";
import { type Backends, backendsOf, withShares } from "./backends.ts";
import { GatewayClasses } from "./classes.ts";
import type { GatewayCopies } from "./copies.ts";
import {
  GATEWAYS,
  type Gateway,
  type GatewayAddress,
  gatewayKey,
  isGatewayKey,
  LISTENER_PROTOCOLS,
  type Listener,
  objectKeyOf,
} from "./objects.ts";
import { gatewayStatusOf, isConflicted, type ParentFacts, routeStatusOf } from "./status.ts";
import { GatewayWriter } from "./writer.ts";

export interface GatewayParts {
  readonly client: KubernetesClient;
  readonly copies: Copies;
  readonly gateways: GatewayCopies;
  readonly members: MemberCopy;
  readonly allocator: Allocator;
  readonly events: EventRecorder;
  readonly cluster: string;
  /** Names of controllers that classes may name. */
  readonly classes: readonly string[];
  readonly onReleased: () => void;
  /** Something waits for time or others. */
  readonly onPending: () => void;
  readonly wallMs: () => number;
}

/** An address that is a VipPool's name: one VIP of it. */
const POOL_ADDRESS = "holdfast.io/VipPool";
const VIP_COUNT_MAX = 4;
const SERVED_STATE: PortState = { error: undefined, message: "" };

/** What is known of routes in one pass. */
interface Routes {
  readonly known: readonly KnownRoute[];
  readonly backends: ReadonlyMap<KnownRoute["route"], Backends>;
  readonly parents: Map<KnownRoute["route"], ParentFacts[]>;
}

export class GatewayReconciler {
  readonly #parts: GatewayParts;
  readonly #writer: GatewayWriter;
  readonly #classes: GatewayClasses;
  readonly #told: Told;
  #services: ReadonlySet<string> = new Set();

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#writer = new GatewayWriter(parts.client, finalizerOf(parts.cluster));
    this.#classes = new GatewayClasses(parts.client, this.#writer);
    this.#told = new Told(parts.events);
  }

  /** Gateways of ours. */
  get count(): number {
    const { objects } = this.#parts.gateways.gateways;
    return [...objects.values()].filter((gateway) => this.#controllerOf(gateway) !== undefined).length;
  }

  /** A Service that routes name. */
  uses(service: string): boolean {
    return this.#services.has(service);
  }

  isWanted(key: string): boolean {
    const gateway = this.#parts.gateways.gateways.objects.get(objectKeyOf(key));
    return gateway !== undefined && this.#controllerOf(gateway) !== undefined;
  }

  /** What is written down, before the first new VIP is given. */
  reserve(): void {
    for (const gateway of this.#parts.gateways.gateways.objects.values()) {
      if (this.#controllerOf(gateway) === undefined) continue;
      const vips = recordedVips({ metadata: gateway.metadata });
      if (vips.length === 0) continue;
      const { settings } = settingsOf(gateway);
      const record = { vips, ports: portsOf(gateway), ...sharingOf(settings) };
      const clash = this.#parts.allocator.reserve(gatewayKey(gateway), record);
      if (clash !== undefined) this.#parts.events.warning(named(gateway), clash.reason, clash.message);
    }
  }

  async pass(): Promise<void> {
    const { gateways } = this.#parts;
    const failures: unknown[] = [];
    const attempt = async (what: () => Promise<void>) => {
      try {
        await what();
      } catch (error) {
        failures.push(error);
      }
    };
    const routes = this.#routes();
    for (const gateway of gateways.gateways.objects.values()) {
      const controllerName = this.#controllerOf(gateway);
      if (controllerName !== undefined) await attempt(() => this.#serve(gateway, controllerName, routes));
      else if (this.#writer.isMarked(gateway)) await attempt(() => this.#leave(gateway));
    }
    await attempt(() => this.#clear());
    for (const { route, resource } of routes.known) {
      const parents = routes.parents.get(route) ?? [];
      const { resolved } = routes.backends.get(route) as Backends;
      const isOurs = (controllerName: string) => this.#isOurs(controllerName);
      const isMentioned = route.status?.parents?.some((each) => isOurs(each.controllerName)) === true;
      if (parents.length > 0 || isMentioned)
        await attempt(() =>
          this.#writer.status(
            resource,
            route,
            routeStatusOf(route, parents, resolved, isOurs, this.#parts.wallMs()),
          ),
        );
    }
    for (const each of gateways.classes.objects.values())
      if (this.#isOurs(each.spec?.controllerName))
        await attempt(() =>
          this.#classes.keep(each, gateways.gateways.objects.values(), this.#parts.wallMs()),
        );
    if (failures.length > 0) throw failures[0];
  }

  #isOurs(controllerName: string | undefined): boolean {
    return controllerName !== undefined && this.#parts.classes.includes(controllerName);
  }

  /** undefined: of another's class, or going. */
  #controllerOf({ metadata, spec }: Gateway): string | undefined {
    const { objects } = this.#parts.gateways.classes;
    const { controllerName, parametersRef } = objects.get(spec?.gatewayClassName ?? "")?.spec ?? {};
    const isTaken = this.#isOurs(controllerName) && parametersRef === undefined;
    return isTaken && metadata.deletionTimestamp === undefined ? controllerName : undefined;
  }

  #routes(): Routes {
    const { gateways, copies } = this.#parts;
    const known = [...gateways.routes]
      .flatMap(([resource, { objects }]) => [...objects.values()].map((route) => ({ route, resource })))
      .filter(({ route }) => route.metadata.deletionTimestamp === undefined)
      .sort(byAge);
    const grants = [...gateways.grants.objects.values()];
    const backends = new Map(
      known.map((each) => [each.route, backendsOf(each, copies.services.objects, grants)] as const),
    );
    this.#services = new Set([...backends.values()].flatMap(({ services }) => services));
    return { known, backends, parents: new Map() };
  }

  async #serve(gateway: Gateway, controllerName: string, routes: Routes): Promise<void> {
    const { gateways, members, wallMs } = this.#parts;
    const key = gatewayKey(gateway);
    const { settings, notes, error } = settingsOf(gateway);
    this.#told.notes(key, named(gateway), notes);
    const attachments = attachmentsOf(gateway, routes.known, gateways.namespaces.objects);
    for (const attachment of attachments) {
      const parents = routes.parents.get(attachment.route) ?? [];
      routes.parents.set(attachment.route, [...parents, { attachment, controllerName }]);
    }
    const wishes = error === undefined ? this.#wishesOf(gateway, settings) : no("Invalid", error);
    const refused = "status" in wishes ? wishes : undefined;
    const assigned = "status" in wishes ? undefined : this.#assign(key, gateway, settings, wishes);
    const assignment =
      assigned === undefined || "status" in assigned ? this.#parts.allocator.assignmentOf(key) : assigned;
    const ports = new Map<string, PortState>();
    let written = gateway;
    if (assignment !== undefined) {
      written = await this.#writer.writeDown(gateway, assignment.vips);
      const ids = await this.#program(key, written, assignment, settings, { attachments, routes }, ports);
      for (const view of members.ofKey(key))
        if (!ids.has(view.id) && view.removal === undefined) await members.remove(view);
      this.#told.texts(key, named(gateway), "EndpointUnproven", unprovenOf(members.ofKey(key)));
    }
    const status = gatewayStatusOf({
      gateway: written,
      vips: assignment?.vips.map(({ vip }) => vip) ?? [],
      refused,
      unassigned:
        assignment === undefined && assigned !== undefined && "status" in assigned ? assigned : undefined,
      attachments,
      ports,
      nowMs: wallMs(),
    });
    await this.#writer.status(GATEWAYS, written, status);
  }

  #wishesOf(gateway: Gateway, settings: Settings): readonly Wish[] | Verdict {
    const addresses = gateway.spec?.addresses ?? [];
    if (addresses.length === 0) return wishesOf(asService(gateway), settings);
    const wishes = addresses.map(wishOf);
    const wrong = wishes.indexOf(undefined);
    const { type = "IPAddress", value = "" } = addresses[wrong] ?? {};
    if (wrong >= 0)
      return no("UnsupportedAddress", `${type} '${value}': IPAddress and ${POOL_ADDRESS} are understood.`);
    if (wishes.length > VIP_COUNT_MAX)
      return no("UnsupportedAddress", `It wants ${wishes.length} addresses: ${VIP_COUNT_MAX} are the most.`);
    return wishes.filter((wish) => wish !== undefined);
  }

  /** What it has stays when what it wants now cannot be had. */
  #assign(key: string, gateway: Gateway, settings: Settings, wishes: readonly Wish[]): Assignment | Verdict {
    const { allocator, onPending, onReleased } = this.#parts;
    const before = allocator.assignmentOf(key);
    const demand = {
      service: asService(gateway),
      wishes,
      ports: portsOf(gateway),
      ...sharingOf(settings),
    };
    const result = allocator.assign(key, demand);
    if (!("reason" in result)) {
      this.#told.clear(key, "AllocationFailed");
      const isKept = (vip: string) => result.vips.some((each) => each.vip === vip);
      if (before?.vips.some(({ vip }) => !isKept(vip)) === true) onReleased();
      return result;
    }
    onPending();
    this.#told.warning(key, named(gateway), "AllocationFailed", result.message);
    const isDemanded = wishes.some(({ kind }) => kind === "address");
    return no(isDemanded ? "AddressNotUsable" : "AddressNotAssigned", result.message);
  }

  /** A service of the members for each listener; their ids. */
  async #program(
    key: string,
    gateway: Gateway,
    { vips: assigned, ports: covered, sources: sourceAddresses = [] }: Assignment,
    wished: Settings,
    { attachments, routes }: { readonly attachments: readonly Attachment[]; readonly routes: Routes },
    states: Map<string, PortState>,
  ): Promise<ReadonlySet<string>> {
    const { members, cluster, events, onPending } = this.#parts;
    const settings = { ...wished, sourceAddresses };
    const vips = assigned.map(({ vip }) => vip);
    const served = servedListeners(gateway)
      .map((listener) => ({ listener, port: portOf(listener) }))
      .filter(({ port }) => covered.includes(`${port.protocol}/${port.port}`));
    const ports = served.map(({ port }) => port);
    const ids = await members.makeRoom(key, vips, ports);
    for (const { listener, port } of served) {
      const attachment = attachments.find(({ listeners }) => listeners.includes(listener.name));
      const backends = attachment === undefined ? undefined : routes.backends.get(attachment.route);
      const { endpoints, graceS } = await this.#endpoints(key, gateway, backends, settings, vips);
      const before = members.servedAs(key, vips, port).view;
      const demand = { cluster, key, port, vips, settings, endpoints, graceS };
      const wanted = memberServiceOf({ ...demand, allowedSources: [], isSticky: false }, before);
      const parts = { members, events, told: this.#told, onPending: () => onPending() };
      const state = await programPort(parts, key, named(gateway), wanted, before);
      states.set(listener.name, state.error === undefined ? SERVED_STATE : state);
    }
    return ids;
  }

  async #endpoints(
    key: string,
    gateway: Gateway,
    backends: Backends | undefined,
    settings: Settings,
    vips: readonly string[],
  ) {
    const { copies } = this.#parts;
    const networks = settings.networks ?? [];
    const families = [...new Set(vips.map(familyOf))];
    const graces: number[] = [];
    const groups = [];
    for (const { service, port, weight } of backends?.backends ?? []) {
      const slices = copies.slicesOf(service);
      const pods = await copies.podsOf(podsToAskFor(slices, networks));
      for (const { metadata, spec } of pods.values())
        if (metadata.deletionTimestamp !== undefined)
          graces.push(metadata.deletionGracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? 30);
      const found = findEndpoints({ port, slices, families, networks, zones: settings.zones ?? [], pods });
      this.#told.texts(key, named(gateway), `EndpointsIgnored ${service}`, found.notes);
      groups.push({ weight, endpoints: found.endpoints });
    }
    return {
      endpoints: groups.length === 0 ? [] : withShares(groups),
      graceS: graces.length === 0 ? undefined : Math.max(...graces),
    };
  }

  /** It is no longer ours: the members let go of it, then it of us. */
  async #leave(gateway: Gateway): Promise<void> {
    const { members, allocator, onReleased } = this.#parts;
    const key = gatewayKey(gateway);
    for (const view of members.ofKey(key)) if (view.removal === undefined) await members.remove(view);
    if (allocator.release(key)) onReleased();
    this.#told.forget(key);
    await this.#writer.unmark(gateway);
  }

  /** Of Gateways that are gone without us: somebody took the finalizer away. */
  async #clear(): Promise<void> {
    const { members, allocator, gateways, onReleased } = this.#parts;
    for (const view of [...members.services]) {
      const key = members.keyOf(view);
      if (key === undefined || !isGatewayKey(key) || view.removal !== undefined) continue;
      if (gateways.gateways.isSynced && !gateways.gateways.objects.has(objectKeyOf(key))) {
        await members.remove(view);
        if (allocator.release(key)) onReleased();
      }
    }
  }
}

function settingsOf({ metadata, spec }: Gateway) {
  const { listeners = [] } = spec ?? {};
  return readAnnotations(
    { ...spec?.infrastructure?.annotations, ...metadata.annotations },
    listeners.filter(({ protocol }) => LISTENER_PROTOCOLS.has(protocol)).map((each) => portOf(each).protocol),
  );
}

/** Events name kinds: the items of a list do not. */
function named(gateway: Gateway): Gateway {
  return { ...gateway, apiVersion: apiVersionOf(GATEWAYS), kind: GATEWAYS.kind };
}

/** As pools and the wishes of annotations know who asks. */
function asService({ metadata }: Gateway): KubernetesService {
  return { apiVersion: apiVersionOf(GATEWAYS), kind: GATEWAYS.kind, metadata };
}

function servedListeners({ spec }: Gateway): readonly Listener[] {
  const all = spec?.listeners ?? [];
  return all.filter((listener) => LISTENER_PROTOCOLS.has(listener.protocol) && !isConflicted(listener, all));
}

function portOf({ port, protocol }: Listener) {
  return { port, protocol: LISTENER_PROTOCOLS.get(protocol)?.protocol ?? "SCTP" } as const;
}

function portsOf(gateway: Gateway): string[] {
  return servedListeners(gateway).map((listener) => {
    const { port, protocol } = portOf(listener);
    return `${protocol}/${port}`;
  });
}

function wishOf({ type = "IPAddress", value = "" }: GatewayAddress): Wish | undefined {
  if (type === POOL_ADDRESS) return { kind: "pool", pool: value };
  if (type !== "IPAddress") return undefined;
  if (value === "") return { kind: "default", family: undefined };
  const address = canonical(value);
  return address === undefined ? undefined : { kind: "address", address };
}
