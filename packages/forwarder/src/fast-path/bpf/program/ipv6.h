/* SPDX-License-Identifier: Apache-2.0
 *
 * IPv6: the fast path proper, and what is not for it. Included once per hook.
 */

/* No flow matches, or it is not plain SCTP. `upper` as upper6 returns it. */
__noinline int NAME(other6)(CONTEXT *ctx, __u32 upper)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	__u32 offset, total, parts, detail, protocol, list;
	struct hf_address address;
	struct sctp_header *sctp;
	struct hf_local *local;
	__u8 *type;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	protocol = (upper >> 16) & 0xff;
	offset = upper & 0xffff;
	/* Solicitations go to a multicast address: the target says whether they are ours. */
	if (protocol == IPPROTO_ICMPV6 && !(upper & (UPPER_REFUSED | UPPER_FRAGMENT)) &&
	    offset == IP_OFFSET + sizeof(*ip)) {
		type = (void *)(ip + 1);
		if ((void *)type + ND_SIZE_LEAST <= end && bpf_ntohs(ip->payload_len) >= ND_SIZE_LEAST &&
		    (*type == ICMP6_SOLICITATION || *type == ICMP6_ADVERTISEMENT))
			return NAME(neighbour)(ctx);
	}
	__builtin_memcpy(&address, &ip->daddr, 16);
	local = bpf_map_lookup_elem(&hf_local, &address);
	if (!local)
		return ACTION_PASS;
	if (upper & UPPER_REFUSED)
		return NAME(drop)(upper & 63);
	if (upper & UPPER_FRAGMENT)
		return NAME(fragment)(ctx, mark6(&ip->saddr));
	total = IP_OFFSET + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (protocol == IPPROTO_ICMPV6)
		return NAME(icmp6)(ctx, offset, total - offset);
	if (protocol != IPPROTO_SCTP_NUMBER)
		return NAME(drop)(HF_DROP_NOT_SCTP);
	if (total < offset + sizeof(*sctp))
		return NAME(drop)(HF_DROP_PACKET_TOO_SHORT);
	if (offset > 0x3fff)
		return NAME(drop)(HF_DROP_UNREADABLE);
	sctp = data + offset;
	if ((void *)(sctp + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (!sctp->source_port || !sctp->destination_port)
		return NAME(drop)(HF_DROP_PORT_ZERO);
#if HF_XDP
	if (!sctp->checksum)
		return NAME(defer)();
#endif
	detail = NAME(checksum_partial)(ctx, sctp->checksum) ? HF_PUNT_CHECKSUM_PARTIAL << 16 : 0;
	parts = NAME(walk)(ctx, sctp, offset + sizeof(*sctp), total);
	if (parts >> 16)
		return NAME(drop)((parts >> 16) - 1);
	detail |= punt_reason(parts);
	list = port_list(&address, sctp->destination_port, HF_PORT_SERVICE, IPPROTO_SCTP_NUMBER);
	__builtin_memcpy(&address, &ip->saddr, 16);
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

__noinline int NAME(forward6)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	__u32 offset = IP_OFFSET + sizeof(*ip), total, parts, now, upper;
	struct hf_nexthop *nexthop = 0;
	struct sctp_header *sctp;
	struct hf_flow6_key key = {};
	struct hf_flow6 *flow;
	bool reply;
	int verdict;

	if ((void *)(ip + 1) > end || *(__u8 *)ip >> 4 != 6)
		return ACTION_PASS;
	total = offset + bpf_ntohs(ip->payload_len);
	upper = offset | (__u32)ip->nexthdr << 16;
	if (ip->nexthdr != IPPROTO_SCTP_NUMBER || total > NAME(frame_length)(ctx)) {
		upper = NAME(upper6)(ctx);
		if (!(upper & (UPPER_REFUSED | UPPER_FRAGMENT)) && is_plain(upper >> 16))
			return VERDICT_PLAIN;
		if (upper & (UPPER_REFUSED | UPPER_FRAGMENT) || upper >> 16 != IPPROTO_SCTP_NUMBER)
			return NAME(other6)(ctx, upper);
		offset = upper & 0xffff;
	}
	if (offset > 0x3fff || total < offset + sizeof(*sctp))
		return NAME(other6)(ctx, upper);
	sctp = data + offset;
	if ((void *)(sctp + 1) > end)
		return NAME(other6)(ctx, upper);
	__builtin_memcpy(key.source, &ip->saddr, 16);
	__builtin_memcpy(key.destination, &ip->daddr, 16);
	key.source_port = sctp->source_port;
	key.destination_port = sctp->destination_port;
	set_protocol(key, IPPROTO_SCTP_NUMBER);
	flow = bpf_map_lookup_elem(&hf_flows6, &key);
	if (!flow)
		return NAME(other6)(ctx, upper);
#if HF_XDP
	if (!sctp->checksum)
		return NAME(defer)();
#endif
	parts = NAME(checksum_partial)(ctx, sctp->checksum) ? PART_PARTIAL : 0;
	parts |= NAME(walk)(ctx, sctp, offset + sizeof(*sctp), total);
	verdict = NAME(decide)(ctx, &flow->head, sctp->tag, parts, ip->hop_limit, total - IP_OFFSET, &nexthop);
	if (!nexthop)
		return verdict;
	now = coarse_now();
	if (NAME(note_packet)(&flow->head, nexthop, now, total - IP_OFFSET))
		note_source(mark6(&ip->saddr), now);
	/* Not earlier: registers are few. */
	reply = NAME(is_reply)(&flow->head, parts);
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, flow->new_source, 16);
	__builtin_memcpy(&ip->daddr, reply ? flow->reply_destination : flow->new_destination, 16);
	NAME(rewrite_ports)(&flow->head, sctp, NAME(is_partial)(parts),
			    IP_OFFSET + sizeof(*ip) + bpf_ntohs(ip->payload_len) - offset);
	return NAME(leave)(ctx, (void *)ip - IP_OFFSET, nexthop);
}
