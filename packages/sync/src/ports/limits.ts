// Limits of replication. What happens at each maximum stands beside it.

/** Members of a cluster; a further one is refused at its hello. */
export const MEMBER_COUNT_MAX = 64;
/** Bytes of one peer message on the wire. The transport closes a peer that sends a longer one. */
export const PEER_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes of one change (a tick of a journal). A longer one is refused, its sender counted as broken. */
export const CHANGE_BYTES_MAX = 1024 * 1024;
/** Bytes of one change of the configuration: all of it, when a new epoch begins. */
export const CONFIGURATION_CHANGE_BYTES_MAX = 2 * 1024 * 1024;
/** Changes of one `segment` message; more go into further messages. */
export const SEGMENT_MESSAGE_CHANGE_COUNT_MAX = 256;
/** Bytes of changes after which a `segment` message is closed. */
export const SEGMENT_MESSAGE_BYTES_AIM = 256 * 1024;
/** Entries of a summary. A writer retires segments long before; a longer summary is refused. */
export const SUMMARY_ENTRY_COUNT_MAX = 4096;
/** Records of one answer; the rest is left out, anti-entropy brings it. */
export const ANSWER_RECORD_COUNT_MAX = 64;
/**
 * Bytes queued to one peer; all of the configuration fits. Beyond, its queue is dropped, and summaries and the
 * configuration's heads bring it what it missed.
 */
export const PEER_QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes of the body of a request or response between nodes. */
export const REQUEST_BYTES_MAX = 1024 * 1024;
