/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP and UDP over IPv4 and IPv6: from the packet to the verdict. Included once per hook.
 */

/* No flow, or nothing that stacks send. */
__noinline int NAME(plain_other4)(CONTEXT *ctx, __u32 parts)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	struct hf_address address, source;
	struct udp_header *ports;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	map_address4(&address, ip->daddr);
	if (!bpf_map_lookup_elem(&hf_local, &address))
		return ACTION_PASS;
	if (parts >> 16)
		return NAME(drop)((parts >> 16) - 1);
	ports = data + IP_OFFSET + (*(__u8 *)ip & 15) * 4;
	if ((void *)(ports + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	map_address4(&source, ip->saddr);
	return NAME(plain_miss)(ctx, &address, &source, ports, parts);
}

__noinline int NAME(plain_other6)(CONTEXT *ctx, __u32 parts)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct hf_address address, source;
	__u32 offset = IP_OFFSET + sizeof(*ip);
	struct udp_header *ports;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	__builtin_memcpy(&address, &ip->daddr, 16);
	if (!bpf_map_lookup_elem(&hf_local, &address))
		return ACTION_PASS;
	if (parts >> 16)
		return NAME(drop)((parts >> 16) - 1);
	if (!is_plain(ip->nexthdr))
		offset = NAME(upper6)(ctx) & 0x3fff;
	ports = data + offset;
	if ((void *)(ports + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	__builtin_memcpy(&source, &ip->saddr, 16);
	return NAME(plain_miss)(ctx, &address, &source, ports, parts);
}

/* The packet is not a fragment, and its lengths fit the frame. */
__noinline int NAME(plain4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	struct hf_plain_head *other = 0;
	struct hf_nexthop *nexthop = 0;
	__u32 header, size, parts, claim = CLAIM_NONE;
	struct hf_flow4_key key = {};
	struct hf_plain4 *flow;
	struct plain_change change;
	struct tcp_header *tcp;
	bool news = false;
	int verdict;
	__u64 sum;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	header = (*(__u8 *)ip & 15) * 4;
	size = bpf_ntohs(ip->tot_len) - header;
	tcp = data + IP_OFFSET + header;
	parts = NAME(read_plain)(ctx, tcp, end, ip->protocol, size);
	if (parts >> 16 || is_syn(parts))
		return VERDICT_OTHER | parts;
	/* The verifier has forgotten: both are at least as long as a datagram's header. */
	if ((void *)tcp + sizeof(struct udp_header) > end || (parts & PLAIN_TCP && (void *)(tcp + 1) > end))
		return ACTION_PASS;
	sum = (__u64)ip->saddr + ip->daddr + NAME(pseudo_upper)(ip->protocol, size);
	if (NAME(plain_partial)(ctx, sum, parts & PLAIN_TCP ? tcp->checksum : ((struct udp_header *)tcp)->checksum)) {
#if HF_XDP
		return NAME(defer)();
#else
		parts |= PLAIN_PARTIAL;
#endif
	}
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = tcp->source_port;
	key.destination_port = tcp->destination_port;
	set_protocol(key, ip->protocol);
	flow = bpf_map_lookup_elem(&hf_plain4, &key);
	if (!flow)
		return VERDICT_OTHER | parts;
	if (parts & PLAIN_TCP && (parts & (TCP_FIN | TCP_RST) || flow->head.flags & HF_PLAIN_OPENING)) {
		struct hf_plain4 *reverse;

		NAME(quick_gather4)(&flow->head, key.source, key.destination, *(__u32 *)&key.source_port, 1);
		key.source = flow->new_destination;
		key.destination = flow->new_source;
		key.source_port = flow->head.new_destination_port;
		key.destination_port = flow->head.new_source_port;
		reverse = bpf_map_lookup_elem(&hf_plain4, &key);
		if (reverse) {
			other = &reverse->head;
			NAME(quick_gather4)(other, key.source, key.destination, *(__u32 *)&key.source_port, 1);
		}
		if (parts & (TCP_FIN | TCP_RST))
			claim = claim_of(&flow->head, other, tcp, size);
		else if (opens_plain(&flow->head, other, tcp, size))
			parts |= PLAIN_OPENS;
		news = claim == CLAIM_COUNTS && !(parts & TCP_FIN && flow->head.flags & HF_PLAIN_FIN &&
						  flow->head.fin_end == sequence_end(tcp, size));
	}
	verdict = NAME(decide_plain)(ctx, &flow->head, parts, claim, news, ip->ttl,
				     NAME(part_size)(ctx, size + header,
						     header + (parts & PLAIN_TCP ? (tcp->offset >> 4) * 4 :
										   sizeof(struct udp_header))),
				     &nexthop);
	if (!nexthop)
		return verdict;
	if (NAME(note_plain)(&flow->head, other, tcp, parts, claim, size, size + header, nexthop))
		note_source(mark4(ip->saddr), coarse_now());
	ip->check = apply_delta(ip->check, (__u32)flow->head.address_delta + TTL_DELTA);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = flow->new_destination;
	change = change_of(&flow->head);
	NAME(rewrite_plain)(ctx, &change, tcp, parts, IP_OFFSET + header);
	return NAME(leave)(ctx, data, nexthop);
}

/* As plain4; behind extension headers, too. */
__noinline int NAME(plain6)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct hf_plain_head *other = 0;
	struct hf_nexthop *nexthop = 0;
	__u32 offset = IP_OFFSET + sizeof(*ip), size, parts, claim = CLAIM_NONE;
	struct hf_flow6_key key = {};
	struct hf_plain6 *flow;
	struct plain_change change;
	struct tcp_header *tcp;
	bool news = false;
	int verdict;
	__u64 sum;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	key.protocol = ip->nexthdr;
	if (!is_plain(key.protocol)) {
		__u32 upper = NAME(upper6)(ctx);

		if (upper & (UPPER_REFUSED | UPPER_FRAGMENT))
			return ACTION_PASS;
		key.protocol = upper >> 16;
		offset = upper & 0x3fff;
	}
	size = IP_OFFSET + sizeof(*ip) + bpf_ntohs(ip->payload_len) - offset;
	tcp = data + offset;
	parts = NAME(read_plain)(ctx, tcp, end, key.protocol, size);
	if (parts >> 16 || is_syn(parts))
		return VERDICT_OTHER | parts;
	if ((void *)tcp + sizeof(struct udp_header) > end || (parts & PLAIN_TCP && (void *)(tcp + 1) > end))
		return ACTION_PASS;
	sum = NAME(words6)(ip) + NAME(pseudo_upper)(key.protocol, size);
	if (NAME(plain_partial)(ctx, sum, parts & PLAIN_TCP ? tcp->checksum : ((struct udp_header *)tcp)->checksum)) {
#if HF_XDP
		return NAME(defer)();
#else
		parts |= PLAIN_PARTIAL;
#endif
	}
	__builtin_memcpy(key.source, &ip->saddr, 16);
	__builtin_memcpy(key.destination, &ip->daddr, 16);
	key.source_port = tcp->source_port;
	key.destination_port = tcp->destination_port;
	flow = bpf_map_lookup_elem(&hf_plain6, &key);
	if (!flow)
		return VERDICT_OTHER | parts;
	/* Behind extension headers nothing is quick: what the packet says would stand in one of two places. */
	if (parts & PLAIN_TCP && offset != IP_OFFSET + sizeof(*ip))
		NAME(quick_gather6)(&flow->head, &key, 1);
	if (parts & PLAIN_TCP && (parts & (TCP_FIN | TCP_RST) || flow->head.flags & HF_PLAIN_OPENING)) {
		struct hf_plain6 *reverse;

		NAME(quick_gather6)(&flow->head, &key, 1);
		__builtin_memcpy(key.source, flow->new_destination, 16);
		__builtin_memcpy(key.destination, flow->new_source, 16);
		key.source_port = flow->head.new_destination_port;
		key.destination_port = flow->head.new_source_port;
		reverse = bpf_map_lookup_elem(&hf_plain6, &key);
		if (reverse) {
			other = &reverse->head;
			NAME(quick_gather6)(other, &key, 1);
		}
		if (parts & (TCP_FIN | TCP_RST))
			claim = claim_of(&flow->head, other, tcp, size);
		else if (opens_plain(&flow->head, other, tcp, size))
			parts |= PLAIN_OPENS;
		news = claim == CLAIM_COUNTS && !(parts & TCP_FIN && flow->head.flags & HF_PLAIN_FIN &&
						  flow->head.fin_end == sequence_end(tcp, size));
	}
	verdict = NAME(decide_plain)(ctx, &flow->head, parts, claim, news, ip->hop_limit,
				     NAME(part_size)(ctx, size + offset - IP_OFFSET,
						     offset - IP_OFFSET + (parts & PLAIN_TCP ? (tcp->offset >> 4) * 4 :
											       sizeof(struct udp_header))),
				     &nexthop);
	if (!nexthop)
		return verdict;
	if (NAME(note_plain)(&flow->head, other, tcp, parts, claim, size, size + offset - IP_OFFSET, nexthop))
		note_source(mark6(&ip->saddr), coarse_now());
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, flow->new_source, 16);
	__builtin_memcpy(&ip->daddr, flow->new_destination, 16);
	change = change_of(&flow->head);
	NAME(rewrite_plain)(ctx, &change, tcp, parts, offset);
	return NAME(leave)(ctx, data, nexthop);
}

static __always_inline int NAME(frame_plain4)(CONTEXT *ctx)
{
	int verdict = NAME(quick_plain4)(ctx);

	if (is_other(verdict)) {
		if (verdict & QUICK_NUMBER)
			NAME(quick_return_plain4)(verdict & QUICK_NUMBER, verdict & QUICK_TCP ? IPPROTO_TCP : IPPROTO_UDP);
		verdict = NAME(plain4)(ctx);
	}
	if (is_other(verdict) && is_syn(verdict & OTHER_PARTS))
		verdict = NAME(syn4)(ctx);
	return is_other(verdict) ? NAME(plain_other4)(ctx, verdict & OTHER_PARTS) : verdict;
}

static __always_inline int NAME(frame_plain6)(CONTEXT *ctx)
{
	int verdict = NAME(quick_plain6)(ctx);

	if (is_other(verdict)) {
		if (verdict & QUICK_NUMBER)
			NAME(quick_return_plain6)(verdict & QUICK_NUMBER, verdict & QUICK_TCP ? IPPROTO_TCP : IPPROTO_UDP);
		verdict = NAME(plain6)(ctx);
	}
	if (is_other(verdict) && is_syn(verdict & OTHER_PARTS))
		verdict = NAME(syn6)(ctx);
	return is_other(verdict) ? NAME(plain_other6)(ctx, verdict & OTHER_PARTS) : verdict;
}
