/* SPDX-License-Identifier: Apache-2.0
 *
 * IPv4: the fast path proper, and what is not for it. Included once per hook.
 */

/* No flow matches, or it is not plain SCTP. */
__noinline int NAME(other4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	__u32 header, total, parts, detail, list;
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
	list = port_list(&address, sctp->destination_port, HF_PORT_SERVICE, IPPROTO_SCTP_NUMBER);
	map_address4(&address, ip->saddr);
	if (!list) {
		if (port_known(&address, sctp->source_port, HF_PORT_ENDPOINT, IPPROTO_SCTP_NUMBER)) {
			if (parts & PART_INIT_ACK)
				detail |= HF_PUNT_PROVEN << 16;
		} else if (punt_reason(parts) != HF_PUNT_INIT_ACK && !endpoint_port(&address, sctp->source_port)) {
			return NAME(drop)(HF_DROP_PORT_NOT_SERVED);
		}
	} else if (parts & PART_INIT && source_refused(&address, list) &&
		   !port_known(&address, sctp->source_port, HF_PORT_ENDPOINT, IPPROTO_SCTP_NUMBER)) {
		/* What an endpoint begins is the slow path's business: it is no client. */
		return NAME(drop)(HF_DROP_SOURCE_NOT_ALLOWED);
	}
	return NAME(punt)(ctx, detail, 0);
}

static __always_inline int NAME(forward4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	__u32 header, total, parts, now;
	struct hf_nexthop *nexthop = 0;
	struct sctp_header *sctp;
	struct hf_flow4_key key = {};
	struct hf_quick4 *quick;
	struct hf_flow4 *flow;
	bool reply;
	int verdict;

	if ((void *)(ip + 1) > end || *(__u8 *)ip >> 4 != 4)
		return ACTION_PASS;
	header = (*(__u8 *)ip & 15) * 4;
	total = bpf_ntohs(ip->tot_len);
	if (ip->protocol != IPPROTO_SCTP_NUMBER || ip->frag_off & FRAGMENT_MASK || header < sizeof(*ip) ||
	    total < header + sizeof(*sctp)) {
		if (is_plain(ip->protocol) && !(ip->frag_off & FRAGMENT_MASK) && header >= sizeof(*ip) &&
		    total >= header &&
		    (data + IP_OFFSET + total <= end || total + IP_OFFSET <= NAME(frame_length)(ctx)))
			return NAME(frame_plain4)(ctx);
		return NAME(other4)(ctx);
	}
	if (data + IP_OFFSET + total > end && total + IP_OFFSET > NAME(frame_length)(ctx))
		return NAME(other4)(ctx);
	sctp = data + IP_OFFSET + header;
	if ((void *)(sctp + 1) > end)
		return NAME(other4)(ctx);
	quick = NAME(quick_find4)(ip->saddr, ip->daddr, *(__u32 *)sctp, HF_QUICK_KIND_SCTP4, 0);
	if (quick) {
		nexthop = NAME(quick4)(ctx, quick, ip, sctp, header, total);
		if (nexthop)
			return NAME(leave)(ctx, data, nexthop);
	}
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = sctp->source_port;
	key.destination_port = sctp->destination_port;
	set_protocol(key, IPPROTO_SCTP_NUMBER);
	flow = bpf_map_lookup_elem(&hf_flows4, &key);
	if (!flow)
		return NAME(other4)(ctx);
	if (quick)
		NAME(quick_fold)(&quick->counts, &flow->head);
#if HF_XDP
	if (!sctp->checksum)
		return NAME(defer)();
#endif
	parts = NAME(checksum_partial)(ctx, sctp->checksum) ? PART_PARTIAL : 0;
	parts |= NAME(walk)(ctx, sctp, IP_OFFSET + header + sizeof(*sctp), IP_OFFSET + total);
	verdict = NAME(decide)(ctx, &flow->head, sctp->tag, parts, ip->ttl, total, &nexthop);
	if (!nexthop)
		return verdict;
	now = coarse_now();
	if (NAME(note_packet)(&flow->head, nexthop, now, total))
		note_source(mark4(ip->saddr), now);
	/* Not earlier: registers are few. */
	reply = NAME(is_reply)(&flow->head, parts);
	ip->check = apply_delta(ip->check, reply ? flow->reply_checksum_delta : flow->checksum_delta);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = reply ? flow->reply_destination : flow->new_destination;
	NAME(rewrite_ports)(&flow->head, sctp, NAME(is_partial)(parts), total - header);
	return NAME(leave)(ctx, data, nexthop);
}
