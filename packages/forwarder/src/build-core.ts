// What the slow path's parts share, made of a forwarder's options. Randomness is drawn in the order in which things
// stand here: a simulation's seeds depend on it.

import type { Address, SessionRecord } from "@holdfast/model";
import type { Core } from "./core.ts";
import type { Counters } from "./counters/counters.ts";
import { FairBucket } from "./counters/fair-bucket.ts";
import { TokenBucket } from "./counters/token-bucket.ts";
import { InitSources } from "./embryos/init-sources.ts";
import { Knocks } from "./embryos/knocks.ts";
import { Nursery } from "./embryos/nursery.ts";
import { addressesDown } from "./health/endpoint-addresses.ts";
import { EndpointHealth } from "./health/endpoint-health.ts";
import { Ways } from "./health/ways.ts";
import { type ForwarderLimits, LIMITS_DEFAULT } from "./limits.ts";
import { NatPorts } from "./nat-ports/allocator.ts";
import { Loans } from "./nat-ports/loans.ts";
import { Wishes } from "./nat-ports/wishes.ts";
import type { ForwarderOptions } from "./options.ts";
import type { SctpInput } from "./packet/input.ts";
import { ProbeOutcomes } from "./path-mapping/probes.ts";
import { Associations } from "./selection/associations.ts";
import { ServiceRegistry } from "./services/registry.ts";
import { SessionKeeper } from "./sessions/session-keeper.ts";
import { Unaccepted } from "./slow-path/sctp/acceptance.ts";
import { Beginnings } from "./slow-path/sctp/beginning.ts";
import { Held } from "./slow-path/sctp/held.ts";
import { AnswerRates, Certainty } from "./slow-path/sctp/out-of-the-blue.ts";

/** What the core wants of the forwarder that has it. */
export interface CoreHooks {
  /** An address of the cluster's: no client has it. */
  isOwn(address: Address): boolean;
  /** Takes a packet again that waited. */
  retry(input: SctpInput): void;
  ownsVip(vip: Address): boolean;
  committed(record: SessionRecord, restart: boolean): void;
}

export function buildCore(
  options: ForwarderOptions,
  memberNumberCount: number,
  counters: Counters,
  hooks: CoreHooks,
): Core {
  const limits: ForwarderLimits = { ...LIMITS_DEFAULT, ...options.limits };
  const base: Base = {
    ...{ limits, counters, options, hooks, memberNumberCount },
    registry: new ServiceRegistry(),
    nursery: new Nursery(limits),
    health: new EndpointHealth(options.verdictQuorum),
    natPorts: natPortsOf(options, memberNumberCount, limits),
  };
  const { registry, nursery, health, natPorts } = base;
  const { fastPath, table, replication, clock, random, logger, memberNumber } = options;
  const { isMemberAddress = () => false } = options;
  const way = { fastPath, health, registry, nursery, table, memberNumber, counters };
  // Every member starts its round robin elsewhere.
  let turn = memberNumber;
  return {
    ...{ fastPath, table, replication, clock, random, logger, limits, memberNumber, counters },
    ...{ registry, nursery, natPorts, health },
    ways: new Ways(options, () => way, options.ways),
    ...waitingOf(base),
    knocks: new Knocks(random, limits),
    initSources: new InitSources(),
    beginnings: new Beginnings(),
    associations: new Associations((id) => registry.get(id)?.service.selection === "persist"),
    unaccepted: new Unaccepted(),
    adopted: new Set(),
    probes: new ProbeOutcomes(),
    clientFilter: {
      isOwn: (address) => hooks.isOwn(address) || isMemberAddress(address),
      ...options.clients,
    },
    ...ratesOf(options, limits),
    certainty: new Certainty(options.knowsAll ?? (() => false), limits.certaintyMs),
    isReady: options.isReady ?? (() => true),
    isRemoved: options.isRemoved ?? (() => true),
    nextTurn: () => turn++,
    ownsVip: (vip) => hooks.ownsVip(vip),
    events: {
      committed: (record, restart) => hooks.committed(record, restart),
      endpointUnanswered: (endpoint) => health.unanswered(endpoint),
    },
  };
}

type Base = Pick<Core, "limits" | "counters" | "registry" | "nursery" | "health" | "natPorts"> & {
  readonly options: ForwarderOptions;
  readonly hooks: CoreHooks;
  readonly memberNumberCount: number;
};

function natPortsOf(
  { memberNumber, random, lending }: ForwarderOptions,
  memberNumberCount: number,
  limits: ForwarderLimits,
): NatPorts {
  return new NatPorts({
    ...{ memberNumber, memberNumberCount, random, limits },
    ...(lending !== undefined && {
      memberNumbers: () => lending.listedNumbers ?? lending.takenNumbers ?? lending.memberNumbers,
    }),
  });
}

/** Sessions, packets that wait for the cluster, and ports that are asked for. */
function waitingOf(base: Base): Pick<Core, "sessions" | "held" | "loans" | "wishes"> {
  const { options, hooks, limits, counters, registry, nursery, health, natPorts, memberNumberCount } = base;
  const { fastPath, table, clock, random, memberNumber, lending } = options;
  const nowMs = () => clock.nowMs();
  const retry = (input: SctpInput) => hooks.retry(input);
  const sessions = new SessionKeeper({
    ...{ fastPath, table, registry, counters, nowMs },
    firstHandle: random.uint32(),
    endpointsDown: (candidate, entry) => addressesDown(health, candidate, entry),
  });
  const held = new Held({
    ...{ replication: options.replication, counters, limits, nowMs, retry },
    seed: random.uint32(),
  });
  const loans = new Loans({
    ...{ memberNumber, memberNumberCount, lending, natPorts, table, counters, limits, clock },
    sharingPorts: (address, port) => registry.sharingPorts({ address, port }),
    isUsedHere: ({ endpoint, endpointPort, natPort }, clientTag) => {
      const place = nursery.byAnswer(clientTag, natPort)?.endpoint;
      return place?.address === endpoint && place.port === endpointPort;
    },
  });
  const wishes = new Wishes({ loans, clock, countMax: limits.heldPacketCountMax, retry });
  return { sessions, held, loans, wishes };
}

function ratesOf({ random }: ForwarderOptions, limits: ForwarderLimits) {
  return {
    answerRate: new FairBucket(limits.answersPerSecond, random.uint32()),
    provenAnswerRate: new FairBucket(limits.answersPerSecond, random.uint32()),
    outOfTheBlueRates: new AnswerRates(limits.answersPerSecond, limits.answersPerSecondAndPrefix),
    icmpRate: new FairBucket(limits.icmpPerSecond, random.uint32()),
    icmpTranslatedRate: new FairBucket(limits.icmpTranslatedPerSecond, random.uint32()),
    publishRate: new TokenBucket(limits.replicatedEmbryosPerSecond),
  } satisfies Partial<Core>;
}
