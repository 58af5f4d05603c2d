// Every time-out and maximum of the slow path by name. Times are milliseconds of the injected clock.

export interface ForwarderLimits {
  /** INIT seen, no INIT-ACK yet. */
  readonly initTimeoutMs: number;
  /** INIT-ACK seen: Valid.Cookie.Life (60 s) and some, RFC 9260 §16. */
  readonly handshakeTimeoutMs: number;
  /** A restart that was not proven; longer than any cookie lives. */
  readonly pendingTimeoutMs: number;
  /** SHUTDOWN seen, not completed. */
  readonly shutdownTimeoutMs: number;
  /** After a verified end packets are still passed for this long, then the session is only a tombstone. */
  readonly lingerMs: number;
  /** A NAT port rests this long after an end that was witnessed and verified. */
  readonly natPortRestVerifiedMs: number;
  /**
   * … and this long after one that nobody saw: a ghost at the endpoint would turn a newcomer into a restart.
   */
  readonly natPortRestUnseenMs: number;
  /** Ports of evicted embryos: taken before this only when nothing else is left … */
  readonly natPortRestEvictedMs: number;
  /** … and never before this. */
  readonly natPortRestEvictedLeastMs: number;
  /** An embryo that was not replicated, without COOKIE-ECHO, may be evicted at this age. */
  readonly embryoEvictableMs: number;
  /** One that an INIT which comes again may displace when there is no other room. */
  readonly embryoDisplaceableMs: number;
  /** A refused INIT comes again as a client's does: after this, … */
  readonly initAgainLeastMs: number;
  /** … and before this. */
  readonly initAgainMostMs: number;
  /**
   * Embryos of one service at one member. At the maximum the oldest evictable one goes, or the INIT is
   * dropped.
   */
  readonly embryoCountMaxPerService: number;
  /** … of one source prefix (/24, /48). */
  readonly embryoCountMaxPerPrefix: number;
  /** … of the member. */
  readonly embryoCountMax: number;
  /** Above this many INIT-ACKs a second, replication starts at COOKIE-ECHO instead of INIT-ACK. */
  readonly replicatedEmbryosPerSecond: number;
  /**
   * … and above this many replicated ones of a service that wait for a COOKIE-ECHO: those cannot be evicted.
   */
  readonly replicatedEmbryoCountMaxPerService: number;
  /**
   * … and of a source prefix: a quarter of its quota, or a flood would lock its neighbours out until they
   * expire.
   */
  readonly replicatedEmbryoCountMaxPerPrefix: number;
  /** Unanswered INITs of one client tag after which another endpoint is tried. */
  readonly unansweredInitCountMax: number;
  /** Packets held for members' answers, all sessions together; one more is dropped. */
  readonly heldPacketCountMax: number;
  /** … of one question. */
  readonly heldPacketCountMaxPerQuestion: number;
  /** Longest wait for a port that another member lends, when another would do … */
  readonly natPortLoanMs: number;
  /** … and when not. */
  readonly natPortRequiredMs: number;
  /** Questions a second to the other members. */
  readonly questionsPerSecond: number;
  /** For so long after a VIP came here, datagrams of no flow may be of one that its owner before knows. */
  readonly askAfterMoveMs: number;
  /** ABORTs and SHUTDOWN-COMPLETEs a second that answer packets of sessions known to be dead. */
  readonly answersPerSecond: number;
  /** … that answer one source prefix. */
  readonly answersPerSecondAndPrefix: number;
  /**
   * An unknown association is called dead when this member has known all there are for so long (adoption
   * included).
   */
  readonly certaintyMs: number;
  /** ICMP errors made here, a second. */
  readonly icmpPerSecond: number;
  /** ICMP errors translated, a second. */
  readonly icmpTranslatedPerSecond: number;
  /** Housekeeping: one bounded turn each. */
  readonly tickPeriodMs: number;
  /** Sessions and embryos looked at in one turn; flows too, by the fast path's own bound. */
  readonly visitCountMaxPerTurn: number;
  /** Least time between the starts of two sweeps over all flows. */
  readonly sweepPeriodMs: number;
  /** Flows per session beside those that a handshake proves, learned from traffic. */
  readonly learnedFlowCountMax: number;
  /** Changes of the last-heard address are replicated at most this often per VIP. */
  readonly heardPeriodMs: number;
  /** Path packets that a proven address may leave unanswered for this long before a spare one is tried. */
  readonly fallbackMs: number;
  /** … at this many of them at least. */
  readonly fallbackPacketCount: number;
  /**
   * A first HEARTBEAT to an unproven address that was not answered for so long is told to the other members.
   */
  readonly probeAnswerMs: number;
  /**
   * Endpoint traffic of a generation that was superseded counts as a contradiction only after this silence.
   */
  readonly contradictionMs: number;
  /** Punted INITs older than this are discarded (after a restart the ring is full of them). */
  readonly initAgeMaxMs: number;
  /** After start, adopted flows that no record claims become records of their own. */
  readonly adoptionGraceMs: number;
  /**
   * Reassembly: bytes held for all incomplete packets, packets (of all, and of one source and destination),
   * fragments of a packet, and time. The longest packet comes in 119 fragments where the MTU is 576, the
   * least that IPv4 hosts must take whole, and in 54 of IPv6's least; links with a smaller MTU (down to 68)
   * carry shorter packets only.
   */
  readonly fragmentBytesMax: number;
  readonly fragmentPacketCountMax: number;
  readonly fragmentPacketCountMaxPerPair: number;
  readonly fragmentCountMaxPerPacket: number;
  readonly fragmentTimeoutMs: number;
  /** An endpoint down for so long without a sign of life is dead: its clients are told. */
  readonly endpointDeathMs: number;
  /** … and after so long when its host says that nobody there speaks SCTP. */
  readonly endpointGoneMs: number;
}

export const LIMITS_DEFAULT: ForwarderLimits = {
  initTimeoutMs: 15_000,
  handshakeTimeoutMs: 75_000,
  pendingTimeoutMs: 75_000,
  shutdownTimeoutMs: 60_000,
  lingerMs: 30_000,
  natPortRestVerifiedMs: 30_000,
  natPortRestUnseenMs: 600_000,
  natPortRestEvictedMs: 75_000,
  natPortRestEvictedLeastMs: 250,
  embryoEvictableMs: 1_000,
  embryoDisplaceableMs: 250,
  initAgainLeastMs: 100,
  initAgainMostMs: 10_000,
  embryoCountMaxPerService: 32_768,
  embryoCountMaxPerPrefix: 2_048,
  embryoCountMax: 65_536,
  replicatedEmbryosPerSecond: 10_000,
  replicatedEmbryoCountMaxPerService: 2_048,
  replicatedEmbryoCountMaxPerPrefix: 512,
  unansweredInitCountMax: 2,
  heldPacketCountMax: 1_024,
  heldPacketCountMaxPerQuestion: 8,
  natPortLoanMs: 100,
  natPortRequiredMs: 500,
  questionsPerSecond: 1_000,
  askAfterMoveMs: 10_000,
  answersPerSecond: 100,
  answersPerSecondAndPrefix: 10,
  certaintyMs: 7_000,
  icmpPerSecond: 1_000,
  icmpTranslatedPerSecond: 1_000,
  tickPeriodMs: 100,
  visitCountMaxPerTurn: 1_024,
  sweepPeriodMs: 1_000,
  learnedFlowCountMax: 64,
  heardPeriodMs: 1_000,
  fallbackMs: 1_000,
  fallbackPacketCount: 2,
  probeAnswerMs: 100,
  contradictionMs: 2_000,
  initAgeMaxMs: 2_000,
  adoptionGraceMs: 5_000,
  fragmentBytesMax: 4 * 1024 * 1024,
  fragmentPacketCountMax: 1_024,
  fragmentPacketCountMaxPerPair: 128,
  fragmentCountMaxPerPacket: 128,
  fragmentTimeoutMs: 5_000,
  endpointDeathMs: 3_000,
  endpointGoneMs: 200,
};

/**
 * The defaults with all protocol times divided by `factor`: tests in the lab run 1:20. Counts and rates stay.
 */
export function scaledLimits(factor: number, base: ForwarderLimits = LIMITS_DEFAULT): ForwarderLimits {
  const scaled = Object.entries(base).map(([name, value]) => [
    name,
    name.endsWith("Ms") ? value / factor : value,
  ]);
  return Object.fromEntries(scaled) as ForwarderLimits;
}
