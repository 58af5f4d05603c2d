// The Services behind a route: which of them there are and may be used, and their pods as endpoints with
// their shares.
import type { KubernetesService, Protocol, ServicePort } from "../objects.ts";
import { ENDPOINT_COUNT_MAX, type WantedEndpoint, withoutRepeats } from "../services/endpoints.ts";
import { type KnownRoute, no, type Verdict } from "./attachment.ts";
import { type BackendReference, LISTENER_PROTOCOLS, type ReferenceGrant } from "./objects.ts";

export interface Backend {
  /** NAMESPACE/NAME of the Service. */
  readonly service: string;
  readonly port: ServicePort;
  readonly weight: number;
}

export interface Backends {
  readonly backends: readonly Backend[];
  readonly resolved: Verdict;
  /** Services that it names, those that are not there, too. */
  readonly services: readonly string[];
}

/** Shares are whole numbers up to this. */
const WEIGHT_MOST = 1000;

/** What can be used is, whatever the others are. */
export function backendsOf(
  { route, resource }: KnownRoute,
  services: ReadonlyMap<string, KubernetesService>,
  grants: Iterable<ReferenceGrant>,
): Backends {
  const protocol =
    [...LISTENER_PROTOCOLS.values()].find(({ routes }) => routes === resource)?.protocol ?? "SCTP";
  const known = [...grants];
  const backends: Backend[] = [];
  const named: string[] = [];
  let resolved: Verdict = { status: "True", reason: "ResolvedRefs", message: "All references are resolved." };
  for (const reference of (route.spec?.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs)) {
    const {
      group = "",
      kind = "Service",
      namespace = route.metadata.namespace ?? "default",
      name,
    } = reference;
    const service = `${namespace}/${name}`;
    const isService = group === "" && kind === "Service";
    if (isService) named.push(service);
    const problem = !isService
      ? no("InvalidKind", `${kind} ${service} is no Service.`)
      : !isGranted(reference, { route, resource }, known)
        ? no("RefNotPermitted", `No ReferenceGrant in ${namespace} lets it refer to Service ${name}.`)
        : portProblem(service, reference, services.get(service), protocol);
    if ("status" in problem) {
      if (resolved.status === "True") resolved = problem;
    } else backends.push({ service, port: problem, weight: reference.weight ?? 1 });
  }
  return { backends, resolved, services: named };
}

function isGranted(
  { namespace, name }: BackendReference,
  { route, resource }: KnownRoute,
  grants: readonly ReferenceGrant[],
): boolean {
  if (namespace === undefined || namespace === route.metadata.namespace) return true;
  return grants.some(
    ({ metadata, spec }) =>
      metadata.namespace === namespace &&
      spec?.from?.some(
        (from) =>
          from.group === resource.group &&
          from.kind === resource.kind &&
          from.namespace === route.metadata.namespace,
      ) === true &&
      spec.to?.some((to) => to.group === "" && to.kind === "Service" && (to.name ?? name) === name) === true,
  );
}

function portProblem(
  key: string,
  { port }: BackendReference,
  service: KubernetesService | undefined,
  protocol: Protocol,
): ServicePort | Verdict {
  if (service === undefined) return no("BackendNotFound", `There is no Service ${key}.`);
  const ports = (service.spec?.ports ?? []).filter((each) => each.port === port);
  const found = ports.find((each) => (each.protocol ?? "TCP") === protocol);
  if (found !== undefined) return found;
  return ports.length === 0
    ? no("BackendNotFound", `Service ${key} has no port ${port}.`)
    : no("UnsupportedProtocol", `Port ${port} of Service ${key} is not ${protocol}.`);
}

/** Endpoints of several Services as one list: a Service's share is its endpoints' together. */
export function withShares(
  groups: readonly { readonly weight: number; readonly endpoints: readonly WantedEndpoint[] }[],
): readonly WantedEndpoint[] {
  const shares = groups.map(({ weight, endpoints }) => {
    const count = endpoints.filter(({ state }) => state === "active").length;
    return count === 0 ? 0 : weight / count;
  });
  const most = Math.max(...shares);
  const isEven =
    shares.every((share) => share === most || share === 0) && groups.every(({ weight }) => weight > 0);
  const all = groups.flatMap(({ weight, endpoints }, index) => {
    const share = Math.max(1, Math.round(((shares[index] as number) / most) * WEIGHT_MOST));
    const own = isEven ? {} : { weight: weight === 0 ? 0 : share };
    return endpoints.map((endpoint): WantedEndpoint => ({ ...endpoint, ...own }));
  });
  // Of a pod behind two of them with the same addresses, what gives it more.
  all.sort((a, b) => (b.weight ?? 1) - (a.weight ?? 1));
  return withoutRepeats(all, ({ state }) => (state === "active" ? 0 : 1)).slice(0, ENDPOINT_COUNT_MAX);
}
