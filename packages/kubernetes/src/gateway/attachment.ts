// Which routes a Gateway's listeners take, and what keeps a route out: parentRefs, allowedRoutes, kinds.
// Pure: from what the API server has.
import type { Condition, KubernetesObject, Resource } from "../objects.ts";
import {
  GATEWAY_GROUP,
  type Gateway,
  type LabelSelector,
  LISTENER_PROTOCOLS,
  type Listener,
  type ParentReference,
  type Route,
  type RouteGroupKind,
} from "./objects.ts";

export type Verdict = Pick<Condition, "status" | "reason" | "message">;

export interface KnownRoute {
  readonly route: Route;
  readonly resource: Resource;
}

/** One parentRef of one route that names the Gateway. */
export interface Attachment extends KnownRoute {
  readonly parentRef: ParentReference;
  readonly accepted: Verdict;
  /** Names of the listeners that take the route. */
  readonly listeners: readonly string[];
}

export const ACCEPTED: Verdict = { status: "True", reason: "Accepted", message: "Accepted." };

export function no(reason: string, message: string): Verdict {
  return { status: "False", reason, message };
}

/** What a listener takes: the kinds of its protocol, as far as it names them. */
export function kindsOf({ protocol, allowedRoutes }: Listener): {
  readonly kinds: readonly RouteGroupKind[];
  readonly isWhole: boolean;
} {
  const own = LISTENER_PROTOCOLS.get(protocol)?.routes;
  const named = allowedRoutes?.kinds ?? [];
  if (own === undefined) return { kinds: [], isWhole: named.length === 0 };
  const kind = { group: own.group, kind: own.kind };
  const isOwn = (each: RouteGroupKind) =>
    (each.group ?? GATEWAY_GROUP) === own.group && each.kind === own.kind;
  if (named.length === 0) return { kinds: [kind], isWhole: true };
  return { kinds: named.some(isOwn) ? [kind] : [], isWhole: named.every(isOwn) };
}

/** Oldest first, then by name: who came first keeps what only one can have. */
export function byAge(a: KnownRoute, b: KnownRoute): number {
  const [x, y] = [ageOf(a), ageOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function ageOf({ route: { metadata }, resource }: KnownRoute): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.namespace ?? ""}/${metadata.name} ${resource.kind}`;
}

/**
 * `routes` oldest first. Of SCTP, TCP and UDP nothing tells two routes of one listener apart: the oldest
 * has it.
 */
export function attachmentsOf(
  gateway: Gateway,
  routes: readonly KnownRoute[],
  namespaces: ReadonlyMap<string, KubernetesObject>,
): readonly Attachment[] {
  const taken = new Map<string, KnownRoute>();
  return routes.flatMap((known) =>
    parentsIn(gateway, known.route).map((parentRef): Attachment => {
      const { listeners, accepted } = listenersFor(gateway, known, parentRef, namespaces);
      const free = listeners.filter(({ name }) => (taken.get(name) ?? known).route === known.route);
      for (const { name } of free) taken.set(name, known);
      const holder = taken.get(listeners[0]?.name ?? "")?.route.metadata;
      const isLate = listeners.length > 0 && free.length === 0;
      return {
        ...known,
        parentRef,
        accepted: isLate
          ? no(
              "UnsupportedValue",
              `Listener ${listeners[0]?.name} is ${holder?.namespace}/${holder?.name}'s, which is older: it takes one route.`,
            )
          : accepted,
        listeners: free.map(({ name }) => name),
      };
    }),
  );
}

function parentsIn({ metadata }: Gateway, route: Route): readonly ParentReference[] {
  return (route.spec?.parentRefs ?? []).filter(
    ({ group = GATEWAY_GROUP, kind = "Gateway", namespace = route.metadata.namespace, name }) =>
      group === GATEWAY_GROUP &&
      kind === "Gateway" &&
      namespace === metadata.namespace &&
      name === metadata.name,
  );
}

function listenersFor(
  gateway: Gateway,
  { route, resource }: KnownRoute,
  { sectionName, port }: ParentReference,
  namespaces: ReadonlyMap<string, KubernetesObject>,
): { readonly listeners: readonly Listener[]; readonly accepted: Verdict } {
  const named = (gateway.spec?.listeners ?? []).filter(
    (listener) =>
      (sectionName === undefined || listener.name === sectionName) &&
      (port === undefined || listener.port === port),
  );
  if (named.length === 0)
    return {
      listeners: [],
      accepted: no("NoMatchingParent", "The Gateway has no listener of this name and port."),
    };
  const kind = named.filter((listener) =>
    kindsOf(listener).kinds.some((each) => each.kind === resource.kind && each.group === resource.group),
  );
  const listeners = kind.filter((listener) => allowsNamespace(listener, gateway, route, namespaces));
  if (listeners.length > 0) return { listeners, accepted: ACCEPTED };
  const why =
    kind.length === 0
      ? `No listener takes a ${resource.kind}.`
      : `No listener takes routes of namespace ${route.metadata.namespace}.`;
  return { listeners, accepted: no("NotAllowedByListeners", why) };
}

function allowsNamespace(
  { allowedRoutes }: Listener,
  gateway: Gateway,
  { metadata }: Route,
  namespaces: ReadonlyMap<string, KubernetesObject>,
): boolean {
  const { from = "Same", selector = {} } = allowedRoutes?.namespaces ?? {};
  if (from === "All") return true;
  if (from === "Same") return metadata.namespace === gateway.metadata.namespace;
  if (from !== "Selector") return false;
  const labels = namespaces.get(metadata.namespace ?? "")?.metadata.labels;
  return labels !== undefined && isSelected(selector, labels);
}

function isSelected(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries(matchLabels).every(([name, value]) => labels[name] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const label = labels[key];
      if (operator === "Exists") return label !== undefined;
      if (operator === "DoesNotExist") return label === undefined;
      const isIn = label !== undefined && values.includes(label);
      return operator === "In" ? isIn : operator === "NotIn" && !isIn;
    })
  );
}
