/* SPDX-License-Identifier: Apache-2.0
 *
 * IPv4: the fast path proper, and what is not for it. Included once per hook.
 */

/* No flow matches, or it is not plain SCTP. */
__noinline int NAME(other4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	__u32 header, total, parts, detail;
	struct hf_address address = {};
	struct sctp_header *sctp;
	struct hf_local *local;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	map_address4(&address, ip->daddr);
	local = bpf_map_lookup_elem(&hf_local, &address);
	if (!local)
		return ACTION_PASS;
	header = (*(__u8 *)ip & 15) * 4;
	total = bpf_ntohs(ip->tot_len);
	if (header < sizeof(*ip))
		return NAME(drop)(HF_DROP_IP_HEADER_LENGTH);
	if (total < header || total + IP_OFFSET > NAME(frame_length)(ctx))
		return NAME(drop)(HF_DROP_IP_TOTAL_LENGTH);
	if (ip->frag_off & FRAGMENT_MASK)
		return NAME(fragment)(ctx, mark4(ip->saddr));
	if (ip->protocol == IPPROTO_ICMP)
		return NAME(icmp4)(ctx, header, total);
	if (ip->protocol != IPPROTO_SCTP_NUMBER)
		return NAME(drop)(HF_DROP_NOT_SCTP);
	if (total - header < sizeof(*sctp))
		return NAME(drop)(HF_DROP_PACKET_TOO_SHORT);
	sctp = data + IP_OFFSET + header;
	if ((void *)(sctp + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (!sctp->source_port || !sctp->destination_port)
		return NAME(drop)(HF_DROP_PORT_ZERO);
#if HF_XDP
	if (!sctp->checksum)
		return NAME(defer)();
#endif
	detail = NAME(checksum_partial)(ctx, sctp->checksum) ? HF_PUNT_CHECKSUM_PARTIAL << 16 : 0;
	parts = NAME(walk)(ctx, sctp, IP_OFFSET + header + sizeof(*sctp), IP_OFFSET + total);
	if (parts >> 16)
		return NAME(drop)((parts >> 16) - 1);
	detail |= punt_reason(parts);
	if (!port_known(&address, sctp->destination_port, HF_PORT_SERVICE)) {
		map_address4(&address, ip->saddr);
		if (port_known(&address, sctp->source_port, HF_PORT_ENDPOINT)) {
			if (parts & PART_INIT_ACK)
				detail |= HF_PUNT_PROVEN << 16;
		} else if (punt_reason(parts) != HF_PUNT_INIT_ACK && !endpoint_port(&address, sctp->source_port)) {
			return NAME(drop)(HF_DROP_PORT_NOT_SERVED);
		}
	}
	return NAME(punt)(ctx, detail, 0);
}

static __always_inline int NAME(forward4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	__u32 header, total, parts, slot, now;
	struct hf_nexthop *nexthop;
	struct sctp_header *sctp;
	struct hf_flow4_key key = {};
	struct hf_flow4 *flow;
	bool reply, partial;

	if ((void *)(ip + 1) > end || *(__u8 *)ip >> 4 != 4)
		return ACTION_PASS;
	header = (*(__u8 *)ip & 15) * 4;
	total = bpf_ntohs(ip->tot_len);
	if (ip->protocol != IPPROTO_SCTP_NUMBER || ip->frag_off & FRAGMENT_MASK || header < sizeof(*ip) ||
	    total < header + sizeof(*sctp))
		return NAME(other4)(ctx);
	if (data + IP_OFFSET + total > end && total + IP_OFFSET > NAME(frame_length)(ctx))
		return NAME(other4)(ctx);
	sctp = data + IP_OFFSET + header;
	if ((void *)(sctp + 1) > end)
		return NAME(other4)(ctx);
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = sctp->source_port;
	key.destination_port = sctp->destination_port;
	flow = bpf_map_lookup_elem(&hf_flows4, &key);
	if (!flow)
		return NAME(other4)(ctx);
#if HF_XDP
	if (!sctp->checksum)
		return NAME(defer)();
#endif
	partial = NAME(checksum_partial)(ctx, sctp->checksum);
	parts = NAME(walk)(ctx, sctp, IP_OFFSET + header + sizeof(*sctp), IP_OFFSET + total);
	if (parts >> 16)
		return NAME(drop)((parts >> 16) - 1);
	if (parts & PART_SLOW) {
		__u32 flags = partial ? HF_PUNT_CHECKSUM_PARTIAL : 0;

		if (sctp->tag == flow->tag && take_flow(&flow->punt_at))
			flags |= HF_PUNT_PROVEN;
		return NAME(punt)(ctx, punt_reason(parts) | flags << 16, flow->session);
	}
	if (sctp->tag != flow->tag) {
		if (flow->flags & HF_FLOW_PENDING)
			return NAME(punt)(ctx, HF_PUNT_WRONG_TAG | (partial ? HF_PUNT_CHECKSUM_PARTIAL : 0) << 16,
					  flow->session);
		return NAME(drop)(HF_DROP_WRONG_TAG);
	}
	/* What an unverified address may not have goes to the one last heard, too. */
	reply = flow->flags & HF_FLOW_REPLY &&
		(!(parts & PART_PATH) || (flow->flags & HF_FLOW_HEARTBEAT_ONLY && parts & PART_NOT_HEARTBEAT));
	if (flow->flags & HF_FLOW_HEARTBEAT_ONLY && !reply) {
		__u32 flags = partial ? HF_PUNT_CHECKSUM_PARTIAL : 0;

		if (parts & PART_NOT_HEARTBEAT)
			return NAME(drop)(HF_DROP_UNVERIFIED_DESTINATION);
		/* The slow path knows whose turn it is. */
		if (take_flow(&flow->punt_at))
			flags |= HF_PUNT_PROVEN;
		return NAME(punt)(ctx, HF_PUNT_PROBE | flags << 16, flow->session);
	}
	if (ip->ttl <= 1)
		return NAME(punt)(ctx, HF_PUNT_TTL_EXPIRED | (HF_PUNT_PROVEN | partial) << 16, flow->session);
	slot = reply ? flow->reply_nexthop : flow->nexthop;
	nexthop = bpf_map_lookup_elem(&hf_nexthops, &slot);
#if HF_XDP
	if (!nexthop || (nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
		return NAME(defer)();
#else
	if (!nexthop || !(nexthop->flags & (HF_NEXTHOP_RESOLVED | HF_NEXTHOP_ROUTED)))
		return NAME(punt)(ctx, HF_PUNT_NO_NEXT_HOP | partial << 16, flow->session);
#endif
	if (total > nexthop->mtu && !NAME(segmented)(ctx))
		return NAME(punt_with_mtu)(ctx, HF_PUNT_TOO_BIG | (HF_PUNT_PROVEN | partial) << 16, flow->session,
					   nexthop->mtu);
	if (flow->flags & HF_FLOW_LEARN &&
	    !NAME(deliver)(ctx, HF_PUNT_LEARN | (HF_PUNT_COPY | HF_PUNT_PROVEN | partial) << 16, flow->session, 0))
		flow->flags &= ~HF_FLOW_LEARN;

	now = coarse_now();
	if (flow->last_seen != now) {
		flow->last_seen = now;
		note_source(mark4(ip->saddr), now);
	}
	use_nexthop(nexthop, now);
	flow->packets++;
	flow->bytes += total;
	ip->check = apply_delta(ip->check, reply ? flow->reply_checksum_delta : flow->checksum_delta);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = reply ? flow->reply_destination : flow->new_destination;
	if (flow->port_delta) {
		sctp->source_port = flow->new_source_port;
		sctp->destination_port = flow->new_destination_port;
		if (!partial)
			sctp->checksum ^= checksum_change(flow->port_delta, total - header);
	}
	return NAME(leave)(ctx, data, nexthop);
}
