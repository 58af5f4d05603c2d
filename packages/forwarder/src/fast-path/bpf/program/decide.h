/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a packet that has a flow: the same for both families. Included once per hook.
 */

static __always_inline bool NAME(is_reply)(const struct hf_flow_head *flow, __u32 parts)
{
	/* What an unverified address may not have goes to the one last heard, too. */
	return flow->flags & HF_FLOW_REPLY &&
	       (!(parts & PART_PATH) || (flow->flags & HF_FLOW_HEARTBEAT_ONLY && parts & PART_NOT_HEARTBEAT));
}

static __always_inline bool NAME(is_partial)(__u32 parts)
{
#if HF_XDP
	return false;
#else
	return parts & PART_PARTIAL;
#endif
}

/* `size`: of the IP packet. It is forwarded where a next hop was found; what is returned otherwise is the verdict. */
static __always_inline int NAME(decide)(CONTEXT *ctx, struct hf_flow_head *flow, __be32 tag, __u32 parts,
					__u8 hop_limit, __u32 size, struct hf_nexthop **found)
{
	bool reply = NAME(is_reply)(flow, parts), partial = NAME(is_partial)(parts);
	struct hf_nexthop *nexthop;

	if (parts >> 16)
		return NAME(drop)((parts >> 16) - 1);
	if (parts & PART_SLOW) {
		__u32 flags = partial ? HF_PUNT_CHECKSUM_PARTIAL : 0;

		if (tag == flow->tag && take_flow(&flow->punt_at))
			flags |= HF_PUNT_PROVEN;
		return NAME(punt)(ctx, punt_reason(parts) | flags << 16, flow->session);
	}
	if (tag != flow->tag) {
		if (flow->flags & HF_FLOW_PENDING)
			return NAME(punt)(ctx, HF_PUNT_WRONG_TAG | (partial ? HF_PUNT_CHECKSUM_PARTIAL : 0) << 16,
					  flow->session);
		return NAME(drop)(HF_DROP_WRONG_TAG);
	}
	if (flow->flags & HF_FLOW_HEARTBEAT_ONLY && !reply) {
		__u32 flags = partial ? HF_PUNT_CHECKSUM_PARTIAL : 0;

		if (parts & PART_NOT_HEARTBEAT)
			return NAME(drop)(HF_DROP_UNVERIFIED_DESTINATION);
		/* The slow path knows whose turn it is. */
		if (take_flow(&flow->punt_at))
			flags |= HF_PUNT_PROVEN;
		return NAME(punt)(ctx, HF_PUNT_PROBE | flags << 16, flow->session);
	}
	if (hop_limit <= 1)
		return NAME(punt)(ctx, HF_PUNT_TTL_EXPIRED | (HF_PUNT_PROVEN | partial) << 16, flow->session);
	nexthop = nexthop_at(reply ? flow->reply_nexthop : flow->nexthop);
#if HF_XDP
	if (!nexthop || (nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
		return NAME(defer)();
#else
	if (!nexthop || !(nexthop->flags & (HF_NEXTHOP_RESOLVED | HF_NEXTHOP_ROUTED)))
		return NAME(punt)(ctx, HF_PUNT_NO_NEXT_HOP | partial << 16, flow->session);
#endif
	if (size > nexthop->mtu && !NAME(segmented)(ctx))
		return NAME(punt_with_mtu)(ctx, HF_PUNT_TOO_BIG | (HF_PUNT_PROVEN | partial) << 16, flow->session,
					   nexthop->mtu);
	if (flow->flags & HF_FLOW_LEARN &&
	    !NAME(deliver)(ctx, HF_PUNT_LEARN | (HF_PUNT_COPY | HF_PUNT_PROVEN | partial) << 16, flow->session, 0))
		flow->flags &= ~HF_FLOW_LEARN;
	*found = nexthop;
	return ACTION_PASS;
}

/* Counts a packet that is forwarded. true: the flow's first, or the first in some jiffies: its source is worth a note,
 * which is a cache line more.
 */
static __always_inline bool NAME(note_packet)(struct hf_flow_head *flow, struct hf_nexthop *nexthop, __u32 now, __u32 size)
{
	__u32 since = flow->last_seen ^ now;
	bool is_news = !flow->packets || since >> HF_SOURCE_NOTE_SHIFT;

	if (since)
		flow->last_seen = now;
	use_nexthop(nexthop, now);
	flow->packets++;
	flow->bytes += size;
	return is_news;
}

/* Ports, and what they change in the checksum. `size`: of the SCTP packet. */
static __always_inline void NAME(rewrite_ports)(const struct hf_flow_head *flow, struct sctp_header *sctp, bool partial,
					  __u32 size)
{
	if (!flow->port_delta)
		return;
	sctp->source_port = flow->new_source_port;
	sctp->destination_port = flow->new_destination_port;
	if (!partial)
		sctp->checksum ^= checksum_change(flow->port_delta, size);
}
