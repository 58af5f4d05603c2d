// What the coordinator needs to know of the cluster before it starts: members, their addresses, timing.
import { createHash, hkdfSync } from "node:crypto";
import { type Address, HoldfastError, type MemberName } from "@holdfast/model";

/** Where probes reach a member on one network. */
export interface MemberAddress {
  /** Name of the network, the same at every member: "cluster", "path-a", "core", … */
  readonly network: string;
  readonly address: Address;
  /** UDP port of the probes, 1 … 65535. */
  readonly port: number;
}

export interface MemberConfiguration {
  readonly name: MemberName;
  /** The number that the member's certificate carries, 0 … 65535, unique in the cluster. */
  readonly number: number;
  /** Members of one zone fail together; VIPs of one service are kept in different zones where possible. */
  readonly zone?: string;
  /** At least one; at most ADDRESS_COUNT_MAX, each on a network of its own. */
  readonly addresses: readonly MemberAddress[];
}

export const ADDRESS_COUNT_MAX = 8;
/** Members of one cluster. The NAT port slots allow 64; membership itself is simulated with hundreds. */
export const MEMBER_COUNT_MAX = 1_024;
/** VIPs of all services together: their claims must fit into one datagram. */
export const CLUSTER_VIP_COUNT_MAX = 1_024;

/** All in milliseconds of the monotonic clock. */
export interface Timing {
  /** Between two probes to a member. Default 50. */
  readonly probeIntervalMs: number;
  /** This many missed probes in a row are a death. Default 3. */
  readonly missedProbesMax: number;
  /**
   * A member that was wrongly presumed dead takes nothing back for this long; doubled each time, see below.
   * Default 1,000.
   */
  readonly settleMs: number;
  /** Upper bound of the doubling. Default 30,000. */
  readonly settleMaxMs: number;
  /** The main loop silent for this long: the probe thread withdraws readiness. Default 2,000. */
  readonly mainSilentMaxMs: number;
}

export const DEFAULT_TIMING: Timing = {
  probeIntervalMs: 50,
  missedProbesMax: 3,
  settleMs: 1_000,
  settleMaxMs: 30_000,
  mainSilentMaxMs: 2_000,
};

/** The probe thread keeps little of what it makes: more would be resident, and never used. */
export const YOUNG_GENERATION_MIB = 3;
/** The main loop says that it is alive this many times in the time after which it counts as silent. */
const PULSES_PER_SILENCE = 8;

export function pulsePeriodMs(timing: Partial<Timing> = {}): number {
  return Math.max(1, (timing.mainSilentMaxMs ?? DEFAULT_TIMING.mainSilentMaxMs) / PULSES_PER_SILENCE);
}

/** Silence after which a member is dead, whoever was asked: the third probe in a row is overdue. */
export function deadAfterMs(timing: Timing): number {
  return timing.probeIntervalMs * timing.missedProbesMax;
}

/** Silence after which a member is shown as suspect: the last but one probe is overdue by a fifth of an interval. */
export function suspectAfterMs(timing: Timing): number {
  return timing.probeIntervalMs * (timing.missedProbesMax - 1) + timing.probeIntervalMs / 5;
}

/** Calls without an answer before a death earlier than deadAfterMs. */
export const CALL_COUNT_MIN = 3;
/** Least time between two extra probes to one member (answers, accusations, calls), ms. */
export const REPLY_SPACING_MS = 10;
/** Of deadAfterMs: no death is earlier, whatever was asked, so that more patience asked for is more patience. */
const EARLY_SHARE = 0.6;
/** A member's probes come so many times as late as they were seen to come before it is called dead early. */
export const LATENESS_FACTOR = 2;

/** Between two calls to a silent member; it answers each. */
export function callSpacingMs(timing: Timing): number {
  return Math.max(REPLY_SPACING_MS, timing.probeIntervalMs / 5);
}

/** Silence after which a member is called: its probe is overdue by a fifth of an interval. */
export function callAfterMs(timing: Timing): number {
  return timing.probeIntervalMs * 1.2;
}

/**
 * Silence after which a member that answers no call is dead. `lateMs`: by how much probes, its own or ours, came
 * too late of late; who starves, or sits beside one who does, has the whole of deadAfterMs.
 */
export function deadUnansweredAfterMs(timing: Timing, lateMs: number): number {
  const calledMs = callAfterMs(timing) + CALL_COUNT_MIN * callSpacingMs(timing);
  const patientMs = callAfterMs(timing) + LATENESS_FACTOR * lateMs;
  return Math.min(deadAfterMs(timing), Math.max(calledMs, patientMs, EARLY_SHARE * deadAfterMs(timing)));
}

/**
 * Silence on one network after which nobody is heard there. Longer than a death, so that the last survivor
 * knows that the others are dead before it believes that its own network is.
 */
export function unheardAfterMs(timing: Timing): number {
  return timing.probeIntervalMs * (timing.missedProbesMax + 1);
}

/**
 * `routerHeard` of a member's readiness: a router, or any host that is no member, answered within so many
 * milliseconds.
 */
export const ROUTER_EVIDENCE_MS = 300;

const networkIds = new Map<string, number>();

/** 16-bit name of a network on the wire. Names come from the configuration, so they are few. */
export function networkIdOf(network: string): number {
  let id = networkIds.get(network);
  if (id === undefined) {
    id = createHash("sha256").update(network).digest().readUInt16BE(0);
    networkIds.set(network, id);
  }
  return id;
}

/**
 * The key of the probes' tags, derived so that the cluster's secret itself never authenticates anything else.
 */
export function probeKeyOf(secret: string | Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", "holdfast probe v1", 32));
}

/** Throws CLUSTER_INVALID with the reason when members, numbers or networks contradict each other. */
export function checkMembers(self: MemberName, members: readonly MemberConfiguration[]): void {
  const invalid = (reason: string) => new HoldfastError("CLUSTER_INVALID", { reason });
  if (members.length > MEMBER_COUNT_MAX) throw invalid(`more than ${MEMBER_COUNT_MAX} members`);
  if (!members.some((member) => member.name === self)) throw invalid(`this member, ${self}, is not listed`);
  const names = new Set<string>();
  const numbers = new Map<number, string>();
  const networks = new Map<number, string>();
  for (const { name, number, addresses } of members) {
    if (names.has(name)) throw invalid(`two members are called ${name}`);
    names.add(name);
    if (!Number.isInteger(number) || number < 0 || number > 0xffff) {
      throw invalid(`member ${name} has number ${number}, not one of 0 … 65535`);
    }
    const other = numbers.get(number);
    if (other !== undefined) throw invalid(`members ${other} and ${name} both have number ${number}`);
    numbers.set(number, name);
    if (addresses.length === 0) throw invalid(`member ${name} has no address`);
    if (addresses.length > ADDRESS_COUNT_MAX)
      throw invalid(`member ${name} has more than ${ADDRESS_COUNT_MAX} addresses`);
    const seen = new Set<string>();
    for (const { network, port } of addresses) {
      if (seen.has(network)) throw invalid(`member ${name} has two addresses on network ${network}`);
      seen.add(network);
      if (!Number.isInteger(port) || port < 1 || port > 65_535) {
        throw invalid(`member ${name} has probe port ${port}, not one of 1 … 65535`);
      }
      const id = networkIdOf(network);
      const known = networks.get(id);
      if (known !== undefined && known !== network)
        throw invalid(`rename network ${network}: its id clashes with ${known}'s`);
      networks.set(id, network);
    }
  }
}

/** Throws CLUSTER_INVALID when the timing could not work. */
export function checkTiming(timing: Timing): void {
  const invalid = (reason: string) => new HoldfastError("CLUSTER_INVALID", { reason });
  if (!(timing.probeIntervalMs >= 5)) throw invalid("probeIntervalMs is below 5");
  if (!(timing.missedProbesMax >= 2)) throw invalid("missedProbesMax is below 2");
  if (!(timing.settleMs >= 0) || !(timing.settleMaxMs >= timing.settleMs))
    throw invalid("settleMaxMs is below settleMs");
  if (!(timing.mainSilentMaxMs >= deadAfterMs(timing)))
    throw invalid("mainSilentMaxMs is shorter than a death verdict");
}
