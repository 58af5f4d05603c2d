// The list of members as a daemon keeps it: the product's keeper, with times in proportion to the world's.
import type { MemberBook } from "@holdfast/model";
import { silentLogger } from "@holdfast/model";
import {
  type ClusterLink,
  type DataPlane,
  type EventBus,
  farewellsOf,
  MembersKeeper,
  NumberRest,
  type OwnMember,
  type Readiness,
} from "@holdfast/node/testing";
import type { SimulatedClock } from "../clock.ts";
import { FORWARDER_LIMITS, MEMBER_NUMBER_COUNT, TIMES } from "./world.ts";

export const PROBE_PORT = 7_082;
export const REPLICATION_PORT = 7_081;
/**
 * Journals of a member that is gone are written again within so many of a journal's memory: the longest of
 * any version.
 */
const MEMORY_COUNT = 4;
const REST_MS = Math.max(FORWARDER_LIMITS.natPortRestUnseenMs, MEMORY_COUNT * 1.4 * TIMES.memoryMs);

export interface KeepingParts {
  readonly own: OwnMember;
  readonly members: MemberBook;
  readonly link: ClusterLink;
  readonly readiness: Readiness;
  readonly events: EventBus;
  readonly clock: SimulatedClock;
  /** It does not know the list. */
  readonly isJoining: boolean;
  /** How it stands to the list has changed. */
  readonly stood: (detail: string) => void;
}

export const JOIN = [{ host: "10.9.0.1", port: REPLICATION_PORT }];

export function openKeeper(parts: KeepingParts) {
  const { own, members, link, readiness, events, clock, isJoining, stood } = parts;
  return new MembersKeeper({
    own,
    book: members,
    link,
    join: isJoining ? JOIN : [],
    admitsCertified: false,
    ports: { probePort: PROBE_PORT, replicationPort: REPLICATION_PORT },
    settleMs: FORWARDER_LIMITS.initTimeoutMs,
    clock,
    logger: silentLogger,
    events,
    onStanding: (isMember, detail) => {
      readiness.set("membership", isMember, detail);
      stood(detail);
    },
  });
}

/** What the keeper needs of what is opened later. */
export function attachKeeper(
  keeper: MembersKeeper,
  { members, link, clock }: KeepingParts,
  dataPlane: Pick<DataPlane, "portBooks">,
  coordinator: Parameters<typeof farewellsOf>[1],
): void {
  const rest = new NumberRest({
    list: () => members.current(),
    tables: link.sessions.all,
    memberNumberCount: MEMBER_NUMBER_COUNT,
    restMs: REST_MS,
    slot: (number) => dataPlane.portBooks.slot(number),
    clock,
  });
  keeper.attach({ rest, loans: dataPlane.portBooks, farewells: farewellsOf(link.store, coordinator) });
}
