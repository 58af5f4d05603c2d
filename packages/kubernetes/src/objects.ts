// Objects of Kubernetes as far as the controller reads or writes them; everything else in them is left alone.

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly unknown[];
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Metadata;
}

export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  /** RFC 3339, seconds. */
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

export type Protocol = "TCP" | "UDP" | "SCTP";

export interface ServicePort {
  readonly name?: string;
  readonly protocol?: Protocol;
  readonly port: number;
  readonly targetPort?: number | string;
}

export interface IngressPort {
  readonly port: number;
  readonly protocol: Protocol;
  /** `domain/CamelCase`. */
  readonly error?: string;
}

export interface Ingress {
  readonly ip?: string;
  readonly hostname?: string;
  readonly ipMode?: "VIP" | "Proxy";
  readonly ports?: readonly IngressPort[];
}

export interface KubernetesService extends KubernetesObject {
  readonly spec?: {
    readonly type?: string;
    readonly loadBalancerClass?: string;
    readonly loadBalancerIP?: string;
    readonly loadBalancerSourceRanges?: readonly string[];
    readonly ipFamilies?: readonly ("IPv4" | "IPv6")[];
    readonly ipFamilyPolicy?: string;
    readonly sessionAffinity?: string;
    readonly ports?: readonly ServicePort[];
  };
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly Ingress[] };
    readonly conditions?: readonly Condition[];
  };
}

export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: {
    /** Absent: yes. */
    readonly ready?: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
  readonly targetRef?: {
    readonly kind?: string;
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
  };
  readonly nodeName?: string;
  readonly zone?: string;
}

export interface EndpointSlice extends KubernetesObject {
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly endpoints?: readonly SliceEndpoint[];
  readonly ports?: readonly {
    readonly name?: string;
    readonly protocol?: Protocol;
    readonly port?: number;
  }[];
}

export interface Pod extends KubernetesObject {
  readonly spec?: { readonly terminationGracePeriodSeconds?: number };
}

export interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    /** MicroTime: RFC 3339 with six digits of a second. */
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface KubernetesEvent extends KubernetesObject {
  readonly involvedObject: ObjectReference;
  readonly reason: string;
  readonly message: string;
  readonly type: "Normal" | "Warning";
  readonly count?: number;
  readonly firstTimestamp?: string;
  readonly lastTimestamp?: string;
  readonly source?: { readonly component: string };
  readonly reportingComponent?: string;
  readonly reportingInstance?: string;
}

/** A kind of object and where it is found. */
export interface Resource {
  /** Empty: the core. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
}

const resource = (
  group: string,
  version: string,
  plural: string,
  kind: string,
  isNamespaced = true,
): Resource => ({
  group,
  version,
  plural,
  kind,
  isNamespaced,
});

export const SERVICES = resource("", "v1", "services", "Service");
export const PODS = resource("", "v1", "pods", "Pod");
export const EVENTS = resource("", "v1", "events", "Event");
export const ENDPOINT_SLICES = resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice");
export const LEASES = resource("coordination.k8s.io", "v1", "leases", "Lease");
export const NODES = resource("", "v1", "nodes", "Node", false);
export const SECRETS = resource("", "v1", "secrets", "Secret");
export const MEMBERS = resource("holdfast.io", "v1", "members", "Member", false);
export const VIP_POOLS = resource("holdfast.io", "v1", "vippools", "VipPool", false);

export function apiVersionOf({ group, version }: Resource): string {
  return group === "" ? version : `${group}/${version}`;
}

/** `NAMESPACE/NAME`, or the name alone of what has no namespace. */
export function keyOf({ metadata }: KubernetesObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** The two halves of `keyOf`. */
export function namespaceAndName(key: string): { namespace: string | undefined; name: string } {
  const at = key.indexOf("/");
  return at < 0
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, at), name: key.slice(at + 1) };
}
