// Why the slow path dropped a packet. Stable names: metrics, traces and docs carry them; append only.

export const SLOW_PATH_DROP_REASONS = [
  /** IP or SCTP header, chunk or parameter lengths: the codec refused the bytes. */
  "malformed",
  "bad-checksum",
  /** Chunks that may not travel together, or an INIT with a tag, or another chunk without. */
  "bad-bundling",
  "not-sctp",
  "source-not-unicast",
  /** No service on this VIP and port. */
  "no-service",
  "no-session",
  /** The table knows the session as ended; nothing was answered. */
  "session-ended",
  "wrong-tag",
  /** Tag-valid, but from an address that the association does not have. */
  "source-not-in-set",
  /** A chunk that the phase does not allow. */
  "wrong-phase",
  "no-endpoint",
  "nat-ports-exhausted",
  "embryo-quota",
  /** COOKIE-ECHO with a tag that no INIT-ACK carried. */
  "no-candidate",
  "init-too-old",
  "init-host-name",
  "init-restart-new-addresses",
  "init-two-associations",
  "init-rate",
  /** This member may not allocate yet. */
  "not-ready",
  "init-ack-unexpected",
  "unverified-address",
  "held-too-many",
  "question-rate",
  "asconf",
  "icmp-unrelated",
  "icmp-unsupported",
  "icmp-rate",
  "fragment-limit",
  "fragment-overlap",
  "fragment-too-small",
  "fragment-timeout",
  "ttl-expired",
  "too-big",
  "no-path",
  "send-failed",
  "error-causes",
  "endpoint-init-unmatched",
  /** An ICMP error about a packet to an address that never proved itself. */
  "icmp-unproven",
  /** A reflected ABORT or SHUTDOWN-COMPLETE from where its sender never took part in the association. */
  "vip-not-accepted",
  /** `natPort: require`: the client's port is another's. */
  "nat-port-taken",
  /** … or whoever lends it does not answer. */
  "nat-port-unreachable",
  /** … or more clients ask than the other members are asked for. */
  "nat-port-rate",
  /** An INIT from an endpoint's own port to its own service, whose endpoints may not begin. */
  "endpoint-begins",
  /** What would begin an association comes from where its service does not allow it. */
  "source-not-allowed",
  /** TCP: one more SYN into an open connection within the second. */
  "syn-rate",
] as const;
export type SlowPathDropReason = (typeof SLOW_PATH_DROP_REASONS)[number];
