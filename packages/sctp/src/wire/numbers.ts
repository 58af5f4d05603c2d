// IANA numbers of SCTP chunks, parameters and error causes.

/** Chunk types (RFC 9260 §3.2 and the extensions named behind). */
export const CHUNK = {
  DATA: 0,
  INIT: 1,
  INIT_ACK: 2,
  SACK: 3,
  HEARTBEAT: 4,
  HEARTBEAT_ACK: 5,
  ABORT: 6,
  SHUTDOWN: 7,
  SHUTDOWN_ACK: 8,
  ERROR: 9,
  COOKIE_ECHO: 10,
  COOKIE_ACK: 11,
  ECNE: 12,
  CWR: 13,
  SHUTDOWN_COMPLETE: 14,
  /** RFC 4895. */
  AUTH: 15,
  /** draft-tuexen-tsvwg-sctp-multipath. */
  NR_SACK: 16,
  /** RFC 8260. */
  I_DATA: 64,
  /** RFC 5061. */
  ASCONF_ACK: 0x80,
  /** draft-stewart-sctp-pktdrprep. */
  PKTDROP: 0x81,
  /** RFC 6525. */
  RE_CONFIG: 0x82,
  /** RFC 4820. */
  PAD: 0x84,
  /** RFC 3758. */
  FORWARD_TSN: 0xc0,
  /** RFC 5061. */
  ASCONF: 0xc1,
  /** RFC 8260. */
  I_FORWARD_TSN: 0xc2,
} as const;

/** Parameter types (RFC 9260 §3.3.2, §3.3.3 and extensions). */
export const PARAMETER = {
  HEARTBEAT_INFO: 1,
  IPV4_ADDRESS: 5,
  IPV6_ADDRESS: 6,
  STATE_COOKIE: 7,
  UNRECOGNIZED_PARAMETER: 8,
  COOKIE_PRESERVATIVE: 9,
  HOST_NAME: 11,
  SUPPORTED_ADDRESS_TYPES: 12,
  ECN_CAPABLE: 0x8000,
  /** RFC 9653. */
  ZERO_CHECKSUM: 0x8001,
  /** RFC 4895: RANDOM, CHUNKS and HMAC-ALGO are key material, byte exact. */
  RANDOM: 0x8002,
  CHUNK_LIST: 0x8003,
  HMAC_ALGORITHMS: 0x8004,
  PADDING: 0x8005,
  /** RFC 5061 §4.2.7. */
  SUPPORTED_EXTENSIONS: 0x8008,
  FORWARD_TSN_SUPPORTED: 0xc000,
  /** RFC 5061. */
  ADD_ADDRESS: 0xc001,
  DELETE_ADDRESS: 0xc002,
  SET_PRIMARY: 0xc004,
  ADAPTATION_INDICATION: 0xc006,
  DISABLE_RESTART: 0xc007,
  VTAGS: 0xc008,
} as const;

/** Error causes (RFC 9260 §3.3.10). */
export const CAUSE = {
  INVALID_STREAM: 1,
  MISSING_PARAMETER: 2,
  STALE_COOKIE: 3,
  OUT_OF_RESOURCE: 4,
  UNRESOLVABLE_ADDRESS: 5,
  UNRECOGNIZED_CHUNK: 6,
  INVALID_PARAMETER: 7,
  UNRECOGNIZED_PARAMETERS: 8,
  NO_USER_DATA: 9,
  COOKIE_WHILE_SHUTDOWN: 10,
  RESTART_WITH_NEW_ADDRESSES: 11,
  USER_INITIATED_ABORT: 12,
  PROTOCOL_VIOLATION: 13,
} as const;

/**
 * The T bit of ABORT and SHUTDOWN-COMPLETE: the sender had no association and reflects the tag it received.
 */
export const T_BIT = 0x01;

/**
 * Chunks of a packet that are kept one by one. RFC 9260 §6.10 sets no limit: a sender bundles what the path's
 * MTU holds, 112 messages of 64 bytes in 9,000, 450 of one byte, and 16,380 chunks of four bytes fill the
 * longest packet. What stands behind these is walked all the same, and the first chunk of each type is kept:
 * no rule asks for more.
 */
export const CHUNK_KEPT_COUNT = 64;

const CHUNK_NAMES = new Map<number, string>(Object.entries(CHUNK).map(([name, type]) => [type, name]));

/** The RFC's name of a chunk type ("INIT_ACK"), or "CHUNK_n" for one that is not listed. */
export function chunkName(type: number): string {
  return CHUNK_NAMES.get(type) ?? `CHUNK_${type}`;
}
