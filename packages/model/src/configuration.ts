// Changes of what all members share.
import type { Address } from "./address.ts";
import type { MemberName } from "./ownership.ts";
import type { Service, ServiceId } from "./service.ts";

/**
 * One change of the configuration that all members share: it applies whole or not at all, at every member.
 */
export interface ConfigurationChange {
  /** Services as they shall be: made, or put in place of what they were. */
  readonly put?: readonly Service[];
  readonly remove?: readonly ServiceId[];
  /** What a member's file says from now on: the memory that its next version is compared with. */
  readonly file?: FileMemory;
  /**
   * It gives way to all that any member has said of the same things: what the file of a member says that
   * knows nothing of the cluster yet.
   */
  readonly isFirst?: boolean;
}

export interface FileMemory {
  readonly member: MemberName;
  readonly put: ReadonlyMap<ServiceId, FileImage>;
  readonly remove: readonly ServiceId[];
}

/**
 * What is remembered of a service in a file: enough to tell what the next version changed, and little, since
 * all members keep it for each of them. Digests are hexadecimal; what they are of is the writer's business.
 */
export interface FileImage {
  /** A digest a field. */
  readonly fields: string;
  readonly vips: readonly Address[];
  /** Of each endpoint: which it is, and what it is. */
  readonly endpoints: readonly string[];
}

/** A place that sessions name: an endpoint of a service, or the service as a whole. */
export interface ServicePlace {
  readonly serviceId: ServiceId;
  readonly endpoint?: { readonly address: Address; readonly port: number };
}

/** The VIPs of a service after a change: who stays keeps its place, as sessions name VIPs by their places. */
export function placedVips(before: readonly Address[], wanted: readonly Address[]): Address[] {
  const fresh = wanted.filter((vip) => !before.includes(vip));
  const placed = before.map((vip) => (wanted.includes(vip) ? vip : fresh.shift()));
  return [...placed.filter((vip) => vip !== undefined), ...fresh];
}
