/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of abi.h: limits, reasons, flags. Append-only.
 */
#ifndef HOLDFAST_NUMBERS_H
#define HOLDFAST_NUMBERS_H

enum hf_limits {
	/* Chunks that one stretch of the walk passes. */
	HF_CHUNK_STRETCH = 64,
	/* Stretches: 16,384 chunks, and the longest packet (65,535 bytes) holds 16,380 of the shortest. */
	HF_CHUNK_STRETCH_COUNT_MAX = 256,
	/* RFC 8200 §4.1: each extension header once, destination options twice; that makes six without encryption. */
	HF_EXTENSION_COUNT_MAX = 6,
	/* Bytes of the largest packet that can be punted; longer ones are dropped as HF_DROP_PUNT_SIZE. A sender with jumbo
	 * frames reaches 9,216; only a virtual link with an MTU beyond 16 KiB, or segmentation offload, carries more.
	 */
	HF_PUNT_SIZE_MAX = 16384,
	HF_NEXTHOP_COUNT_MAX = 65536,
	/* Interfaces stand at ifindex modulo this. */
	HF_INTERFACE_SLOT_COUNT = 4096,
	HF_BUCKET_COUNT = 8192,
	/* Lengths with a power of their own; longer ones are composed. */
	HF_POWER_COUNT = 16384,
	/* The clock of the flow's punt budget: nanoseconds >> this. */
	HF_FINE_SHIFT = 10,
	/* So many implausible TCP packets of a flow in a row are believed. */
	HF_STRANGE_COUNT_MAX = 16,
	/* Jiffies between two writes of a next hop's last use. */
	HF_USED_PERIOD = 64,
	/* INITs that were refused and are remembered; a power of two. */
	HF_KNOCK_COUNT = 1048576,
	/* An INIT that comes again after so long, and not longer, is a client's that waits for its answer: fine clock of
	 * 2^20 ns, some 0.1 and 10 s.
	 */
	HF_KNOCK_SHIFT = 20,
	HF_KNOCK_AGE_MIN = 95,
	HF_KNOCK_AGE_MAX = 10000,
	/* Addresses that are known; a power of two. */
	HF_SOURCE_COUNT = 65536,
	/* Jiffies after the last packet with the right tag: two minutes or more, longer than any stack's HEARTBEAT waits. */
	HF_SOURCE_AGE = 131072,
	/* Of a flow's packets, one in so many jiffies (a power of two) notes its source. */
	HF_SOURCE_NOTE_SHIFT = 8,
	/* Slots of a bucket of the quick flows: the low bits are the number of a flow's line, then come a part of
	 * its hash and what kind it is of.
	 */
	HF_QUICK_SLOT_COUNT = 16,
	HF_QUICK_NUMBER_BITS = 20,
	HF_QUICK_HASH_BITS = 9,
	/* After so many jiffies the counts of a quick flow go to the table of all flows, when it has counted so many
	 * packets; those of a slower one after more: its next packet would pay for both tables, and few counts
	 * are at stake.
	 */
	HF_QUICK_FOLD_PERIOD = 1024,
	HF_QUICK_FOLD_COUNT = 64,
	HF_QUICK_FOLD_PERIOD_MAX = 8192,
	/* A window scale that was not offered. */
	HF_SCALE_NONE = 15,
	/* Of one service. */
	HF_OFFER_COUNT_MAX = 8192,
	HF_OFFERED_COUNT_MAX = 4096,
	HF_WAY_COUNT_MAX = 65536,
};

/* Of quick flows: three bits. */
enum hf_quick_kind {
	HF_QUICK_KIND_SCTP4 = 0,
	HF_QUICK_KIND_SCTP6 = 1,
	HF_QUICK_KIND_UDP4 = 2,
	HF_QUICK_KIND_UDP6 = 3,
	HF_QUICK_KIND_TCP4 = 4,
	HF_QUICK_KIND_TCP6 = 5,
};

/* Why a packet was dropped. Names become kebab-case: drop.wrong-tag. */
enum hf_drop_reason {
	HF_DROP_IP_TOO_SHORT = 0,
	HF_DROP_IP_HEADER_LENGTH = 1,
	HF_DROP_IP_TOTAL_LENGTH = 2,
	HF_DROP_IP_EXTENSION_COUNT = 3,
	HF_DROP_IP_EXTENSION_TRUNCATED = 4,
	HF_DROP_PACKET_TOO_SHORT = 5,
	HF_DROP_PORT_ZERO = 6,
	HF_DROP_NO_CHUNK = 7,
	HF_DROP_CHUNK_HEADER_TRUNCATED = 8,
	HF_DROP_CHUNK_TOO_SHORT = 9,
	HF_DROP_CHUNK_OVERRUN = 10,
	/* Of earlier versions: every packet is walked to its end. */
	HF_DROP_CHUNK_COUNT = 11,
	HF_DROP_NOT_SCTP = 12,
	HF_DROP_ICMP_OTHER = 13,
	/* ARP, neighbour solicitation or ping for a VIP that this member does not own, or whose daemon is dead. */
	HF_DROP_NOT_OWNED = 14,
	HF_DROP_PORT_NOT_SERVED = 15,
	HF_DROP_WRONG_TAG = 16,
	HF_DROP_UNVERIFIED_DESTINATION = 17,
	/* Above the rate of the source's prefix, or of all punts of this kind. */
	HF_DROP_PUNT_RATE = 18,
	/* The ring was full. */
	HF_DROP_PUNT_QUEUE = 19,
	HF_DROP_PUNT_SIZE = 20,
	/* Of earlier versions: without a successor a packet waits in the ring. */
	HF_DROP_NO_SUCCESSOR = 21,
	/* Would go to the successor of a dead daemon, but its TTL is used up. */
	HF_DROP_TTL_EXPIRED = 22,
	/* A helper refused: the packet could not be read or made writable. */
	HF_DROP_UNREADABLE = 23,
	/* Somebody else claims a VIP by ARP or neighbour advertisement. */
	HF_DROP_FOREIGN_CLAIM = 24,
	/* What would begin an association comes from where its service does not allow it. */
	HF_DROP_SOURCE_NOT_ALLOWED = 25,
	HF_DROP_TCP_HEADER = 26,
	HF_DROP_TCP_FLAGS = 27,
	/* A FIN or RST that is nowhere near its connection's numbers. */
	HF_DROP_TCP_WINDOW = 28,
	HF_DROP_UDP_LENGTH = 29,
	HF_DROP_REASON_COUNT = 30,
};

/* Why a packet was punted. Names become camelCase: punt.initAck. */
enum hf_punt_reason {
	HF_PUNT_INIT = 0,
	HF_PUNT_INIT_ACK = 1,
	HF_PUNT_CONTROL = 2,
	HF_PUNT_HANDSHAKE = 3,
	HF_PUNT_MISS = 4,
	HF_PUNT_WRONG_TAG = 5,
	HF_PUNT_LEARN = 6,
	HF_PUNT_ICMP = 7,
	HF_PUNT_FRAGMENT = 8,
	HF_PUNT_ASCONF = 9,
	HF_PUNT_NO_NEXT_HOP = 10,
	HF_PUNT_TTL_EXPIRED = 11,
	HF_PUNT_TOO_BIG = 12,
	HF_PUNT_NDP = 13,
	/* HEARTBEATs that would go to an address which never proved itself. */
	HF_PUNT_PROBE = 14,
	/* TCP, with a flow or without. */
	HF_PUNT_SYN = 15,
	HF_PUNT_SYN_ACK = 16,
	/* UDP without a flow. */
	HF_PUNT_DATAGRAM = 17,
	/* A copy of a FIN or RST. */
	HF_PUNT_END = 18,
	HF_PUNT_REASON_COUNT = 19,
};

/* Other totals. Names become two words with a dot: forward.packets. */
enum hf_event {
	HF_EVENT_ANSWER_ECHO = 0,
	HF_EVENT_ANSWER_NEIGHBOUR = 1,
	HF_EVENT_ANSWER_ARP = 2,
	/* Sent to the VIP's successor because the daemon is dead. */
	HF_EVENT_DIVERT_PACKETS = 3,
	/* Left by XDP to the TC program behind it. */
	HF_EVENT_DEFER_PACKETS = 4,
	/* Resolved by the kernel, since the next hop has no link-layer address yet. */
	HF_EVENT_RESOLVE_PACKETS = 5,
	/* FINs and RSTs that were forwarded, and are not believed. */
	HF_EVENT_END_UNPROVEN = 6,
	/* SYNs that the programs forwarded without the slow path. */
	HF_EVENT_OFFER_TAKEN = 7,
	/* Not sent to the VIP's successor, since it came from there: both daemons are dead. */
	HF_EVENT_DIVERT_RETURNED = 8,
	HF_EVENT_COUNT = 9,
};

/* The counters map: drops, punts, events, one behind the other with room to grow. */
enum hf_counter_base {
	HF_COUNTER_DROP = 0,
	HF_COUNTER_PUNT = 64,
	HF_COUNTER_EVENT = 96,
	HF_COUNTER_COUNT = 128,
};

enum hf_flow_flag {
	/* replyDestination counts. */
	HF_FLOW_REPLY = 1,
	HF_FLOW_PENDING = 2,
	HF_FLOW_HEARTBEAT_ONLY = 4,
	HF_FLOW_LEARN = 8,
	HF_FLOW_DOWN = 16,
};

/* Of TCP and UDP. */
enum hf_plain_flag {
	/* Every packet is punted. */
	HF_PLAIN_HANDSHAKE = 1,
	HF_PLAIN_LEARN = 2,
	HF_PLAIN_DOWN = 4,
	/* Its source has shown that it is there. */
	HF_PLAIN_ASSURED = 8,
	/* sequence and acknowledged count. */
	HF_PLAIN_EDGES = 16,
	/* fin_end counts. */
	HF_PLAIN_FIN = 32,
	/* A reset passed, and this direction has not spoken since. */
	HF_PLAIN_RESET = 64,
	/* The daemon's: a quick flow may know more than stands here. */
	HF_PLAIN_QUICK = 128,
	/* Up, with HF_PLAIN_HANDSHAKE: what acknowledges just what the edges say ends the handshake, both ways. */
	HF_PLAIN_OPENING = 256,
	/* With HF_PLAIN_HANDSHAKE, in both directions: the endpoint's SYN-ACK has not come. What it acknowledges stands in
	 * `sequence`, the client's window scale in `scale`.
	 */
	HF_PLAIN_AWAITING = 512,
	/* No copies of FINs and RSTs. */
	HF_PLAIN_QUIET = 1024,
	/* By the program, of an offer: nobody has counted that it has its next hop. */
	HF_PLAIN_MADE = 2048,
};

enum hf_nexthop_flag {
	/* Addresses of both ends are there. */
	HF_NEXTHOP_RESOLVED = 1,
	/* There is a route: the kernel can resolve `gateway` on `ifindex`. */
	HF_NEXTHOP_ROUTED = 2,
	HF_NEXTHOP_V6 = 4,
	/* The interface takes what XDP redirects to it. Without it the TC program behind the XDP program sends. */
	HF_NEXTHOP_XDP = 8,
	/* A veth whose other end, in another network namespace, takes packets as if they had just arrived there. */
	HF_NEXTHOP_ACROSS = 16,
};

enum hf_local_flag {
	HF_LOCAL_OWNED = 1,
	HF_LOCAL_SUCCESSOR = 2,
	/* As HF_NEXTHOP_XDP, of the successor's interface. */
	HF_LOCAL_SUCCESSOR_XDP = 4,
	/* Nobody else can own it: it is answered for while the daemon is dead, too. */
	HF_LOCAL_LONE = 8,
};

enum hf_interface_flag {
	/* As HF_NEXTHOP_XDP: XDP may answer out of it. */
	HF_INTERFACE_XDP = 1,
};

enum hf_port_kind {
	HF_PORT_SERVICE = 1,
	HF_PORT_ENDPOINT = 2,
};

/* The value of a port: anybody may begin there; above, the number of the list of those who may. */
enum hf_port_list {
	HF_PORT_LIST_NONE = 1,
	HF_PORT_LIST_FIRST = 2,
};

/* What a list says of a prefix. One that says nothing of a source is not loaded: the slow path decides. */
enum hf_allowed_value {
	HF_ALLOWED_YES = 1,
	HF_ALLOWED_NO = 2,
};

enum hf_punt_flag {
	HF_PUNT_CHECKSUM_PARTIAL = 1,
	HF_PUNT_COPY = 2,
	/* The packet had the tag of its flow, or came from an endpoint: the ring that no flood reaches. */
	HF_PUNT_PROVEN = 4,
	/* An INIT beyond the budget that was refused before, and came again as a client's does and a flood's does not. */
	HF_PUNT_AGAIN = 8,
	/* TCP or UDP: budgets of their own. */
	HF_PUNT_PLAIN = 16,
};

/* Budgets of punts. Each has its own rate, so that a flood of one leaves the others alone. */
enum hf_budget {
	HF_BUDGET_PROVEN = 0,
	HF_BUDGET_INIT = 1,
	HF_BUDGET_INIT_ACK = 2,
	HF_BUDGET_HANDSHAKE = 3,
	HF_BUDGET_MISS = 4,
	HF_BUDGET_WRONG_TAG = 5,
	HF_BUDGET_ERROR = 6,
	HF_BUDGET_BULK = 7,
	/* Of one source prefix (/24 or /64), of everything that is not proven. */
	HF_BUDGET_PREFIX = 8,
	/* Of one flow; and of one source prefix in each of the small budgets. */
	HF_BUDGET_FLOW = 9,
	/* Of INITs that come again. */
	HF_BUDGET_INIT_AGAIN = 10,
	/* Fragments and ICMP errors of strangers, neighbour solicitations. What established associations need of these is
	 * proven, or has a budget of its own.
	 */
	HF_BUDGET_FRAGMENT = 11,
	HF_BUDGET_ICMP = 12,
	HF_BUDGET_NDP = 13,
	/* Fragments from addresses that are known (struct hf_source), of all and of one. */
	HF_BUDGET_FRAGMENT_KNOWN = 14,
	HF_BUDGET_SOURCE = 15,
	/* Of TCP: SYNs, and those that come again. */
	HF_BUDGET_SYN = 16,
	HF_BUDGET_SYN_AGAIN = 17,
	/* Of UDP without a flow. */
	HF_BUDGET_DATAGRAM = 18,
	/* Other TCP without a flow. */
	HF_BUDGET_STRAY = 19,
	/* Copies of FINs and RSTs. */
	HF_BUDGET_END = 20,
	/* Of all: a power of two, so that a mask is a bound. */
	HF_BUDGET_SLOT_COUNT = 32,
};

#endif
