/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP and UDP: docs/decisions/0385; the order of the tests is the reference translator's
 * (../../reference/plain/translator.ts). Included once per hook.
 */

/* What stands in the header, against the protocol's rules. `size`: of segment or datagram. */
static __always_inline __u32 NAME(read_plain)(CONTEXT *ctx, const void *start, const void *end, __u8 protocol,
					      __u32 size)
{
	const struct tcp_header *tcp = start;
	const struct udp_header *udp = start;
	__u32 header, flags;

	if (protocol == IPPROTO_TCP) {
		if (size < sizeof(*tcp))
			return refusal(HF_DROP_TCP_HEADER);
		if ((void *)(tcp + 1) > end)
			return refusal(HF_DROP_UNREADABLE);
		header = (tcp->offset >> 4) * 4;
		if (header < sizeof(*tcp) || header > size)
			return refusal(HF_DROP_TCP_HEADER);
		if (!tcp->source_port || !tcp->destination_port)
			return refusal(HF_DROP_PORT_ZERO);
		flags = tcp->flags;
		if (!(TCP_LEGAL >> ((flags & 7) | (flags >> 1 & 8)) & 1))
			return refusal(HF_DROP_TCP_FLAGS);
		return PLAIN_TCP | flags;
	}
	if (size < sizeof(*udp))
		return refusal(HF_DROP_UDP_LENGTH);
	if ((void *)(udp + 1) > end)
		return refusal(HF_DROP_UNREADABLE);
	if (!udp->source_port || !udp->destination_port)
		return refusal(HF_DROP_PORT_ZERO);
	if (bpf_ntohs(udp->length) < sizeof(*udp) || bpf_ntohs(udp->length) > size)
		return refusal(HF_DROP_UDP_LENGTH);
	return 0;
}

/* Whether the checksum holds the sum of the pseudo header and nothing else yet. `sum`: of the pseudo
 * header. XDP, and TC before Linux 6.2, cannot see the mark: one in 65,536 finished packets looks like it.
 */
static __always_inline bool NAME(plain_partial)(CONTEXT *ctx, __u64 sum, __u16 checksum)
{
#if !HF_XDP
	if (bpf_cast_to_kern_ctx)
		return NAME(checksum_partial)(ctx, 1);
#endif
	return checksum && fold(sum) == checksum;
}

/* The upper protocol's part of a pseudo header's sum. */
static __always_inline __u64 NAME(pseudo_upper)(__u8 protocol, __u32 size)
{
	return bpf_htons(protocol) + (__u64)bpf_htonl(size);
}

static __always_inline __u32 NAME(plain_reason)(__u32 parts)
{
	if (!(parts & PLAIN_TCP))
		return HF_PUNT_DATAGRAM;
	if (!(parts & TCP_SYN))
		return HF_PUNT_MISS;
	return parts & TCP_ACK ? HF_PUNT_SYN_ACK : HF_PUNT_SYN;
}

static __always_inline __u32 NAME(plain_detail)(__u32 parts)
{
	return (HF_PUNT_PLAIN | (parts & PLAIN_PARTIAL ? HF_PUNT_CHECKSUM_PARTIAL : 0)) << 16;
}

/* No flow. `address`: the destination's, which is local; `source` takes its place. */
static __always_inline int NAME(plain_miss)(CONTEXT *ctx, struct hf_address *address, const struct hf_address *source,
					    const struct udp_header *ports, __u32 parts)
{
	__u8 protocol = parts & PLAIN_TCP ? IPPROTO_TCP : IPPROTO_UDP;
	__u32 reason = NAME(plain_reason)(parts), detail = reason | NAME(plain_detail)(parts), list;

	list = port_list(address, ports->destination_port, HF_PORT_SERVICE, protocol);
	if (!list) {
		*address = *source;
		if (!port_known(address, ports->source_port, HF_PORT_ENDPOINT, protocol))
			return NAME(drop)(HF_DROP_PORT_NOT_SERVED);
		if (reason == HF_PUNT_SYN_ACK || reason == HF_PUNT_DATAGRAM)
			detail |= HF_PUNT_PROVEN << 16;
	} else if ((reason == HF_PUNT_SYN || reason == HF_PUNT_DATAGRAM) && source_refused(source, list)) {
		return NAME(drop)(HF_DROP_SOURCE_NOT_ALLOWED);
	}
	return NAME(punt)(ctx, detail, 0);
}

/* A super-packet's parts, with their headers. */
static __always_inline __u32 NAME(part_size)(CONTEXT *ctx, __u32 size, __u32 headers)
{
#if !HF_XDP
	if (ctx->gso_segs > 1)
		return ctx->gso_size + headers;
#endif
	return size;
}

/* `size`: of the largest IP packet that leaves. Forwarded where a next hop was found, as with decide(). */
static __always_inline int NAME(decide_plain)(CONTEXT *ctx, struct hf_plain_head *flow, __u32 parts, __u32 claim,
					      bool news, __u8 hop_limit, __u32 size, struct hf_nexthop **found)
{
	__u32 detail = NAME(plain_detail)(parts);
	struct hf_nexthop *nexthop;

	if (flow->flags & HF_PLAIN_HANDSHAKE && !(parts & PLAIN_OPENS)) {
		if (take_flow(&flow->punt_at))
			detail |= HF_PUNT_PROVEN << 16;
		return NAME(punt)(ctx, HF_PUNT_HANDSHAKE | detail, flow->session);
	}
	if (claim == CLAIM_OUTSIDE)
		return NAME(drop)(HF_DROP_TCP_WINDOW);
	detail |= HF_PUNT_PROVEN << 16;
	if (hop_limit <= 1)
		return NAME(punt)(ctx, HF_PUNT_TTL_EXPIRED | detail, flow->session);
	nexthop = nexthop_at(flow->nexthop);
#if HF_XDP
	if (!nexthop || (nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
		return NAME(defer)();
#else
	if (!nexthop || !(nexthop->flags & (HF_NEXTHOP_RESOLVED | HF_NEXTHOP_ROUTED)))
		return NAME(punt)(ctx, HF_PUNT_NO_NEXT_HOP | detail, flow->session);
#endif
	if (size > nexthop->mtu)
		return NAME(punt_with_mtu)(ctx, HF_PUNT_TOO_BIG | detail, flow->session, nexthop->mtu);
	if (flow->flags & HF_PLAIN_LEARN &&
	    !NAME(deliver)(ctx, HF_PUNT_LEARN | HF_PUNT_COPY << 16 | detail, flow->session, 0))
		flow->flags &= ~HF_PLAIN_LEARN;
	if (news && !(flow->flags & HF_PLAIN_QUIET) && take_flow(&flow->punt_at))
		NAME(deliver)(ctx, HF_PUNT_END | HF_PUNT_COPY << 16 | detail, flow->session, 0);
	if (claim == CLAIM_UNPROVEN)
		count(HF_COUNTER_EVENT + HF_EVENT_END_UNPROVEN);
	*found = nexthop;
	return ACTION_PASS;
}

/* RFC 2018 §3: blocks of SACK hold numbers of the other direction. `shift` is taken from each; returns what
 * that adds to the checksum. A function of its own for its loops, which read byte by byte.
 */
__noinline __u32 NAME(shift_sack)(CONTEXT *ctx, __u32 offset, __u32 shift)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct tcp_header *tcp;
	__u32 at = sizeof(*tcp), header, delta = 0;

	if (offset > 0x3fff)
		return 0;
	tcp = data + offset;
	if ((void *)(tcp + 1) > end)
		return 0;
	header = (tcp->offset >> 4) * 4;
	for (int i = 0; i < 40; i++) {
		__u8 *option;
		__u32 size;

		/* One bound for all turns, so that the verifier meets a state again. */
		at &= 63;
		option = (void *)tcp + at;
		if (at + 1 >= header || (void *)(option + 2) > end || !option[0])
			return 0;
		if (option[0] == 1) {
			at++;
			continue;
		}
		size = option[1];
		if (size < 2 || at + size > header)
			return 0;
		if (option[0] != TCP_OPTION_SACK) {
			at += size;
			continue;
		}
		for (__u32 j = 0; j < 8; j++) {
			__be32 *number = (void *)option + 2 + j * 4;
			__be32 old, next;

			if (j * 4 + 6 > size || (void *)(number + 1) > end)
				break;
			__builtin_memcpy(&old, number, 4);
			next = bpf_htonl(bpf_ntohl(old) - shift);
			__builtin_memcpy(number, &next, 4);
			delta += number_delta(old, next);
		}
		delta = fold(delta);
		/* Words of the checksum begin at even places. */
		return at & 1 ? (delta & 0xff) << 8 | delta >> 8 : delta;
	}
	return 0;
}

/* Ports, numbers, and the checksum. `start`: of segment or datagram, `offset` bytes into the frame. */
static __always_inline void NAME(rewrite_plain)(CONTEXT *ctx, const struct plain_change *change, void *start,
						__u32 parts, __u32 offset)
{
	struct tcp_header *tcp = start;
	struct udp_header *udp = start;
	__u32 delta = change->transport_delta;
	__be32 old;
	__u16 sum;

	*(__u32 *)start = change->ports;
	if (!(parts & PLAIN_TCP)) {
		if (parts & PLAIN_PARTIAL) {
			udp->checksum = fold((__u32)udp->checksum + change->address_delta);
		} else if (udp->checksum) {
			sum = apply_delta(udp->checksum, delta);
			udp->checksum = sum ? sum : 0xffff;
		}
		return;
	}
	if (change->shift) {
		if (change->flags & HF_PLAIN_DOWN) {
			old = tcp->acknowledgment;
			tcp->acknowledgment = bpf_htonl(bpf_ntohl(old) - change->shift);
			delta += number_delta(old, tcp->acknowledgment);
			if (tcp->offset >> 4 > 5)
				delta += NAME(shift_sack)(ctx, offset, change->shift);
		} else {
			old = tcp->sequence;
			tcp->sequence = bpf_htonl(bpf_ntohl(old) + change->shift);
			delta += number_delta(old, tcp->sequence);
		}
	}
	if (parts & PLAIN_PARTIAL)
		tcp->checksum = fold((__u32)tcp->checksum + change->address_delta);
	else
		tcp->checksum = apply_delta(tcp->checksum, delta);
}

/* Counts, and learns. true: worth a note of the source. */
static __always_inline bool NAME(note_plain)(struct hf_plain_head *flow, struct hf_plain_head *other, const void *start,
					     __u32 parts, __u32 claim, __u32 size, __u32 bytes, struct hf_nexthop *nexthop)
{
	__u32 now = coarse_now(), since = flow->last_seen ^ now;
	/* As in note_packet(). */
	bool is_news = !flow->packets || since >> HF_SOURCE_NOTE_SHIFT;

	if (parts & PLAIN_OPENS) {
		flow->flags &= ~(HF_PLAIN_HANDSHAKE | HF_PLAIN_OPENING);
		if (other)
			other->flags &= ~HF_PLAIN_HANDSHAKE;
	}
	use_nexthop(nexthop, now);
	flow->packets++;
	flow->bytes += bytes;
	if (parts & PLAIN_TCP)
		return note_tcp(flow, other, start, size, claim == CLAIM_COUNTS, now) && is_news;
	if (since)
		flow->last_seen = now;
	return is_news && flow->flags & HF_PLAIN_ASSURED;
}
