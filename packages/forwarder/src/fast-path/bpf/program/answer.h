/* SPDX-License-Identifier: Apache-2.0
 *
 * ARP, neighbour solicitations and pings for VIPs: answered here while this member owns the VIP and its daemon shows
 * signs of life, or nobody else could own the VIP (docs/decisions/0591), and never given to the kernel, which would
 * answer for ever. Included once per hook.
 */

/* May this member answer for the VIP now? */
static __always_inline bool NAME(answers)(const struct hf_local *local)
{
	__u32 zero = 0;
	struct hf_state *state = bpf_map_lookup_elem(&hf_state, &zero);

	if (!state || !(local->flags & HF_LOCAL_OWNED))
		return false;
	return (local->flags & HF_LOCAL_LONE) || alive(state, bpf_ktime_get_ns());
}

static __always_inline struct hf_interface *NAME(own_interface)(CONTEXT *ctx)
{
	__u32 ifindex = NAME(ingress)(ctx), slot = ifindex % HF_INTERFACE_SLOT_COUNT;
	struct hf_interface *interface = bpf_map_lookup_elem(&hf_interfaces, &slot);

	return interface && interface->ifindex == ifindex ? interface : 0;
}

#if HF_XDP
/* Whether an answer can leave by the interface that the question came in by; else the TC program answers. */
static __always_inline bool NAME(may_reflect)(CONTEXT *ctx)
{
	struct hf_interface *interface = NAME(own_interface)(ctx);

	return interface && interface->flags & HF_INTERFACE_XDP;
}
#endif

__noinline int NAME(arp)(CONTEXT *ctx)
{
	struct arp_frame *frame = NAME(start)(ctx);
	struct hf_address address = {};
	struct hf_interface *interface;
	struct hf_local *local;
	__be32 sender, target;

	if ((void *)(frame + 1) > NAME(end)(ctx))
		return ACTION_PASS;
	if (frame->hardware_type != bpf_htons(1) || frame->protocol_type != bpf_htons(ETH_P_IP) ||
	    frame->hardware_size != 6 || frame->protocol_size != 4)
		return ACTION_PASS;
	__builtin_memcpy(&sender, frame->sender, 4);
	__builtin_memcpy(&target, frame->target, 4);
	/* RFC 826 replies and gratuitous ARP speak for the sender, requests ask for the target. */
	map_address4(&address, frame->operation == bpf_htons(ARP_REQUEST) ? target : sender);
	local = bpf_map_lookup_elem(&hf_local, &address);
	if (!local)
		return ACTION_PASS;
	if (frame->operation != bpf_htons(ARP_REQUEST) || sender == target)
		return NAME(drop)(HF_DROP_FOREIGN_CLAIM);
	interface = NAME(own_interface)(ctx);
	if (!interface || !NAME(answers)(local))
		return NAME(drop)(HF_DROP_NOT_OWNED);
#if HF_XDP
	if (!NAME(may_reflect)(ctx))
		return NAME(defer)();
#endif
	__builtin_memcpy(frame->eth.h_dest, frame->sender_mac, 6);
	__builtin_memcpy(frame->eth.h_source, interface->mac, 6);
	frame->operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(frame->target_mac, frame->sender_mac, 6);
	__builtin_memcpy(frame->target, &sender, 4);
	__builtin_memcpy(frame->sender_mac, interface->mac, 6);
	__builtin_memcpy(frame->sender, &target, 4);
	count(HF_COUNTER_EVENT + HF_EVENT_ANSWER_ARP);
	return NAME(reflect)(ctx);
}

static __always_inline void NAME(turn_round)(struct ethhdr *eth)
{
	__u8 mac[6];

	__builtin_memcpy(mac, eth->h_dest, 6);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
}

/* The detail of an ICMP error's punt: proven when it quotes the tag of an association in force (RFC 5927 §4.1 in spirit). The
 * quoted packet is one that we sent, so its way back is the flow of the other direction. `offset` is the quotation's.
 */
__noinline __u32 NAME(quoted4)(CONTEXT *ctx, __u32 offset)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct sctp_header *sctp;
	struct hf_flow4_key key = {};
	struct hf_plain4 *plain;
	struct hf_flow4 *flow;
	struct iphdr *ip;

	offset &= 0x7f;
	ip = data + offset;
	if ((void *)(ip + 1) > end)
		return HF_PUNT_ICMP;
	if (*(__u8 *)ip != 0x45 || (ip->protocol != IPPROTO_SCTP_NUMBER && !is_plain(ip->protocol)))
		return HF_PUNT_ICMP;
	sctp = (void *)(ip + 1);
	if ((void *)&sctp->checksum > end)
		return HF_PUNT_ICMP;
	key.source = ip->daddr;
	key.destination = ip->saddr;
	key.source_port = sctp->destination_port;
	key.destination_port = sctp->source_port;
	set_protocol(key, ip->protocol);
	if (is_plain(key.protocol)) {
		plain = bpf_map_lookup_elem(&hf_plain4, &key);
		if (plain && key.protocol == IPPROTO_TCP)
			NAME(quick_gather4)(&plain->head, key.source, key.destination, *(__u32 *)&key.source_port, 0);
		if (!plain || !quotes_plain(&plain->head, key.protocol, sctp->tag) || !take_flow(&plain->head.punt_at))
			return HF_PUNT_ICMP;
		return HF_PUNT_ICMP | HF_PUNT_PROVEN << 16;
	}
	flow = bpf_map_lookup_elem(&hf_flows4, &key);
	if (!flow || flow->head.peer_tag != sctp->tag >> 16 || !take_flow(&flow->head.punt_at))
		return HF_PUNT_ICMP;
	return HF_PUNT_ICMP | HF_PUNT_PROVEN << 16;
}

__noinline __u32 NAME(quoted6)(CONTEXT *ctx, __u32 offset)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct sctp_header *sctp;
	struct hf_flow6_key key = {};
	struct hf_plain6 *plain;
	struct hf_flow6 *flow;
	struct ipv6hdr *ip;

	offset &= 0x3fff;
	ip = data + offset;
	if ((void *)(ip + 1) > end)
		return HF_PUNT_ICMP;
	if (ip->nexthdr != IPPROTO_SCTP_NUMBER && !is_plain(ip->nexthdr))
		return HF_PUNT_ICMP;
	sctp = (void *)(ip + 1);
	if ((void *)&sctp->checksum > end)
		return HF_PUNT_ICMP;
	__builtin_memcpy(key.source, &ip->daddr, 16);
	__builtin_memcpy(key.destination, &ip->saddr, 16);
	key.source_port = sctp->destination_port;
	key.destination_port = sctp->source_port;
	set_protocol(key, ip->nexthdr);
	if (is_plain(key.protocol)) {
		plain = bpf_map_lookup_elem(&hf_plain6, &key);
		if (plain && key.protocol == IPPROTO_TCP)
			NAME(quick_gather6)(&plain->head, &key, 0);
		if (!plain || !quotes_plain(&plain->head, key.protocol, sctp->tag) || !take_flow(&plain->head.punt_at))
			return HF_PUNT_ICMP;
		return HF_PUNT_ICMP | HF_PUNT_PROVEN << 16;
	}
	flow = bpf_map_lookup_elem(&hf_flows6, &key);
	if (!flow || flow->head.peer_tag != sctp->tag >> 16 || !take_flow(&flow->head.punt_at))
		return HF_PUNT_ICMP;
	return HF_PUNT_ICMP | HF_PUNT_PROVEN << 16;
}

/* ICMP to a local address; `header` and `total` have been checked against the frame. */
__noinline int NAME(icmp4)(CONTEXT *ctx, __u32 header, __u32 total)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ethhdr *eth = data;
	struct iphdr *ip = data + IP_OFFSET;
	struct hf_address address = {};
	struct icmp_header *icmp;
	struct hf_local *local;
	__be32 swap;
	__u16 old;

	/* A bound that the verifier sees: no header is longer. */
	header &= 63;
	if ((void *)(ip + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (total - header < sizeof(*icmp))
		return NAME(drop)(HF_DROP_PACKET_TOO_SHORT);
	icmp = data + IP_OFFSET + header;
	if ((void *)(icmp + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED || icmp->type == ICMP_PARAMETER_PROBLEM)
		return NAME(punt)(ctx, NAME(quoted4)(ctx, IP_OFFSET + header + sizeof(*icmp)), 0);
	if (icmp->type != ICMP_ECHO_REQUEST)
		return NAME(drop)(HF_DROP_ICMP_OTHER);
	map_address4(&address, ip->daddr);
	local = bpf_map_lookup_elem(&hf_local, &address);
	if (!local || !NAME(answers)(local))
		return NAME(drop)(HF_DROP_NOT_OWNED);
#if HF_XDP
	if (!NAME(may_reflect)(ctx))
		return NAME(defer)();
#endif
	NAME(turn_round)(eth);
	swap = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = swap;
	old = ip->ttl;
	ip->ttl = ANSWER_HOP_LIMIT;
	ip->check = apply_delta(ip->check, (0xffff - old) + ANSWER_HOP_LIMIT);
	old = icmp->type | icmp->code << 8;
	icmp->type = 0;
	icmp->checksum = apply_delta(icmp->checksum, (0xffff - old) + (icmp->code << 8));
	count(HF_COUNTER_EVENT + HF_EVENT_ANSWER_ECHO);
	return NAME(reflect)(ctx);
}

/* A neighbour solicitation or advertisement. Others than those for VIPs are the kernel's. */
__noinline int NAME(neighbour)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct nd_message *message = (void *)(ip + 1);
	struct hf_interface *interface;
	struct hf_address address;
	struct hf_local *local;
	__u32 payload;
	__s64 sum;

	if ((void *)message + ND_SIZE_LEAST > end)
		return ACTION_PASS;
	__builtin_memcpy(&address, message->target, 16);
	local = bpf_map_lookup_elem(&hf_local, &address);
	if (!local) {
		/* About somebody else, and yet sent to a VIP: no business of the kernel's. */
		__builtin_memcpy(&address, &ip->daddr, 16);
		if (bpf_map_lookup_elem(&hf_local, &address))
			return NAME(drop)(HF_DROP_ICMP_OTHER);
		return ACTION_PASS;
	}
	payload = bpf_ntohs(ip->payload_len);
	if (ip->hop_limit != 255 || message->code != 0)
		return NAME(drop)(HF_DROP_ICMP_OTHER);
	if (message->type == ICMP6_ADVERTISEMENT)
		return NAME(drop)(HF_DROP_FOREIGN_CLAIM);
	interface = NAME(own_interface)(ctx);
	if (!interface || !NAME(answers)(local))
		return NAME(drop)(HF_DROP_NOT_OWNED);
	/* Duplicate address detection, or no address to answer to: the daemon's, which has room for the option. */
	if (payload < sizeof(*message) || (void *)(message + 1) > end || message->option_type != ND_OPTION_SOURCE ||
	    message->option_size != 1)
		return NAME(punt)(ctx, HF_PUNT_NDP, 0);
#if HF_XDP
	if (!NAME(may_reflect)(ctx))
		return NAME(defer)();
#endif
	__builtin_memcpy(eth->h_dest, message->mac, 6);
	__builtin_memcpy(eth->h_source, interface->mac, 6);
	__builtin_memcpy(&ip->daddr, &ip->saddr, 16);
	__builtin_memcpy(&ip->saddr, &address, 16);
	ip->payload_len = bpf_htons(sizeof(*message));
	message->type = ICMP6_ADVERTISEMENT;
	message->checksum = 0;
	message->flags = ND_SOLICITED_OVERRIDE;
	message->option_type = ND_OPTION_TARGET;
	__builtin_memcpy(message->mac, interface->mac, 6);
	/* The pseudo header (RFC 8200 §8.1) is the addresses, which stand before the message, the length and the protocol. */
	sum = bpf_csum_diff(0, 0, (__be32 *)&ip->saddr, 2 * sizeof(ip->saddr) + sizeof(*message),
			    bpf_htonl(sizeof(*message)) + bpf_htonl(IPPROTO_ICMPV6));
	message->checksum = ~fold((__u32)sum);
	count(HF_COUNTER_EVENT + HF_EVENT_ANSWER_NEIGHBOUR);
	return NAME(reflect)(ctx);
}

/* ICMPv6 to a local address, other than neighbour discovery; `offset` is the frame's, `size` the message's. */
__noinline int NAME(icmp6)(CONTEXT *ctx, __u32 offset, __u32 size)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct hf_address address, swap;
	struct icmp_header *icmp;
	struct hf_local *local;
	__u16 old;

	if (size < sizeof(*icmp))
		return NAME(drop)(HF_DROP_PACKET_TOO_SHORT);
	if (offset > 0x3fff || (void *)(ip + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	icmp = data + offset;
	if ((void *)(icmp + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (icmp->type >= 1 && icmp->type <= ICMP6_ERROR_MAX)
		return NAME(punt)(ctx, NAME(quoted6)(ctx, offset + sizeof(*icmp)), 0);
	if (icmp->type != ICMP6_ECHO_REQUEST)
		return NAME(drop)(HF_DROP_ICMP_OTHER);
	__builtin_memcpy(&address, &ip->daddr, 16);
	local = bpf_map_lookup_elem(&hf_local, &address);
	if (!local || !NAME(answers)(local))
		return NAME(drop)(HF_DROP_NOT_OWNED);
#if HF_XDP
	if (!NAME(may_reflect)(ctx))
		return NAME(defer)();
#endif
	NAME(turn_round)(eth);
	__builtin_memcpy(&swap, &ip->saddr, 16);
	__builtin_memcpy(&ip->saddr, &address, 16);
	__builtin_memcpy(&ip->daddr, &swap, 16);
	ip->hop_limit = ANSWER_HOP_LIMIT;
	old = icmp->type | icmp->code << 8;
	icmp->type = ICMP6_ECHO_REPLY;
	icmp->checksum = apply_delta(icmp->checksum, (0xffff - old) + (ICMP6_ECHO_REPLY | icmp->code << 8));
	count(HF_COUNTER_EVENT + HF_EVENT_ANSWER_ECHO);
	return NAME(reflect)(ctx);
}
