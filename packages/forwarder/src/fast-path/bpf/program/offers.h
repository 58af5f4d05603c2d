/* SPDX-License-Identifier: Apache-2.0
 *
 * SYNs that become connections without the slow path: docs/decisions/0541. Included once per hook.
 */

enum NAME(taking) {
	/* Nothing has happened: the SYN is the slow path's. */
	NAME(TAKES_NONE),
	/* Both directions are installed. */
	NAME(TAKES_ONE),
	/* XDP cannot send there. */
	NAME(TAKES_BY_TC),
};

static __always_inline struct hf_making *NAME(making)(void)
{
	__u32 zero = 0;
	struct hf_scratch *scratch = bpf_map_lookup_elem(&hf_scratch, &zero);

	return scratch ? (struct hf_making *)scratch->packet : 0;
}

/* The next offer, of the service and for the client that are written in `making`. `said`: by the SYN's
 * options; `bytes`: of the IP packet. What stands in its way is asked for before anything is taken.
 */
static __always_inline int NAME(next_offer)(struct hf_making *making, __u32 said, __u32 bytes, __u32 headers)
{
	__u32 zero = 0, list = port_list((const struct hf_address *)making->service.vip, making->service.port,
					 HF_PORT_SERVICE, IPPROTO_TCP);
	struct hf_state *state = bpf_map_lookup_elem(&hf_state, &zero);
	void *queue = bpf_map_lookup_elem(&hf_offers, &making->service);
	struct hf_nexthop *nexthop, *back;
	__u32 *way;

	if (!queue || !list || !state || !alive(state, bpf_ktime_get_ns()))
		return NAME(TAKES_NONE);
	if (source_refused((const struct hf_address *)making->way.client, list))
		return NAME(TAKES_NONE);
	way = bpf_map_lookup_elem(&hf_ways, &making->way);
	if (!way || bpf_map_peek_elem(queue, &making->offer))
		return NAME(TAKES_NONE);
	/* The daemon may be about to clear it away. */
	if (making->age > making->offer.reuse)
		return NAME(TAKES_NONE);
	making->back = *way;
	nexthop = nexthop_at(making->offer.nexthop);
	back = nexthop_at(making->back);
	if (!nexthop || !back || !ways_take(nexthop, back, said, bytes, headers))
		return NAME(TAKES_NONE);
#if HF_XDP
	if ((nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
		return NAME(TAKES_BY_TC);
#endif
	/* Another processor may have taken that one: this is the next. */
	return bpf_map_pop_elem(queue, &making->offer) ? NAME(TAKES_NONE) : NAME(TAKES_ONE);
}

static __always_inline void NAME(make_head)(struct hf_plain_head *head, const struct hf_making *making, __u32 flags,
					    __u32 first, __u32 said)
{
	head->flags = HF_PLAIN_HANDSHAKE | HF_PLAIN_AWAITING | HF_PLAIN_QUIET | flags;
	head->last_seen = coarse_now();
	head->sequence = first;
	head->scale = said & 15;
	head->session = making->offer.session;
}

static __always_inline __u32 NAME(port_delta)(__be16 old, __be16 next)
{
	return (__u16)~old + (__u32)next;
}

static __always_inline void NAME(deltas_of)(struct hf_plain_head *head, __u32 addresses, __be16 source,
					     __be16 destination)
{
	head->address_delta = fold(addresses);
	head->transport_delta = fold(addresses + NAME(port_delta)(source, head->new_source_port) +
				     NAME(port_delta)(destination, head->new_destination_port));
}

/* A SYN that has no flow, or that of a connection that is over and gives way. `offset`: of its TCP header in
 * the frame.
 */
__noinline int NAME(take_offer4)(CONTEXT *ctx, __u32 offset)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct hf_making *making = NAME(making)();
	struct hf_plain4 *old, *old_down = 0;
	struct iphdr *ip = data + IP_OFFSET;
	__be32 client, vip, endpoint, source;
	__be16 client_port, port;
	struct tcp_header *tcp;
	__u32 said, first;
	int taking;

	offset &= 0x3fff;
	if (!making || (void *)(ip + 1) > end)
		return NAME(TAKES_NONE);
	tcp = data + offset;
	if ((void *)(tcp + 1) > end || ip->ttl <= 1)
		return NAME(TAKES_NONE);
	client = ip->saddr;
	vip = ip->daddr;
	client_port = tcp->source_port;
	port = tcp->destination_port;
	first = bpf_ntohl(tcp->sequence) + 1;
	__builtin_memset(making, 0, sizeof(*making));
	map_address4((struct hf_address *)making->service.vip, vip);
	making->service.port = port;
	map_address4((struct hf_address *)making->way.vip, vip);
	map_address4((struct hf_address *)making->way.client, client);
	making->key4.source = client;
	making->key4.destination = vip;
	making->key4.source_port = client_port;
	making->key4.destination_port = port;
	making->key4.protocol = IPPROTO_TCP;
	old = bpf_map_lookup_elem(&hf_plain4, &making->key4);
	if (old) {
		making->reverse4.source = old->new_destination;
		making->reverse4.destination = old->new_source;
		making->reverse4.source_port = old->head.new_destination_port;
		making->reverse4.destination_port = old->head.new_source_port;
		making->reverse4.protocol = IPPROTO_TCP;
		old_down = bpf_map_lookup_elem(&hf_plain4, &making->reverse4);
		if (!old_down || !gives_way(&old->head, &old_down->head, first, &making->age))
			return NAME(TAKES_NONE);
	}
	said = NAME(syn_options)(ctx, offset);
	taking = NAME(next_offer)(making, said, bpf_ntohs(ip->tot_len), sizeof(*ip) + sizeof(*tcp));
	if (taking != NAME(TAKES_ONE))
		return taking;
	__builtin_memcpy(&endpoint, making->offer.endpoint, 4);
	__builtin_memcpy(&source, making->offer.source, 4);
	making->key4.source = endpoint;
	making->key4.destination = source;
	making->key4.source_port = making->offer.endpoint_port;
	making->key4.destination_port = making->offer.nat_port;
	making->key4.protocol = IPPROTO_TCP;
	NAME(make_head)(&making->flow4.head, making, HF_PLAIN_DOWN | HF_PLAIN_ASSURED | HF_PLAIN_MADE, first, said);
	making->flow4.new_source = vip;
	making->flow4.new_destination = client;
	making->flow4.head.new_source_port = port;
	making->flow4.head.new_destination_port = client_port;
	making->flow4.head.nexthop = making->back;
	NAME(deltas_of)(&making->flow4.head, number_delta(endpoint, vip) + number_delta(source, client),
			making->offer.endpoint_port, making->offer.nat_port);
	if (bpf_map_update_elem(&hf_plain4, &making->key4, &making->flow4, BPF_NOEXIST))
		return NAME(TAKES_NONE);
	making->reverse4 = making->key4;
	making->key4.source = client;
	making->key4.destination = vip;
	making->key4.source_port = client_port;
	making->key4.destination_port = port;
	__builtin_memset(&making->flow4, 0, sizeof(making->flow4));
	NAME(make_head)(&making->flow4.head, making, 0, first, said);
	making->flow4.new_source = source;
	making->flow4.new_destination = endpoint;
	making->flow4.head.new_source_port = making->offer.nat_port;
	making->flow4.head.new_destination_port = making->offer.endpoint_port;
	making->flow4.head.nexthop = making->offer.nexthop;
	NAME(deltas_of)(&making->flow4.head, number_delta(client, source) + number_delta(vip, endpoint), client_port,
			port);
	/* Of several processors one takes it away. */
	if (old && old_down && !bpf_map_delete_elem(&hf_plain4, &making->key4))
		retire(&old->head, &old_down->head);
	if (bpf_map_update_elem(&hf_plain4, &making->key4, &making->flow4, BPF_NOEXIST)) {
		bpf_map_delete_elem(&hf_plain4, &making->reverse4);
		return NAME(TAKES_NONE);
	}
	count(HF_COUNTER_EVENT + HF_EVENT_OFFER_TAKEN);
	return NAME(TAKES_ONE);
}

static __always_inline __u32 NAME(address_delta6)(const void *old, const void *next)
{
	const __u32 *a = old, *b = next;
	__u32 sum = 0;

	for (int i = 0; i < 4; i++)
		sum += number_delta(a[i], b[i]);
	return sum;
}

/* As take_offer4. */
__noinline int NAME(take_offer6)(CONTEXT *ctx, __u32 offset)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct hf_making *making = NAME(making)();
	struct hf_plain6 *old, *old_down = 0;
	struct ipv6hdr *ip = data + IP_OFFSET;
	__be16 client_port, port;
	struct tcp_header *tcp;
	__u32 said, first;
	int taking;

	offset &= 0x3fff;
	if (!making || (void *)(ip + 1) > end)
		return NAME(TAKES_NONE);
	tcp = data + offset;
	if ((void *)(tcp + 1) > end || ip->hop_limit <= 1)
		return NAME(TAKES_NONE);
	client_port = tcp->source_port;
	port = tcp->destination_port;
	first = bpf_ntohl(tcp->sequence) + 1;
	__builtin_memset(making, 0, sizeof(*making));
	__builtin_memcpy(making->service.vip, &ip->daddr, 16);
	making->service.port = port;
	__builtin_memcpy(making->way.vip, &ip->daddr, 16);
	__builtin_memcpy(making->way.client, &ip->saddr, 16);
	__builtin_memcpy(making->key6.source, making->way.client, 16);
	__builtin_memcpy(making->key6.destination, making->way.vip, 16);
	making->key6.source_port = client_port;
	making->key6.destination_port = port;
	making->key6.protocol = IPPROTO_TCP;
	old = bpf_map_lookup_elem(&hf_plain6, &making->key6);
	if (old) {
		__builtin_memcpy(making->reverse6.source, old->new_destination, 16);
		__builtin_memcpy(making->reverse6.destination, old->new_source, 16);
		making->reverse6.source_port = old->head.new_destination_port;
		making->reverse6.destination_port = old->head.new_source_port;
		making->reverse6.protocol = IPPROTO_TCP;
		old_down = bpf_map_lookup_elem(&hf_plain6, &making->reverse6);
		if (!old_down || !gives_way(&old->head, &old_down->head, first, &making->age))
			return NAME(TAKES_NONE);
	}
	said = NAME(syn_options)(ctx, offset);
	taking = NAME(next_offer)(making, said, sizeof(*ip) + bpf_ntohs(ip->payload_len), sizeof(*ip) + sizeof(*tcp));
	if (taking != NAME(TAKES_ONE))
		return taking;
	__builtin_memcpy(making->key6.source, making->offer.endpoint, 16);
	__builtin_memcpy(making->key6.destination, making->offer.source, 16);
	making->key6.source_port = making->offer.endpoint_port;
	making->key6.destination_port = making->offer.nat_port;
	making->key6.protocol = IPPROTO_TCP;
	NAME(make_head)(&making->flow6.head, making, HF_PLAIN_DOWN | HF_PLAIN_ASSURED | HF_PLAIN_MADE, first, said);
	__builtin_memcpy(making->flow6.new_source, making->way.vip, 16);
	__builtin_memcpy(making->flow6.new_destination, making->way.client, 16);
	making->flow6.head.new_source_port = port;
	making->flow6.head.new_destination_port = client_port;
	making->flow6.head.nexthop = making->back;
	NAME(deltas_of)(&making->flow6.head,
			NAME(address_delta6)(making->offer.endpoint, making->way.vip) +
				NAME(address_delta6)(making->offer.source, making->way.client),
			making->offer.endpoint_port, making->offer.nat_port);
	if (bpf_map_update_elem(&hf_plain6, &making->key6, &making->flow6, BPF_NOEXIST))
		return NAME(TAKES_NONE);
	making->reverse6 = making->key6;
	__builtin_memcpy(making->key6.source, making->way.client, 16);
	__builtin_memcpy(making->key6.destination, making->way.vip, 16);
	making->key6.source_port = client_port;
	making->key6.destination_port = port;
	__builtin_memset(&making->flow6, 0, sizeof(making->flow6));
	NAME(make_head)(&making->flow6.head, making, 0, first, said);
	__builtin_memcpy(making->flow6.new_source, making->offer.source, 16);
	__builtin_memcpy(making->flow6.new_destination, making->offer.endpoint, 16);
	making->flow6.head.new_source_port = making->offer.nat_port;
	making->flow6.head.new_destination_port = making->offer.endpoint_port;
	making->flow6.head.nexthop = making->offer.nexthop;
	NAME(deltas_of)(&making->flow6.head,
			NAME(address_delta6)(making->way.client, making->offer.source) +
				NAME(address_delta6)(making->way.vip, making->offer.endpoint),
			client_port, port);
	if (old && old_down && !bpf_map_delete_elem(&hf_plain6, &making->key6))
		retire(&old->head, &old_down->head);
	if (bpf_map_update_elem(&hf_plain6, &making->key6, &making->flow6, BPF_NOEXIST)) {
		bpf_map_delete_elem(&hf_plain6, &making->reverse6);
		return NAME(TAKES_NONE);
	}
	count(HF_COUNTER_EVENT + HF_EVENT_OFFER_TAKEN);
	return NAME(TAKES_ONE);
}
