// Generated from the BPF object's BTF by abi/generate.ts; the source is program/abi.h. Do not edit.

export const ALLOWED_VALUE = {
  YES: 1,
  NO: 2,
} as const;

export const BUDGET = {
  PROVEN: 0,
  INIT: 1,
  INIT_ACK: 2,
  HANDSHAKE: 3,
  MISS: 4,
  WRONG_TAG: 5,
  ERROR: 6,
  BULK: 7,
  PREFIX: 8,
  FLOW: 9,
  INIT_AGAIN: 10,
  FRAGMENT: 11,
  ICMP: 12,
  NDP: 13,
  FRAGMENT_KNOWN: 14,
  SOURCE: 15,
  SYN: 16,
  SYN_AGAIN: 17,
  DATAGRAM: 18,
  STRAY: 19,
  END: 20,
  SLOT_COUNT: 32,
} as const;

export const COUNTER_BASE = {
  DROP: 0,
  PUNT: 64,
  EVENT: 96,
  COUNT: 128,
} as const;

export const DROP_REASON = {
  IP_TOO_SHORT: 0,
  IP_HEADER_LENGTH: 1,
  IP_TOTAL_LENGTH: 2,
  IP_EXTENSION_COUNT: 3,
  IP_EXTENSION_TRUNCATED: 4,
  PACKET_TOO_SHORT: 5,
  PORT_ZERO: 6,
  NO_CHUNK: 7,
  CHUNK_HEADER_TRUNCATED: 8,
  CHUNK_TOO_SHORT: 9,
  CHUNK_OVERRUN: 10,
  CHUNK_COUNT: 11,
  NOT_SCTP: 12,
  ICMP_OTHER: 13,
  NOT_OWNED: 14,
  PORT_NOT_SERVED: 15,
  WRONG_TAG: 16,
  UNVERIFIED_DESTINATION: 17,
  PUNT_RATE: 18,
  PUNT_QUEUE: 19,
  PUNT_SIZE: 20,
  NO_SUCCESSOR: 21,
  TTL_EXPIRED: 22,
  UNREADABLE: 23,
  FOREIGN_CLAIM: 24,
  SOURCE_NOT_ALLOWED: 25,
  TCP_HEADER: 26,
  TCP_FLAGS: 27,
  TCP_WINDOW: 28,
  UDP_LENGTH: 29,
  REASON_COUNT: 30,
} as const;

export const EVENT = {
  ANSWER_ECHO: 0,
  ANSWER_NEIGHBOUR: 1,
  ANSWER_ARP: 2,
  DIVERT_PACKETS: 3,
  DEFER_PACKETS: 4,
  RESOLVE_PACKETS: 5,
  END_UNPROVEN: 6,
  OFFER_TAKEN: 7,
  DIVERT_RETURNED: 8,
  COUNT: 9,
} as const;

export const FLOW_FLAG = {
  REPLY: 1,
  PENDING: 2,
  HEARTBEAT_ONLY: 4,
  LEARN: 8,
  DOWN: 16,
} as const;

export const INTERFACE_FLAG = {
  XDP: 1,
} as const;

export const LIMITS = {
  CHUNK_STRETCH: 64,
  CHUNK_STRETCH_COUNT_MAX: 256,
  EXTENSION_COUNT_MAX: 6,
  PUNT_SIZE_MAX: 16384,
  NEXTHOP_COUNT_MAX: 65536,
  INTERFACE_SLOT_COUNT: 4096,
  BUCKET_COUNT: 8192,
  POWER_COUNT: 16384,
  FINE_SHIFT: 10,
  STRANGE_COUNT_MAX: 16,
  USED_PERIOD: 64,
  KNOCK_COUNT: 1048576,
  KNOCK_SHIFT: 20,
  KNOCK_AGE_MIN: 95,
  KNOCK_AGE_MAX: 10000,
  SOURCE_COUNT: 65536,
  SOURCE_AGE: 131072,
  SOURCE_NOTE_SHIFT: 8,
  QUICK_SLOT_COUNT: 16,
  QUICK_NUMBER_BITS: 20,
  QUICK_HASH_BITS: 9,
  QUICK_FOLD_PERIOD: 1024,
  QUICK_FOLD_COUNT: 64,
  QUICK_FOLD_PERIOD_MAX: 8192,
  SCALE_NONE: 15,
  OFFER_COUNT_MAX: 8192,
  OFFERED_COUNT_MAX: 4096,
  WAY_COUNT_MAX: 65536,
} as const;

export const LOCAL_FLAG = {
  OWNED: 1,
  SUCCESSOR: 2,
  SUCCESSOR_XDP: 4,
  LONE: 8,
} as const;

export const NEXTHOP_FLAG = {
  RESOLVED: 1,
  ROUTED: 2,
  V6: 4,
  XDP: 8,
  ACROSS: 16,
} as const;

export const PLAIN_FLAG = {
  HANDSHAKE: 1,
  LEARN: 2,
  DOWN: 4,
  ASSURED: 8,
  EDGES: 16,
  FIN: 32,
  RESET: 64,
  QUICK: 128,
  OPENING: 256,
  AWAITING: 512,
  QUIET: 1024,
  MADE: 2048,
} as const;

export const PORT_KIND = {
  SERVICE: 1,
  ENDPOINT: 2,
} as const;

export const PORT_LIST = {
  NONE: 1,
  FIRST: 2,
} as const;

export const PUNT_FLAG = {
  CHECKSUM_PARTIAL: 1,
  COPY: 2,
  PROVEN: 4,
  AGAIN: 8,
  PLAIN: 16,
} as const;

export const PUNT_REASON = {
  INIT: 0,
  INIT_ACK: 1,
  CONTROL: 2,
  HANDSHAKE: 3,
  MISS: 4,
  WRONG_TAG: 5,
  LEARN: 6,
  ICMP: 7,
  FRAGMENT: 8,
  ASCONF: 9,
  NO_NEXT_HOP: 10,
  TTL_EXPIRED: 11,
  TOO_BIG: 12,
  NDP: 13,
  PROBE: 14,
  SYN: 15,
  SYN_ACK: 16,
  DATAGRAM: 17,
  END: 18,
  REASON_COUNT: 19,
} as const;

export const QUICK_KIND = {
  SCTP4: 0,
  SCTP6: 1,
  UDP4: 2,
  UDP6: 3,
  TCP4: 4,
  TCP6: 5,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const ADDRESS = {
  SIZE: 16,
  bytes: 0,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const ALLOWED_KEY = {
  SIZE: 24,
  prefixLength: 0,
  list: 4,
  address: 8,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const BUDGET_RATE = {
  SIZE: 16,
  costNs: 0,
  burstNs: 8,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const CLOCK = {
  SIZE: 16,
  jiffies: 0,
  timeNs: 8,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const FLOW4 = {
  SIZE: 64,
  head: 0,
  newSource: 48,
  newDestination: 52,
  replyDestination: 56,
  checksumDelta: 60,
  replyChecksumDelta: 62,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const FLOW4_KEY = {
  SIZE: 16,
  source: 0,
  destination: 4,
  sourcePort: 8,
  destinationPort: 10,
  protocol: 12,
  spare: 13,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const FLOW6 = {
  SIZE: 96,
  head: 0,
  newSource: 48,
  newDestination: 64,
  replyDestination: 80,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const FLOW6_KEY = {
  SIZE: 40,
  source: 0,
  destination: 16,
  sourcePort: 32,
  destinationPort: 34,
  protocol: 36,
  spare: 37,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const FLOW_HEAD = {
  SIZE: 48,
  newSourcePort: 0,
  newDestinationPort: 2,
  portDelta: 4,
  tag: 8,
  flags: 12,
  nexthop: 14,
  replyNexthop: 16,
  peerTag: 18,
  session: 20,
  lastSeen: 24,
  puntAt: 28,
  packets: 32,
  bytes: 40,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const INTERFACE = {
  SIZE: 12,
  ifindex: 0,
  mac: 4,
  flags: 10,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const KNOCK = {
  SIZE: 8,
  mark: 0,
  at: 4,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const LOCAL = {
  SIZE: 24,
  flags: 0,
  successorIfindex: 4,
  successorMacs: 8,
  spare: 20,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const NEXTHOP = {
  SIZE: 48,
  ifindex: 0,
  macs: 4,
  mtu: 16,
  flags: 20,
  gateway: 24,
  used: 40,
  spare: 44,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const OFFER = {
  SIZE: 44,
  endpoint: 0,
  source: 16,
  endpointPort: 32,
  natPort: 34,
  session: 36,
  nexthop: 40,
  reuse: 42,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const OFFERED = {
  SIZE: 20,
  vip: 0,
  port: 16,
  spare: 18,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const PLAIN4 = {
  SIZE: 64,
  newSource: 0,
  newDestination: 4,
  head: 8,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const PLAIN6 = {
  SIZE: 88,
  newSource: 0,
  newDestination: 16,
  head: 32,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const PLAIN_HEAD = {
  SIZE: 56,
  newSourcePort: 0,
  newDestinationPort: 2,
  addressDelta: 4,
  transportDelta: 6,
  flags: 8,
  nexthop: 10,
  lastSeen: 12,
  sequence: 16,
  acknowledged: 20,
  shift: 24,
  scale: 26,
  strange: 27,
  session: 28,
  packets: 32,
  bytes: 40,
  puntAt: 48,
  finEnd: 52,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const PORT_KEY = {
  SIZE: 24,
  address: 0,
  port: 16,
  kind: 18,
  protocol: 20,
  spare: 21,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const PUNT = {
  SIZE: 32,
  timeNs: 0,
  interfaceIndex: 8,
  session: 12,
  length: 16,
  reason: 20,
  flags: 22,
  mtu: 24,
  segmentSize: 28,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK4 = {
  SIZE: 64,
  source: 0,
  destination: 4,
  sourcePort: 8,
  destinationPort: 10,
  newSource: 12,
  newDestination: 16,
  replyDestination: 20,
  newSourcePort: 24,
  newDestinationPort: 26,
  tag: 28,
  checksumDelta: 32,
  replyChecksumDelta: 34,
  nexthop: 36,
  replyNexthop: 38,
  change: 40,
  counts: 48,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK6 = {
  SIZE: 64,
  source: 0,
  destination: 16,
  sourcePort: 32,
  destinationPort: 34,
  tag: 36,
  newSourcePort: 40,
  newDestinationPort: 42,
  nexthop: 44,
  replyNexthop: 46,
  counts: 48,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK6_REST = {
  SIZE: 64,
  newSource: 0,
  newDestination: 16,
  replyDestination: 32,
  change: 48,
  hasReply: 56,
  spare: 60,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_BUCKET = {
  SIZE: 64,
  slots: 0,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_COUNTS = {
  SIZE: 16,
  lastSeen: 0,
  packets: 4,
  bytes: 8,
  folded: 12,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_LINE = {
  SIZE: 64,
  words: 0,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_PLAIN = {
  SIZE: 12,
  newSourcePort: 0,
  newDestinationPort: 2,
  addressDelta: 4,
  transportDelta: 6,
  nexthop: 8,
  flags: 10,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_PLAIN4 = {
  SIZE: 64,
  source: 0,
  destination: 4,
  sourcePort: 8,
  destinationPort: 10,
  plain: 12,
  newSource: 24,
  newDestination: 28,
  tcp: 32,
  counts: 48,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_PLAIN6 = {
  SIZE: 64,
  source: 0,
  destination: 16,
  sourcePort: 32,
  destinationPort: 34,
  plain: 36,
  counts: 48,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_PLAIN6_REST = {
  SIZE: 64,
  newSource: 0,
  newDestination: 16,
  tcp: 32,
  spare: 48,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const QUICK_TCP = {
  SIZE: 16,
  sequence: 0,
  acknowledged: 4,
  shift: 8,
  scale: 10,
  strange: 11,
  stopped: 12,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const SCRATCH = {
  SIZE: 16416,
  head: 0,
  packet: 32,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const SOURCE = {
  SIZE: 16,
  mark: 0,
  seen: 4,
  puntAt: 8,
  spare: 12,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const STATE = {
  SIZE: 536,
  aliveNs: 0,
  deadAfterNs: 8,
  abiVersion: 16,
  flowCountMax: 20,
  rates: 24,
} as const;

/** Byte offsets of the members, and the size of the whole. */
export const WAY_KEY = {
  SIZE: 32,
  vip: 0,
  client: 16,
} as const;

/** Byte offsets in .rodata of what the loader fills in. */
export const RODATA = {
  powers: 0,
  highPowers: 65536,
  reduction: 65552,
  quickMask: 69648,
  quickSeed: 69652,
} as const;
