// What the parts of the forwarder share: ports, tables, budgets, and the two ways in which a packet leaves
// the slow path.
import type {
  Address,
  Clock,
  Endpoint,
  Logger,
  Random,
  Replication,
  ServicePlace,
  SessionId,
  SessionRecord,
  SessionTable,
} from "@holdfast/model";
import type { Counters } from "./counters/counters.ts";
import type { SlowPathDropReason } from "./counters/drop-reasons.ts";
import type { FairBucket } from "./counters/fair-bucket.ts";
import type { TokenBucket } from "./counters/token-bucket.ts";
import type { InitSources } from "./embryos/init-sources.ts";
import type { Knocks } from "./embryos/knocks.ts";
import type { Nursery } from "./embryos/nursery.ts";
import type { FastPath } from "./fast-path/port.ts";
import { fragmentPacket } from "./fragments/fragmentation.ts";
import type { EndpointHealth } from "./health/endpoint-health.ts";
import type { Ways } from "./health/ways.ts";
import type { ForwarderLimits } from "./limits.ts";
import type { NatPorts } from "./nat-ports/allocator.ts";
import type { Loans } from "./nat-ports/loans.ts";
import type { Wishes } from "./nat-ports/wishes.ts";
import type { SctpInput } from "./packet/input.ts";
import type { ClientFilterOptions } from "./path-mapping/client-filter.ts";
import type { ProbeOutcomes } from "./path-mapping/probes.ts";
import type { Associations } from "./selection/associations.ts";
import type { ServiceRegistry } from "./services/registry.ts";
import type { SessionKeeper } from "./sessions/session-keeper.ts";
import type { Unaccepted } from "./slow-path/sctp/acceptance.ts";
import type { Beginnings } from "./slow-path/sctp/beginning.ts";
import type { Held } from "./slow-path/sctp/held.ts";
import type { AnswerRates, Certainty } from "./slow-path/sctp/out-of-the-blue.ts";

/** What the world gives: ports, and what this member is told of itself and of others. */
export interface World {
  readonly fastPath: FastPath;
  readonly table: SessionTable;
  readonly replication: Replication;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: ForwarderLimits;
  readonly memberNumber: number;
  readonly clientFilter: ClientFilterOptions;
  readonly isReady: () => boolean;
  /** Taken out of the configuration, and not merely unknown here. */
  readonly isRemoved: (place: ServicePlace) => boolean;
  /** VIPs that this member owns; all of them while nobody has said. */
  ownsVip(vip: Address): boolean;
  readonly events: ForwarderEventSink;
}

/** What is kept from packet to packet. */
export interface Kept {
  readonly counters: Counters;
  readonly registry: ServiceRegistry;
  readonly nursery: Nursery;
  readonly knocks: Knocks;
  readonly initSources: InitSources;
  readonly natPorts: NatPorts;
  readonly loans: Loans;
  readonly wishes: Wishes;
  readonly beginnings: Beginnings;
  readonly associations: Associations;
  readonly sessions: SessionKeeper;
  readonly health: EndpointHealth;
  readonly ways: Ways;
  readonly held: Held;
  readonly unaccepted: Unaccepted;
  /** Made from flows here (adoption/): their clients may have listed more addresses than flows tell. */
  readonly adopted: Set<SessionId>;
  readonly probes: ProbeOutcomes;
  readonly certainty: Certainty;
  /** A turn of round robin and its kind. */
  nextTurn(): number;
}

/** What may be sent in a second without anybody's asking twice. */
export interface Budgets {
  /** Answers to what anybody can send. */
  readonly answerRate: FairBucket;
  /** … and to what had a tag that only its sender and receiver know. */
  readonly provenAnswerRate: FairBucket;
  readonly outOfTheBlueRates: AnswerRates;
  readonly icmpRate: FairBucket;
  readonly icmpTranslatedRate: FairBucket;
  readonly publishRate: TokenBucket;
}

/** All of it, for those who hand it on; a function that needs less says so: `Needs<"table" | "clock">`. */
export interface Core extends World, Kept, Budgets {}

export type Needs<Name extends keyof Core> = Pick<Core, Name>;

export interface ForwarderEventSink {
  committed(record: SessionRecord, restart: boolean): void;
  endpointUnanswered(endpoint: Endpoint): void;
}

export function drop(core: Needs<"counters">, reason: SlowPathDropReason, packet?: Uint8Array): undefined {
  core.counters.drop(reason, packet);
}

/** Sends a packet that stands for `input`, in fragments when that came in fragments. */
export function send(
  core: Needs<"counters" | "fastPath" | "random">,
  bytes: Uint8Array,
  input?: SctpInput,
): boolean {
  if (input?.fragmentSize !== undefined && bytes.length > input.fragmentSize) {
    for (const fragment of fragmentPacket(bytes, input.fragmentSize, core.random.uint32())) {
      if (!core.fastPath.send(fragment)) {
        drop(core, "send-failed", fragment);
        return false;
      }
    }
    core.counters.count("forwarded");
    return true;
  }
  if (!core.fastPath.send(bytes)) {
    drop(core, "send-failed", bytes);
    return false;
  }
  core.counters.count("forwarded");
  return true;
}
