// The forwarder as the node sees it.

import type {
  Address,
  MemberName,
  Service,
  ServiceId,
  SessionId,
  SessionQuestion,
  SessionRecord,
} from "@holdfast/model";
import type { SlowPathDropReason } from "./counters/drop-reasons.ts";
import type { Punt } from "./fast-path/port.ts";
import type { EndpointHealth, Verdict, VerdictChange } from "./health/endpoint-health.ts";
import type { ProbeDelays, ProbedEndpoint } from "./health/prober.ts";
import type { Ways } from "./health/ways.ts";
import type { LendAnswer, LoanMessage } from "./nat-ports/lending.ts";
import type { PortBooks } from "./nat-ports/port-books.ts";
import type { VipPlacement } from "./services/served.ts";
import type { SessionDescription } from "./sessions/description.ts";
import type { PlainRoom } from "./slow-path/plain/create.ts";

export interface ForwarderCounters {
  /** What the slow path did, by stable name. */
  readonly events: ReadonlyMap<string, number>;
  /** Packets that the slow path dropped, by reason. */
  readonly drops: ReadonlyMap<string, number>;
  /** The fast path's own totals. */
  readonly fastPath: ReadonlyMap<string, number>;
  /** Gauges. */
  readonly sessions: number;
  readonly embryos: number;
  readonly heldPackets: number;
  readonly natPortsUsed: number;
  readonly natPortsResting: number;
  /** Own ports of clients that are out, of handshakes that no session stands for yet. */
  readonly natPortsLent: number;
}

export type ForwarderEvent =
  | { readonly kind: "sessionCommitted"; readonly record: SessionRecord; readonly restart: boolean }
  | { readonly kind: "sessionEnded"; readonly record: SessionRecord }
  | {
      readonly kind: "endpointDead";
      readonly address: Address;
      readonly port: number;
      readonly sessions: number;
    };

export interface Forwarder {
  /** Of TCP and UDP: flows, and health of their endpoints. */
  readonly plain: PlainRoom;
  /** Replaces all services. Living associations of what stays are not touched; those of removed endpoints are told. */
  setServices(services: readonly Service[]): void;
  /** Hosts of no service that are asked all the same, for whoever wants to know how they are. */
  setHosts(hosts: readonly ProbedEndpoint[]): void;
  setOwnership(placements: readonly VipPlacement[]): void;
  /**
   * VIPs whose addresses this host has itself: their packets go to its own stack, but for those of living sessions, which
   * have flows.
   */
  setUnserved(vips: ReadonlySet<Address>): void;
  /** Adopts what the fast path holds, then takes punts. */
  start(): void;
  /** Takes no more punts; the data plane goes on. */
  stop(): void;
  describe(id: SessionId): SessionDescription | undefined;
  readonly portBooks: PortBooks;
  counters(): ForwarderCounters;
  on(listener: (event: ForwarderEvent) => void): () => void;
  /** Every packet that the slow path drops, with the reason; the bytes are valid only during the call. */
  onDrop(listener: ((reason: SlowPathDropReason, packet: Uint8Array | undefined) => void) | undefined): void;
  /** Every punt, before it is looked at: for traces. */
  onPunt(listener: ((punt: Punt) => void) | undefined): void;
  /** Neighbour solicitations for VIPs, as the fast path punts them. */
  onNeighbourSolicitation(listener: ((punt: Punt) => void) | undefined): void;
  /** Health verdicts of this member, to be shared. */
  onVerdict(listener: (change: VerdictChange) => void): () => void;
  /** This member's own verdict, from its prober. */
  setVerdict(
    endpoint: { address: Address; port: number },
    verdict: Verdict | undefined,
    reason: string,
    gone?: boolean,
    speaks?: boolean,
  ): void;
  /** A verdict of another member; undefined when that has none any more. */
  setOtherVerdict(
    member: MemberName,
    endpoint: { address: Address; port: number },
    verdict: Verdict | undefined,
    speaks?: boolean,
  ): void;
  readonly health: EndpointHealth;
  readonly ways: Ways;
  /** Up at one of its configured addresses, or of those of endpoints that are the same server. */
  isEndpointUp(endpoint: { readonly address: Address; readonly port: number }): boolean;
  /** All configured addresses of an endpoint, its identity first. */
  addressesOf(endpoint: { readonly address: Address; readonly port: number }): readonly Address[];
  /** The same as a service has it, whatever its protocol; none when the service has not got the VIP. */
  addressesFrom(
    service: ServiceId,
    vip: Address,
    endpoint: { readonly address: Address; readonly port: number },
  ): readonly Address[];
  /** Identities of other endpoints that are the same server, as its own answers to probes say. */
  sameServerAs(endpoint: { readonly address: Address; readonly port: number }): readonly Address[];
  /** How long this member's probes take; undefined: none was answered. */
  probeDelays(endpoint: { readonly address: Address; readonly port: number }): ProbeDelays | undefined;
  /** Ends a session as its operator wishes; client and endpoint are told. false: there is no such living session. */
  removeSession(id: SessionId): boolean;
  /** Before a member that asks is answered: what this member has forwarded but not shown yet goes into the table. */
  publish(question: SessionQuestion): void;
  /** Another member asks for a port, or says something about one. */
  heardLoan(from: number, message: LoanMessage): LendAnswer;
  /** The link to a member is gone, and with it, perhaps, its memory of what it lent. */
  lenderGone(member: number): void;
}
