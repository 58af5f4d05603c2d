/* SPDX-License-Identifier: Apache-2.0
 *
 * What the BPF programs and the daemon share: layouts of maps and punt records, and numbers. This file is
 * the source; ../abi.ts is generated from the object's BTF and a test compares the two.
 *
 * Numbers are append-only: a number never changes its meaning, since pinned maps outlive the programs that
 * wrote them. A layout may change: it is known by its BTF, and the next daemon moves what is pinned into
 * maps of its own layout, field by field (../layout). So a name never changes its meaning either; what only
 * fills a gap is called spare.
 *
 * Byte order: __be16 and __be32 hold the packet's bytes as they are; everything else is the host's, which
 * has to be little-endian (the CRC of a port change is computed on words as a little-endian host loads
 * them).
 */
#ifndef HOLDFAST_ABI_H
#define HOLDFAST_ABI_H

#include <linux/types.h>

#include "numbers.h"

/* Another layout of everything that outlives a daemon, for the tests of moving it: each field lies
 * elsewhere.
 */
#ifdef HF_TEST_LAYOUT
#define HF_TEST_SPARE __u64 spare_test;
#else
#define HF_TEST_SPARE
#endif

struct hf_flow4_key {
	HF_TEST_SPARE
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	/* Of IP. The kernel pads a key to eight bytes anyway. */
	__u8 protocol;
	__u8 spare[3];
};

/* What flows of both families begin with. */
struct hf_flow_head {
	__be16 new_source_port;
	__be16 new_destination_port;
	/* XOR of old and new ports as the CRC sees them: first byte lowest. */
	__u32 port_delta;
	__be32 tag;
	__u16 flags;
	__u16 nexthop;
	__u16 reply_nexthop;
	/* The last two bytes of the other direction's tag, as the packet has them: an ICMP error that quotes it is
	 * proven.
	 */
	__u16 peer_tag;
	__u32 session;
	/* Jiffies, the cheapest clock there is: reading nanoseconds costs an eighth of the whole fast path. */
	__u32 last_seen;
	/* Theoretical arrival time of the flow's punts, fine clock, >> HF_FINE_SHIFT. */
	__u32 punt_at;
	__u64 packets;
	__u64 bytes;
};

/* 64 bytes: one cache line of the hash element beyond its header; bigger values lose to cache misses. */
struct hf_flow4 {
	HF_TEST_SPARE
	struct hf_flow_head head;
	__be32 new_source;
	__be32 new_destination;
	__be32 reply_destination;
	/* What the addresses and the TTL add to the header checksum (RFC 1624: the folded sum of ~m + m'). */
	__u16 checksum_delta;
	__u16 reply_checksum_delta;
};

/* What quick flows of every kind count, at the end of their first line. */
struct hf_quick_counts {
	/* Jiffies. */
	__u32 last_seen;
	/* Since `folded`, jiffies: what the table of all flows does not know yet. */
	__u32 packets;
	__u32 bytes;
	__u32 folded;
};

/* One cache line: a flow whose packets are passed on and nothing else, with its key in it. The daemon writes
 * it before a slot points to it and never afterwards, but for what the programs count. Everything of it stands
 * in hf_flows4, too, where the packet goes that needs more.
 */
struct hf_quick4 {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__be32 new_source;
	__be32 new_destination;
	/* 0: there is none. */
	__be32 reply_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	__be32 tag;
	__u16 checksum_delta;
	__u16 reply_checksum_delta;
	__u16 nexthop;
	__u16 reply_nexthop;
	/* A length of SCTP packets, in the upper half, and what the ports change in the checksum of one. Read and
	 * written at once: they belong together.
	 */
	__u64 change;
	struct hf_quick_counts counts;
};

/* IPv6: two lines, of an even number and the next one. What is asked of every packet stands in the first. */
struct hf_quick6 {
	__u8 source[16];
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__be32 tag;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u16 nexthop;
	__u16 reply_nexthop;
	struct hf_quick_counts counts;
};

struct hf_quick6_rest {
	__u8 new_source[16];
	__u8 new_destination[16];
	__u8 reply_destination[16];
	/* As of IPv4. */
	__u64 change;
	/* reply_destination counts. */
	__u32 has_reply;
	__u32 spare;
};

/* What packets of TCP show, as in hf_plain_head; of UDP nothing. */
struct hf_quick_tcp {
	__u32 sequence;
	__u32 acknowledged;
	__s16 shift;
	__u8 scale;
	__u8 strange;
	/* A FIN or RST has come: what counts stands in the table of all flows. */
	__u32 stopped;
};

/* TCP and UDP of both families, as in hf_plain_head. */
struct hf_quick_plain {
	__be16 new_source_port;
	__be16 new_destination_port;
	__u16 address_delta;
	__u16 transport_delta;
	__u16 nexthop;
	__u16 flags;
};

struct hf_quick_plain4 {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	struct hf_quick_plain plain;
	__be32 new_source;
	__be32 new_destination;
	struct hf_quick_tcp tcp;
	struct hf_quick_counts counts;
};

struct hf_quick_plain6 {
	__u8 source[16];
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	struct hf_quick_plain plain;
	struct hf_quick_counts counts;
};

struct hf_quick_plain6_rest {
	__u8 new_source[16];
	__u8 new_destination[16];
	struct hf_quick_tcp tcp;
	__u64 spare[2];
};

struct hf_quick_line {
	__u64 words[8];
};

struct hf_quick_bucket {
	__u32 slots[HF_QUICK_SLOT_COUNT];
};

struct hf_flow6_key {
	HF_TEST_SPARE
	__u8 source[16];
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 spare[3];
};

struct hf_flow6 {
	HF_TEST_SPARE
	struct hf_flow_head head;
	__u8 new_source[16];
	__u8 new_destination[16];
	__u8 reply_destination[16];
};

/* What flows of TCP and UDP of both families end with. What packets of an established flow do not need
 * stands last.
 */
struct hf_plain_head {
	__be16 new_source_port;
	__be16 new_destination_port;
	/* What the addresses, and the ports as well, add to a checksum (RFC 1624: the folded sum of ~m + m'). */
	__u16 address_delta;
	__u16 transport_delta;
	__u16 flags;
	__u16 nexthop;
	/* Jiffies. */
	__u32 last_seen;
	/* Behind the last byte sent, as it arrives. */
	__u32 sequence;
	/* The last acknowledgment, as it leaves. */
	__u32 acknowledged;
	/* Up: added to sequence numbers; down: taken from acknowledgments. */
	__s16 shift;
	__u8 scale;
	/* Implausible packets since the last plausible one. */
	__u8 strange;
	__u32 session;
	__u64 packets;
	__u64 bytes;
	/* As in hf_flow_head. */
	__u32 punt_at;
	/* Behind the last FIN, as it arrives. */
	__u32 fin_end;
};

/* 64 bytes, as hf_flow4. The map is not preallocated, and its allocator puts eight bytes before an element:
 * the last eight of the value lie in a cache line more.
 */
struct hf_plain4 {
	HF_TEST_SPARE
	__be32 new_source;
	__be32 new_destination;
	struct hf_plain_head head;
};

struct hf_plain6 {
	HF_TEST_SPARE
	__u8 new_source[16];
	__u8 new_destination[16];
	struct hf_plain_head head;
};

/* What a connection becomes whose SYN takes it. An IPv4 address is in the first four bytes. */
struct hf_offer {
	__u8 endpoint[16];
	__u8 source[16];
	__be16 endpoint_port;
	__be16 nat_port;
	__u32 session;
	__u16 nexthop;
	/* Jiffies after its last packet in which a connection that is over gives way to its client's next
	 * SYN.
	 */
	__u16 reuse;
};

/* Addresses as in struct hf_address. */
struct hf_offered {
	__u8 vip[16];
	__be16 port;
	__u16 spare;
};

struct hf_way_key {
	__u8 vip[16];
	__u8 client[16];
};

struct hf_nexthop {
	HF_TEST_SPARE
	__u32 ifindex;
	/* Destination and source MAC as they stand in the frame. */
	__u8 macs[12];
	/* Bytes of the largest IP packet. */
	__u32 mtu;
	__u32 flags;
	/* IPv4 in the first four bytes. */
	__u8 gateway[16];
	/* Jiffies of the last use, written when HF_USED_PERIOD old. */
	__u32 used;
	__u32 spare;
};

/* IPv4 addresses as ::ffff:a.b.c.d in all maps that hold both families. */
struct hf_address {
	__u8 bytes[16];
};

struct hf_local {
	HF_TEST_SPARE
	__u32 flags;
	__u32 successor_ifindex;
	__u8 successor_macs[12];
	__u32 spare;
};

struct hf_port_key {
	HF_TEST_SPARE
	__u8 address[16];
	__be16 port;
	__u16 kind;
	__u8 protocol;
	__u8 spare[3];
};

/* The longest prefix counts: 32 bits of the list, then those of the address. One family a list. */
struct hf_allowed_key {
	__u32 prefix_length;
	__u32 list;
	__u8 address[16];
};

struct hf_interface {
	__u32 ifindex;
	__u8 mac[6];
	__u16 flags;
};

struct hf_budget_rate {
	/* Nanoseconds that one punt costs; 0: no limit. */
	__u64 cost_ns;
	/* How far ahead of the clock a burst may run. */
	__u64 burst_ns;
};

/* One entry. Written by the daemon, read by the programs. */
struct hf_state {
	/* Monotonic clock of the last sign of life. */
	__u64 alive_ns;
	/* Older than this, the daemon is dead. */
	__u64 dead_after_ns;
	/* For versions before hashes of layouts: 1 is theirs. */
	__u32 abi_version;
	__u32 flow_count_max;
	struct hf_budget_rate rates[HF_BUDGET_SLOT_COUNT];
};

/* An INIT that was refused. */
struct hf_knock {
	/* Of addresses, port and initiate tag; 0: nobody. */
	__u32 mark;
	/* Nanoseconds >> HF_KNOCK_SHIFT. */
	__u32 at;
};

/* An address that packets with the right tag came from, at a place that follows from it; another one takes
 * it over.
 */
struct hf_source {
	/* Of the address; 0: nobody. */
	__u32 mark;
	/* Jiffies of the last such packet. */
	__u32 seen;
	/* As in a flow. */
	__u32 punt_at;
	__u32 spare;
};

/* What the program hf_clock writes at the start of its packet: the same moment by both clocks. */
struct hf_clock {
	__u64 jiffies;
	__u64 time_ns;
};

/* The head of a record in the rings; the packet, IP header first, follows. */
struct hf_punt {
	__u64 time_ns;
	__u32 interface_index;
	__u32 session;
	__u32 length;
	__u16 reason;
	__u16 flags;
	/* HF_PUNT_TOO_BIG: of the way it should leave by. */
	__u32 mtu;
	/* Of a super-packet: what each part has behind the headers; 0: it is none. */
	__u32 segment_size;
};

#endif
