/* SPDX-License-Identifier: Apache-2.0
 *
 * What the programs know of TCP and UDP, whatever the hook: docs/decisions/0385.
 */
#ifndef HOLDFAST_TCP_UDP_H
#define HOLDFAST_TCP_UDP_H

#include "common.h"

/* What is known of a packet: its TCP flags in the low byte, these, and a refusal in the upper half. */
#define PLAIN_TCP 256
#define PLAIN_PARTIAL 512
/* The packet ends the handshake of its flow when it is forwarded. */
#define PLAIN_OPENS 1024
/* Not actions. The caller goes on, where the stack has room: with TCP or UDP; or without a flow, with what
 * is known of the packet in the lower bits.
 */
#define VERDICT_PLAIN 4096
#define VERDICT_OTHER (1 << 28)
#define OTHER_PARTS 0xffffff

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16
/* Bits: ACK, RST, SYN, FIN. What stacks send: SYN, SYN-ACK, RST, RST with ACK, FIN with ACK, ACK. */
#define TCP_LEGAL (1 << 2 | 1 << 10 | 1 << 4 | 1 << 12 | 1 << 9 | 1 << 8)
#define TCP_OPTION_NOTHING 1
#define TCP_OPTION_MSS 2
#define TCP_OPTION_SCALE 3
#define TCP_OPTION_SACK 5
/* RFC 7323 §2.3: a larger scale means this one. */
#define TCP_SCALE_MAX 14
/* RFC 9293 §3.7.1: no end needs to take less. */
#define TCP_MSS_LEAST 536
/* What syn_options() says beside numbers: a segment size and a scale are there, or nobody knows. */
#define SYN_MSS 256
#define SYN_SCALE 512
#define SYN_UNREADABLE 1024

struct tcp_header {
	__be16 source_port;
	__be16 destination_port;
	__be32 sequence;
	__be32 acknowledgment;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__u16 checksum;
	__be16 urgent;
};

struct udp_header {
	__be16 source_port;
	__be16 destination_port;
	__be16 length;
	__u16 checksum;
};

/* How what leaves differs from what comes: fields as in hf_plain_head. */
struct plain_change {
	/* Source and destination, as they stand in the packet. */
	__u32 ports;
	__u32 address_delta;
	__u32 transport_delta;
	__s32 shift;
	__u32 flags;
};

enum plain_claim {
	CLAIM_NONE,
	/* Inside the window, or sent again. */
	CLAIM_COUNTS,
	CLAIM_UNPROVEN,
	CLAIM_OUTSIDE,
};

static __always_inline bool is_plain(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static __always_inline bool is_other(int verdict)
{
	return (__u32)verdict >> 28 == 1;
}

/* With ACK or without; its header is fine. */
static __always_inline bool is_syn(__u32 parts)
{
	return !(parts >> 16) && parts & PLAIN_TCP && parts & TCP_SYN;
}

static __always_inline __u32 plain_window(const struct hf_plain_head *flow)
{
	return 0xffffU << (flow->scale & 15);
}

/* Sequence numbers are circles. */
static __always_inline bool near_number(__u32 a, __u32 b, __u32 window)
{
	return a - b + window <= 2 * window;
}

/* Behind the segment's last byte. `size`: of the segment with its header. */
static __always_inline __u32 sequence_end(const struct tcp_header *tcp, __u32 size)
{
	return bpf_ntohl(tcp->sequence) + size - (tcp->offset >> 4) * 4 + (tcp->flags & TCP_FIN ? 1 : 0);
}

/* Whether a FIN or RST may be believed. `other`: the flow of the other direction, or nobody. */
static __always_inline __u32 claim_of(const struct hf_plain_head *flow, const struct hf_plain_head *other,
				      const struct tcp_header *tcp, __u32 size)
{
	__u32 window = plain_window(flow), number = bpf_ntohl(tcp->sequence);
	bool known = other && other->flags & HF_PLAIN_EDGES, continues;

	if (tcp->flags & TCP_FIN) {
		number = sequence_end(tcp, size);
		if (flow->flags & HF_PLAIN_FIN && flow->fin_end == number)
			return CLAIM_COUNTS;
		number--;
	}
	if (known && number - other->acknowledged <= window)
		return CLAIM_COUNTS;
	if (!(flow->flags & HF_PLAIN_EDGES))
		return known ? CLAIM_OUTSIDE : CLAIM_COUNTS;
	continues = near_number(number, flow->sequence, window);
	if (!known)
		return continues ? CLAIM_COUNTS : CLAIM_OUTSIDE;
	return continues ? CLAIM_UNPROVEN : CLAIM_OUTSIDE;
}

/* Whether a packet of a flow with HF_PLAIN_OPENING ends the handshake. `other`: the flow of the other
 * direction, or nobody. Nobody makes the endpoint's number up who does not see its answers. What begins or
 * ends something is the slow path's.
 */
static __always_inline bool opens_plain(const struct hf_plain_head *flow, const struct hf_plain_head *other,
					const struct tcp_header *tcp, __u32 size)
{
	if (tcp->flags & (TCP_SYN | TCP_FIN | TCP_RST) || !(flow->flags & HF_PLAIN_EDGES))
		return false;
	return other && other->session == flow->session && bpf_ntohl(tcp->acknowledgment) == flow->acknowledged &&
	       near_number(sequence_end(tcp, size), flow->sequence, plain_window(flow));
}

/* What the endpoint's answer acknowledges stands in `sequence` of such a flow up. */
static __always_inline bool expects_answer(const struct hf_plain_head *up)
{
	return up->flags & HF_PLAIN_AWAITING ||
	       (up->flags & (HF_PLAIN_OPENING | HF_PLAIN_EDGES)) == (HF_PLAIN_OPENING | HF_PLAIN_EDGES);
}

/* The direction up of an open connection that nobody but the programs knows, to judge by itself. */
static __always_inline bool may_give_way(const struct hf_plain_head *up)
{
	return (up->flags & (HF_PLAIN_QUIET | HF_PLAIN_HANDSHAKE | HF_PLAIN_DOWN)) == HF_PLAIN_QUIET;
}

static __always_inline bool has_ended(const struct hf_plain_head *one, const struct hf_plain_head *other)
{
	return one->flags & HF_PLAIN_FIN && other->flags & HF_PLAIN_EDGES && one->fin_end == other->acknowledged;
}

/* RFC 9293 §3.6.1, RFC 6191: whether a connection that was begun from an offer is over, and its client's SYN
 * may begin another one on the same ports. `first`: the number behind that SYN; `age`: jiffies since either
 * end spoke.
 */
static __always_inline bool gives_way(const struct hf_plain_head *up, const struct hf_plain_head *down, __u32 first,
				      __u32 *age)
{
	__u32 now = coarse_now(), since = now - up->last_seen, since_down = now - down->last_seen;

	if (!may_give_way(up) || !(down->flags & HF_PLAIN_MADE) || up->session != down->session)
		return false;
	*age = since < since_down ? since : since_down;
	if (up->flags & down->flags & HF_PLAIN_RESET)
		return true;
	return has_ended(up, down) && has_ended(down, up) && (__s32)(first - 1 - up->fin_end) >= 0;
}

/* The direction up is gone. The other one is what is left for the daemon to find: what still comes that way
 * is the slow path's, and the next hop that was counted as the other's is its own now.
 */
static __always_inline void retire(const struct hf_plain_head *up, struct hf_plain_head *down)
{
	down->nexthop = up->nexthop;
	down->flags = (down->flags & ~HF_PLAIN_MADE) | HF_PLAIN_HANDSHAKE;
}

/* Of a SYN or SYN-ACK of `flow`: whether it is what the handshake begins or goes on with, or that again.
 * `first`: the number behind the SYN.
 */
static __always_inline bool continues_handshake(const struct hf_plain_head *flow, const struct hf_plain_head *other,
						__u32 parts, __u32 first, __u32 acknowledged)
{
	bool is_up = !(flow->flags & HF_PLAIN_DOWN);

	if (other->session != flow->session || !(flow->flags & other->flags & HF_PLAIN_HANDSHAKE))
		return false;
	if (!(parts & TCP_ACK))
		return is_up && expects_answer(flow) && first == flow->sequence;
	if (is_up || (flow->flags ^ other->flags) & HF_PLAIN_AWAITING)
		return false;
	if (!expects_answer(other) || acknowledged != other->sequence)
		return false;
	return flow->flags & HF_PLAIN_AWAITING || (flow->flags & HF_PLAIN_EDGES && first == flow->sequence);
}

/* Whether both ways take the packet, and what it lets its receiver send. `said`: by its options. */
static __always_inline bool ways_take(const struct hf_nexthop *nexthop, const struct hf_nexthop *back, __u32 said,
				      __u32 bytes, __u32 headers)
{
	__u32 mtu = nexthop->mtu < back->mtu ? nexthop->mtu : back->mtu, mss = said >> 16;

	if (!(nexthop->flags & (HF_NEXTHOP_RESOLVED | HF_NEXTHOP_ROUTED)) ||
	    !(back->flags & (HF_NEXTHOP_RESOLVED | HF_NEXTHOP_ROUTED)))
		return false;
	return !(said & SYN_UNREADABLE) && bytes <= nexthop->mtu && (mss <= TCP_MSS_LEAST || mss + headers <= mtu);
}

/* Counts one that is forwarded, and learns from the endpoint's answer. */
static __always_inline void note_handshake(struct hf_plain_head *flow, struct hf_plain_head *other, __u32 parts,
					   __u32 first, __u32 said, __u32 bytes)
{
	__u32 now = coarse_now(), own = said & 15, theirs = other->scale, scale = 0;

	flow->packets++;
	flow->bytes += bytes;
	if (!(parts & TCP_ACK) || !(flow->flags & HF_PLAIN_AWAITING))
		return;
	if (own != HF_SCALE_NONE && theirs != HF_SCALE_NONE)
		scale = own > theirs ? own : theirs;
	flow->scale = scale;
	flow->sequence = first;
	flow->acknowledged = other->sequence;
	flow->last_seen = now;
	flow->flags = (flow->flags & ~HF_PLAIN_AWAITING) | HF_PLAIN_EDGES;
	other->scale = scale;
	other->acknowledged = first;
	other->last_seen = now;
	other->flags = (other->flags & ~HF_PLAIN_AWAITING) | HF_PLAIN_EDGES | HF_PLAIN_OPENING;
}

/* Learns from a packet that is forwarded. true: it showed that its sender is who it was. */
static __always_inline bool note_tcp(struct hf_plain_head *flow, struct hf_plain_head *other,
				     const struct tcp_header *tcp, __u32 size, bool counts, __u32 now)
{
	__u32 window = plain_window(flow), end, acknowledged, flags = flow->flags;
	bool plausible;

	if (tcp->flags & TCP_RST) {
		if (counts) {
			flow->flags = flags | HF_PLAIN_RESET;
			if (other)
				other->flags |= HF_PLAIN_RESET;
		}
		return false;
	}
	end = sequence_end(tcp, size);
	acknowledged = bpf_ntohl(tcp->acknowledgment);
	if (flags & HF_PLAIN_DOWN)
		acknowledged -= flow->shift;
	plausible = !(flags & HF_PLAIN_EDGES) || (near_number(end, flow->sequence, window) &&
						  near_number(acknowledged, flow->acknowledged, window));
	if (!plausible && flow->strange + 1 < HF_STRANGE_COUNT_MAX) {
		flow->strange++;
		return false;
	}
	flow->sequence = end;
	flow->acknowledged = acknowledged;
	if (flow->strange)
		flow->strange = 0;
	if (flow->last_seen != now)
		flow->last_seen = now;
	if (counts && tcp->flags & TCP_FIN) {
		flow->fin_end = end;
		flow->flags = (flags | HF_PLAIN_EDGES | HF_PLAIN_FIN) & ~HF_PLAIN_RESET;
	} else if ((flags & (HF_PLAIN_EDGES | HF_PLAIN_RESET)) != HF_PLAIN_EDGES) {
		flow->flags = (flags | HF_PLAIN_EDGES) & ~HF_PLAIN_RESET;
	}
	return plausible && flags & HF_PLAIN_EDGES;
}

/* Whether an error quotes a packet that the flow's other end was sent. `sequence`: as it is quoted. */
static __always_inline bool quotes_plain(const struct hf_plain_head *flow, __u8 protocol, __be32 sequence)
{
	__u32 expected = flow->acknowledged;

	if (protocol == IPPROTO_UDP)
		return true;
	if (flow->flags & HF_PLAIN_DOWN)
		expected += flow->shift;
	return flow->flags & HF_PLAIN_EDGES && bpf_ntohl(sequence) - expected <= plain_window(flow);
}

static __always_inline struct plain_change change_of(const struct hf_plain_head *flow)
{
	struct plain_change change = {
		.ports = *(const __u32 *)&flow->new_source_port,
		.address_delta = flow->address_delta,
		.transport_delta = flow->transport_delta,
		.shift = flow->shift,
		.flags = flow->flags,
	};

	return change;
}

static __always_inline __u32 number_delta(__be32 old, __be32 next)
{
	return (__u16)~old + (__u16)~(old >> 16) + (__u16)next + (next >> 16);
}

#endif
