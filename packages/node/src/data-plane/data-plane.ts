// What the daemon needs of the forwarder.
import type { DataPlaneStatus, PathCounters } from "@holdfast/api";
import type { PortBooks, ProbedEndpoint, VerdictChange } from "@holdfast/forwarder";
import type { Address, MemberName, Service, SessionEnvelope, SessionId } from "@holdfast/model";
import type { EndpointHealthView } from "../api/sources.ts";
import type { WaySink } from "../cluster/ways.ts";
import type { Totals } from "../metrics/sources.ts";

/** A VIP as the fast path treats it. */
export interface VipTreatment {
  readonly vip: Address;
  readonly owned: boolean;
  /** No other member is on the list. */
  readonly lone: boolean;
  readonly successor: { readonly interfaceIndex: number; readonly mac: Uint8Array } | undefined;
}

export interface DataPlane {
  readonly mode: string;
  /** A faster mode was wanted, and did not work. */
  readonly fallback: { readonly code: string; readonly reason: string } | undefined;
  status(): DataPlaneStatus;
  /** Given to the probe thread, which beats it. */
  readonly signOfLife: { readonly moduleUrl: string; readonly data: unknown } | undefined;
  setServices(services: readonly Service[]): void;
  /** Hosts of no service that are asked how they are. */
  setHosts(hosts: readonly ProbedEndpoint[]): void;
  setVips(vips: readonly VipTreatment[]): void;
  /** VIPs that this host's own stack keeps. */
  setUnserved(vips: ReadonlySet<Address>): void;
  /** Where a packet for this address leaves: interface and next hop's MAC; undefined while unresolved. */
  nextHop(address: Address): { readonly interfaceIndex: number; readonly mac: Uint8Array } | undefined;
  endpointHealth(service: string, endpoint: string): EndpointHealthView;
  /** Called when this member's verdict of an endpoint changes. */
  onHealth(listener: (change: VerdictChange) => void): void;
  /** … of an endpoint of TCP or UDP, which no other member is told. */
  onPlainHealth(listener: (change: VerdictChange) => void): void;
  /** Another member's verdict; undefined: it has none any more. */
  setOtherVerdict(
    member: MemberName,
    endpoint: { readonly address: Address; readonly port: number },
    verdict: "up" | "down" | undefined,
    speaks: boolean,
  ): void;
  /** Ways of VIPs to endpoints. */
  readonly ways: WaySink;
  /** Ends a session; client and endpoint are told. false: there is no such living session. */
  removeSession(id: SessionId): boolean;
  /** What is lent of which slot, and what rests. */
  readonly portBooks: PortBooks;
  fastPathTotals(): Totals;
  slowPathEvents(): Totals;
  slowPathDrops(): Totals;
  slowPathGauges(): Totals;
  countersOf(record: SessionEnvelope): readonly PathCounters[];
  /** Begins to drain punts; call after adoption and when services are set. */
  start(): Promise<void>;
  /** `keep`: leaves programs and maps pinned and running. */
  stop(keep: boolean): Promise<void>;
}
