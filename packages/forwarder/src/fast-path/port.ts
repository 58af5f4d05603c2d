// The port between slow path and fast path. Implementations: bpf/ (XDP and TC), userspace/ (TPACKET_V3 around the
// reference translator), and a simulated one in tests; all pass compliance.ts.
import type { Address, Prefix, Protocol } from "@holdfast/model";
import type { PlainFlows } from "./plain.ts";

export type FastPathMode = "xdp" | "xdp-generic" | "tc" | "userspace";

/** How a program hangs on an interface; "ring" is the userspace fast path's. */
export type Hook = "xdp" | "xdp-generic" | "tcx" | "clsact" | "ring";

/** An interface that the fast path serves. */
export interface FastPathInterface {
  readonly name: string;
  readonly index: number;
  readonly hooks: readonly Hook[];
  /** With XDP: whether it takes what XDP redirects to it. What would leave by one that does not goes by TC. */
  readonly takesRedirected?: boolean;
  /** Programs of others that see its packets first; absent: none. */
  readonly programsBefore?: number;
  /** What the interface itself dropped since it is there: lost redirects are among them. */
  readonly receiveDrops: number;
  readonly transmitDrops: number;
}

/** Interfaces' names: what comes in by one with XDP and leaves by the other goes by TC, as XDP cannot send there. */
export interface ViaTc {
  readonly from: string;
  readonly to: string;
}

/** What was tried before the mode in use, and why it is not it. */
export interface Fallback {
  /** Of the coded error. */
  readonly code: string;
  readonly reason: string;
}

/** What the fast path matches: the packet as it arrives. */
export interface FlowKey {
  readonly protocol: Protocol;
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** What it does with a match. */
export interface Flow {
  readonly key: FlowKey;
  readonly newSource: Address;
  readonly newDestination: Address;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
  /** The verification tag that packets of this direction carry. */
  readonly tag: number;
  readonly direction: "up" | "down";
  /** Down only. Where replies go, when not to `newDestination`: last heard on this VIP (docs/sctp.md §6). */
  readonly replyDestination?: Address;
  /** A generation is pending: punt a wrong tag (rate-limited) instead of dropping it. */
  readonly pending: boolean;
  /**
   * Only packets of HEARTBEAT chunks may be sent to `newDestination`: an unverified client address (no reflection). They are
   * punted as `probe`, since the next one may be another address's. All others, path packets too, go to
   * `replyDestination`, or nowhere when there is none.
   */
  readonly heartbeatOnly: boolean;
  /** Set on up flows whose source is not yet verified or not the last heard: the first packet is punted as a copy. */
  readonly learn: boolean;
  /**
   * The lower half of the other direction's tag: an ICMP error that quotes it is believed to be about this association. Absent
   * or 0: none is.
   */
  readonly peerTag?: number;
  /** 32-bit handle that the slow path chose; punts and sweeps carry it back. Unique among living flows' sessions. */
  readonly session: number;
}

export interface FlowCounters {
  readonly packets: number;
  readonly bytes: number;
  /** Monotonic ms (the fast path's own clock, comparable with `nowMs()` of the port), coarse. */
  readonly lastSeenMs: number;
}

/** A packet that the fast path would not decide. Append-only numbers are in bpf/abi.h. */
export interface Punt {
  readonly reason: PuntReason;
  /** Whole IP packet, header first. Valid only during the call. */
  readonly packet: Uint8Array;
  readonly interfaceIndex: number;
  /** Fast path's clock, ms. After a restart old INITs are discarded. */
  readonly timeMs: number;
  /** Handle of the matched flow, or 0. */
  readonly session: number;
  /** CHECKSUM_PARTIAL: the SCTP checksum of `packet` is not filled in yet and must not be verified. */
  readonly checksumPartial: boolean;
  /** The fast path has forwarded the packet already; this is a copy to learn from. */
  readonly copy: boolean;
  /** `tooBig` only: the MTU that it did not fit, bytes, when the fast path knows. */
  readonly mtu?: number;
  /**
   * Of a super-packet, which a local stack or a device put together: what each part has behind the headers,
   * bytes. Its checksums are to be made anew.
   */
  readonly segmentSize?: number;
  /** Of an association: it has the tag of its flow, quotes one, or is a fragment from an address that speaks with the right tag. */
  readonly proven?: boolean;
  /** `init` only: the fast path has refused it before. It comes again as a client's does, and a flood's does not. */
  readonly again?: boolean;
}

export type PuntReason =
  | "init"
  | "initAck"
  | "control"
  | "handshake"
  | "miss"
  | "wrongTag"
  | "learn"
  | "icmp"
  | "fragment"
  | "asconf"
  | "noNextHop"
  | "ttlExpired"
  | "tooBig"
  | "ndp"
  | "probe"
  /** TCP: a SYN without ACK, with a flow or without. */
  | "syn"
  | "synAck"
  /** UDP without a flow. */
  | "datagram"
  /** A copy of a FIN or RST that was forwarded. */
  | "end";

/** A port of a protocol: the same number of another protocol is another port. */
export interface ProtocolPort {
  readonly protocol: Protocol;
  readonly port: number;
}

/** A port of a service at a VIP. */
export interface ServedPort extends ProtocolPort {
  /**
   * Prefixes of the VIP's family from which associations may begin; empty: from nowhere, absent: from
   * anywhere. What begins elsewhere is dropped as `source-not-allowed`, unless an endpoint's port sends
   * it, or the table of lists is full: the slow path looks, too.
   */
  readonly allowedSources?: readonly Prefix[];
}

/** Where an endpoint of a protocol listens. */
export interface FastPathEndpoint extends ProtocolPort {
  readonly address: Address;
}

export interface LocalAddress {
  readonly address: Address;
  /** VIPs only: this member owns it now, answers ARP, NDP and ping for it while the sign of life is fresh. */
  readonly owned: boolean;
  /** Nobody else can own it: it is answered for while the daemon is dead, too, where the data plane outlives it. */
  readonly lone?: boolean;
  /** Served on it. Packets to others are dropped with a reason. */
  readonly ports: readonly ServedPort[];
  /** Where newcomers go while this daemon is dead. */
  readonly successor?: { readonly interfaceIndex: number; readonly mac: Uint8Array };
}

/** A module that another thread imports; its `open(data)` returns an object with `beat()` and `close()`. */
export interface SignOfLifeModule {
  readonly moduleUrl: string;
  /** Plain data that a worker can be given. */
  readonly data: unknown;
}

export interface FastPath {
  readonly mode: FastPathMode;
  /** A faster one was wanted, and did not work here; absent: it is what the configuration says. */
  readonly fallback?: Fallback | undefined;
  /** Those that are served now. */
  interfaces(): readonly FastPathInterface[];
  /** Among them and the ways out in use. */
  viaTc(): readonly ViaTc[];
  /** The fast path's clock in ms. */
  nowMs(): number;
  setLocal(addresses: readonly LocalAddress[]): void;
  /**
   * Configured endpoint addresses (address, port). Packets from an endpoint's port to a VIP without a flow are punted as
   * misses: from these addresses as proven where they are INIT-ACKs, from any other since a session may have its own.
   */
  setEndpoints(endpoints: readonly FastPathEndpoint[]): void;
  /** Inserts or replaces. false: the table is full (a counter says so); established flows are not touched. */
  install(flow: Flow): boolean;
  remove(key: FlowKey): void;
  counters(key: FlowKey): FlowCounters | undefined;
  /** Visits flows a batch at a time (≤ 1,024); resume with the returned cursor, undefined at the end. */
  sweep(cursor: unknown, visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove"): unknown;
  /** TCP and UDP. The methods above are SCTP's. */
  readonly plain: PlainFlows;
  /** Everything installed: after a restart the slow path rebuilds from it before the ring is drained. */
  onPunt(listener: (punt: Punt) => void): void;
  /** Starts draining punts. Call after adoption. */
  start(): void;
  /** Sends a whole IP packet (header first, checksums done); the kernel routes it, the source may be a VIP. */
  send(packet: Uint8Array): boolean;
  /**
   * Bytes of the largest packet on the way from an address of ours to a client (down) or an endpoint (up).
   * undefined: no way is known.
   */
  mtuTowards?(source: Address, destination: Address, direction: "up" | "down"): number | undefined;
  /** Index of the VRF's device in which the daemon itself reaches an endpoint; 0 or absent: none. */
  deviceUp?(endpoint: Address): number;
  /** Drop reasons and other totals since attach, by stable name. */
  totals(): ReadonlyMap<string, number>;
  /** Sign of life for the dead-daemon rule; the probe thread calls it through the map's file descriptor instead. */
  signOfLife(): void;
  /** The same for another thread. undefined: nothing outlives the daemon, and nothing has to be told. */
  readonly signOfLifeModule?: SignOfLifeModule;
  /** Leaves the data plane pinned and running. */
  detach(): Promise<void>;
  /** Removes programs, links and maps. */
  uninstall(): Promise<void>;
}
