// The kind `Member`: one of the Holdfast cluster's members on a node of this Kubernetes. Its spec is the
// node's word, its status the controller's: the number and the certificate that it gave.
import { createHash } from "node:crypto";
import type { Condition, KubernetesObject } from "../objects.ts";

export const MEMBER_FINALIZER = "holdfast.io/member";
/** On nodes that are to have a member; the DaemonSet selects by it. */
export const MEMBER_LABEL = "holdfast.io/member";
export const ZONE_LABEL = "topology.kubernetes.io/zone";

export interface MemberObject extends KubernetesObject {
  readonly spec?: {
    /** Where the others find it: addresses of the node, one on each network. */
    readonly addresses?: readonly string[];
    /** PKCS #10, PEM: the public half of a key that was made on the node. */
    readonly request?: string;
  };
  readonly status?: MemberStatus;
}

export interface MemberStatus {
  /** As the members know it. */
  readonly memberName?: string;
  readonly number?: number;
  readonly zone?: string;
  /** It begins the cluster; no other one does. */
  readonly isFounder?: boolean;
  /** Where it finds the others, HOST:PORT. */
  readonly join?: readonly string[];
  readonly certificate?: string;
  /** Of the request that the certificate is for. */
  readonly requestDigest?: string;
  readonly phase?: MemberPhase;
  readonly conditions?: readonly Condition[];
}

export type MemberPhase =
  /** Its node has not asked for a certificate yet. */
  | "Pending"
  /** It has one, and is not on the members' list yet. */
  | "Certified"
  | "Joined"
  /** Its node is gone, or is to have no member any more. */
  | "Leaving";

export interface NodeObject extends KubernetesObject {
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
}

export function digestOf(request: string): string {
  return createHash("sha256").update(request.trim()).digest("hex").slice(0, 32);
}

const NAME_LENGTH_MAX = 63;

/**
 * A node's name as a member's: small letters, digits and hyphens. `suffix`: when the plain one is somebody
 * else's.
 */
export function memberNameOf(node: string, suffix?: string): string {
  const tail = suffix === undefined ? "" : `-${suffix}`;
  const plain = node.toLowerCase().replace(/[^a-z0-9-]+/g, "-");
  return `${plain.slice(0, NAME_LENGTH_MAX - tail.length).replace(/^-+|-+$/g, "")}${tail}`;
}

export function isWanted(node: NodeObject | undefined): boolean {
  const value = node?.metadata.labels?.[MEMBER_LABEL];
  return node?.metadata.deletionTimestamp === undefined && value !== undefined && value !== "false";
}
