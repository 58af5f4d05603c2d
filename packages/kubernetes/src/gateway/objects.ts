// Objects of the Gateway API 1.6 as far as the controller reads or writes them, and our SCTPRoute, which
// has the shape of a TCPRoute.
import type { Condition, KubernetesObject, Protocol, Resource } from "../objects.ts";

export const GATEWAY_GROUP = "gateway.networking.k8s.io";
export const OUR_GROUP = "holdfast.io";

export interface GatewayClass extends KubernetesObject {
  readonly spec?: { readonly controllerName?: string; readonly parametersRef?: unknown };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly supportedFeatures?: readonly { readonly name: string }[];
  };
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

export interface RouteGroupKind {
  readonly group?: string;
  readonly kind: string;
}

export interface Listener {
  readonly name: string;
  readonly port: number;
  /** TCP, UDP, holdfast.io/SCTP; others are not ours. */
  readonly protocol: string;
  readonly allowedRoutes?: {
    readonly namespaces?: { readonly from?: string; readonly selector?: LabelSelector };
    readonly kinds?: readonly RouteGroupKind[];
  };
}

export interface GatewayAddress {
  /** Default IPAddress. */
  readonly type?: string;
  readonly value?: string;
}

export interface ListenerStatus {
  readonly name: string;
  readonly supportedKinds: readonly RouteGroupKind[];
  readonly attachedRoutes: number;
  readonly conditions: readonly Condition[];
}

export interface Gateway extends KubernetesObject {
  readonly spec?: {
    readonly gatewayClassName?: string;
    readonly listeners?: readonly Listener[];
    readonly addresses?: readonly GatewayAddress[];
    readonly infrastructure?: { readonly annotations?: Readonly<Record<string, string>> };
  };
  readonly status?: {
    readonly addresses?: readonly GatewayAddress[];
    readonly conditions?: readonly Condition[];
    readonly listeners?: readonly ListenerStatus[];
  };
}

export interface ParentReference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly sectionName?: string;
  readonly port?: number;
}

export interface BackendReference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
  /** Default 1. */
  readonly weight?: number;
}

export interface ParentStatus {
  readonly parentRef: ParentReference;
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
}

export interface Route extends KubernetesObject {
  readonly spec?: {
    readonly parentRefs?: readonly ParentReference[];
    readonly rules?: readonly { readonly backendRefs?: readonly BackendReference[] }[];
  };
  readonly status?: { readonly parents?: readonly ParentStatus[] };
}

export interface ReferenceGrant extends KubernetesObject {
  readonly spec?: {
    readonly from?: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
    readonly to?: readonly { readonly group: string; readonly kind: string; readonly name?: string }[];
  };
}

const gatewayResource = (plural: string, kind: string, isNamespaced = true): Resource => ({
  group: GATEWAY_GROUP,
  version: "v1",
  plural,
  kind,
  isNamespaced,
});

export const GATEWAY_CLASSES = gatewayResource("gatewayclasses", "GatewayClass", false);
export const GATEWAYS = gatewayResource("gateways", "Gateway");
export const TCP_ROUTES = gatewayResource("tcproutes", "TCPRoute");
export const UDP_ROUTES = gatewayResource("udproutes", "UDPRoute");
export const REFERENCE_GRANTS = gatewayResource("referencegrants", "ReferenceGrant");
export const SCTP_ROUTES: Resource = {
  group: OUR_GROUP,
  version: "v1",
  plural: "sctproutes",
  kind: "SCTPRoute",
  isNamespaced: true,
};
export const NAMESPACES: Resource = {
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  isNamespaced: false,
};

/** Of which one is read: it says which version of the Gateway API is installed. */
export const DEFINITIONS: Resource = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  isNamespaced: false,
};

/** Listener protocols that are served, and the routes that each takes. */
export const LISTENER_PROTOCOLS: ReadonlyMap<
  string,
  { readonly protocol: Protocol; readonly routes: Resource }
> = new Map([
  ["holdfast.io/SCTP", { protocol: "SCTP", routes: SCTP_ROUTES }],
  ["TCP", { protocol: "TCP", routes: TCP_ROUTES }],
  ["UDP", { protocol: "UDP", routes: UDP_ROUTES }],
]);
export const ROUTE_RESOURCES: readonly Resource[] = [SCTP_ROUTES, TCP_ROUTES, UDP_ROUTES];
export const GATEWAY_RESOURCES: readonly Resource[] = [
  GATEWAY_CLASSES,
  GATEWAYS,
  REFERENCE_GRANTS,
  NAMESPACES,
  ...ROUTE_RESOURCES,
];

const KEY_MARK = "gateway:";

/** A Gateway beside the Services: no Service's name has a colon. */
export function gatewayKey({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? "default"}/${KEY_MARK}${metadata.name}`;
}

export function isGatewayKey(key: string): boolean {
  return key.slice(key.indexOf("/") + 1).startsWith(KEY_MARK);
}

/** NAMESPACE/NAME of the Gateway. */
export function objectKeyOf(key: string): string {
  return key.replace(`/${KEY_MARK}`, "/");
}
