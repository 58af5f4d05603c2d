// What a forwarder is made of and told.

import type {
  Address,
  Clock,
  Logger,
  Random,
  Replication,
  ServicePlace,
  SessionTable,
} from "@holdfast/model";
import type { ConfirmRemoved } from "./endings/strays.ts";
import type { FastPath } from "./fast-path/port.ts";
import type { ProbeChannel, ProbeSettings } from "./health/prober.ts";
import type { WaySettings } from "./health/ways.ts";
import type { ForwarderLimits } from "./limits.ts";
import type { PortLending } from "./nat-ports/lending.ts";
import type { ClientFilterOptions } from "./path-mapping/client-filter.ts";
import type { PlainRoomOptions } from "./slow-path/plain/create.ts";

export interface ForwarderOptions {
  readonly fastPath: FastPath;
  readonly table: SessionTable;
  readonly replication: Replication;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** This member's number: 0 … memberNumberCount - 1. NAT ports follow from it. */
  readonly memberNumber: number;
  /** A power of two, the same at every member. Default MEMBER_NUMBER_COUNT_DEFAULT. */
  readonly memberNumberCount?: number;
  readonly limits?: Partial<ForwarderLimits>;
  /** Whether this member knows every session of the cluster, or misses nobody who might. Default: never. */
  readonly knowsAll?: () => boolean;
  /** Whether this member may admit new associations. Default: always. */
  readonly isReady?: () => boolean;
  /** What `setServices` leaves out and this does not confirm is unknown here, and loses nothing. Default: it was removed. */
  readonly isRemoved?: (place: ServicePlace) => boolean;
  /** Which places a majority of the members knows to be removed, before their sessions end. Default: this member's word. */
  readonly confirmRemoved?: ConfirmRemoved;
  /** Addresses that no client can have beside VIPs and endpoints: members' own. */
  readonly memberAddresses?: readonly Address[];
  /** The same of addresses that come and go. */
  readonly isMemberAddress?: (address: Address) => boolean;
  /**
   * Verdicts of "down" that it takes to end a dead endpoint's sessions: a majority of all members, alive or not, so that
   * one that is cut off ends nothing. Default 1: a lone member.
   */
  readonly verdictQuorum?: () => number;
  /** Probes endpoints and forms this member's verdicts. Absent: `setVerdict` alone does. */
  readonly probes?: { readonly channel: ProbeChannel; readonly settings?: Partial<ProbeSettings> };
  /** How VIPs' ways are proven, where endpoints are probed. false: not at all. */
  readonly ways?: Partial<WaySettings> | false;
  /** Of TCP and UDP. */
  readonly plain?: Omit<PlainRoomOptions, "memberNumberCount">;
  /** How other members are asked for clients' own ports; absent: only this member's slots have them. */
  readonly lending?: PortLending;
  /** What clients are believed. */
  readonly clients?: Omit<ClientFilterOptions, "isOwn">;
}
