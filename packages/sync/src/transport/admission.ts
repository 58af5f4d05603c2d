// Who may be a peer: a pure judgement of a greeting. Reasons are stable words, for counters and for the other
// side; explanations are for both logs and say what to do.
import type { MemberName } from "@holdfast/model";
import type { MemberIdentity } from "../certificates/identity.ts";
import type { Greeting } from "../messages/greeting.ts";

export interface Refusal {
  readonly reason: string;
  readonly explanation: string;
}

export interface AdmissionContext {
  readonly own: Greeting;
  /** From the peer's certificate; undefined on a plain link. */
  readonly certified: MemberIdentity | undefined;
  /** Whom this member dialled; undefined when it was dialled. */
  readonly expected: MemberName | undefined;
  /**
   * Numbers of the configured members, by name; undefined: the list is not known, a certificate of the
   * cluster will do.
   */
  readonly configured: ReadonlyMap<MemberName, number> | undefined;
  /** Names that were taken out of the list. */
  readonly removed?: ReadonlySet<MemberName>;
}

/** Reasons that the other side acts upon. */
export const REMOVED = "removed";
export const NOT_CONFIGURED = "not-configured";
const NUMBER_MISMATCH = "number-mismatch";

/** undefined: admitted. */
export function refusalOf(greeting: Greeting, context: AdmissionContext): Refusal | undefined {
  const { own, certified, expected, configured, removed } = context;
  if (greeting.versionLowest > own.versionHighest || greeting.versionHighest < own.versionLowest) {
    return refuse(
      "version",
      `${own.memberName} speaks versions ${own.versionLowest} to ${own.versionHighest}, ${greeting.memberName} ${greeting.versionLowest} to ${greeting.versionHighest}: upgrade the older one`,
    );
  }
  if (greeting.clusterId !== own.clusterId) {
    return refuse(
      "cluster",
      `${own.memberName} belongs to cluster ${own.clusterId}, ${greeting.memberName} to ${greeting.clusterId}`,
    );
  }
  if (certified !== undefined) {
    const { clusterId, memberName, memberNumber } = certified;
    if (clusterId !== own.clusterId)
      return refuse(
        "certificate-cluster",
        `the certificate is for cluster ${clusterId}, not ${own.clusterId}`,
      );
    if (memberName !== greeting.memberName || memberNumber !== greeting.memberNumber) {
      return refuse(
        "certificate-name",
        `the certificate is for ${memberName} (number ${memberNumber}), the greeting says ${greeting.memberName} (number ${greeting.memberNumber})`,
      );
    }
  }
  if (greeting.memberNumberCount !== own.memberNumberCount) {
    return refuse(
      "number-count",
      `${own.memberName} cuts NAT ports for ${own.memberNumberCount} members, ${greeting.memberName} for ${greeting.memberNumberCount}: set the same memberNumberCount everywhere`,
    );
  }
  if (greeting.memberNumber >= own.memberNumberCount) {
    return refuse(
      "number-out-of-range",
      `number ${greeting.memberNumber} needs a memberNumberCount above it, it is ${own.memberNumberCount}`,
    );
  }
  if (Buffer.compare(greeting.instance, own.instance) === 0) {
    return refuse(
      "itself",
      `${own.memberName} has reached itself: an address in cluster.join, or of another member in the list, is its own`,
    );
  }
  if (greeting.memberName === own.memberName || greeting.memberNumber === own.memberNumber) {
    return refuse(
      "number-taken",
      `${greeting.memberName} (number ${greeting.memberNumber}) claims what ${own.memberName} (number ${own.memberNumber}) has: every member needs a name and a number of its own`,
    );
  }
  if (expected !== undefined && greeting.memberName !== expected)
    return refuse("unexpected-member", `${expected} was dialled and ${greeting.memberName} answered`);
  if (configured === undefined) {
    if (certified !== undefined) return undefined;
    return refuse("certificate", `${own.memberName} does not know the members yet and needs a certificate`);
  }
  return refusalByList(greeting, own, configured, removed);
}

function refusalByList(
  greeting: Greeting,
  own: Greeting,
  configured: ReadonlyMap<MemberName, number>,
  removed: ReadonlySet<MemberName> | undefined,
): Refusal | undefined {
  const configuredNumber = configured.get(greeting.memberName);
  if (configuredNumber === undefined && removed?.has(greeting.memberName) === true)
    return refuse(REMOVED, removedText(greeting.memberName));
  if (configuredNumber === undefined) {
    return refuse(
      NOT_CONFIGURED,
      `${greeting.memberName} is not among the members that ${own.memberName} is configured with: 'holdfast member add' puts it on the list`,
    );
  }
  if (configuredNumber !== greeting.memberNumber) {
    return refuse(
      NUMBER_MISMATCH,
      `${greeting.memberName} has number ${greeting.memberNumber}, ${own.memberName} is configured with ${configuredNumber} for it: take it off the list and add it with the number of its certificate, or issue that anew`,
    );
  }
  return undefined;
}

/**
 * The version of the peer's list of members, when it is later than the one here, which is `version`, and has
 * this member with its name (by which it was dialled) and number.
 */
export function laterListOf(
  { list }: Pick<Greeting, "list">,
  own: Pick<Greeting, "memberNumber">,
  version: number,
): number | undefined {
  return list !== undefined && list.memberNumber === own.memberNumber && list.version > version
    ? list.version
    : undefined;
}

/** The own list alone does not have the peer as it is; if it has a later one (`later`), the list is wrong. */
export function isStranger({ reason }: Refusal, later: number | undefined): boolean {
  return reason === NOT_CONFIGURED || (reason === NUMBER_MISMATCH && later !== undefined);
}

export function removedText(member: MemberName): string {
  return `${member} was removed from the cluster: stop it, or add it again under another name`;
}

function refuse(reason: string, explanation: string): Refusal {
  return { reason, explanation };
}
