/* SPDX-License-Identifier: Apache-2.0
 *
 * Quick flows of TCP and UDP: packets that neither begin nor end a connection. Included once per hook.
 */

/* As note_tcp, of such a packet. true: it is believed. */
static __always_inline bool NAME(quick_note_tcp)(struct hf_quick_plain *plain, struct hf_quick_tcp *state,
						 const struct tcp_header *tcp, __u32 size)
{
	__u32 window = 0xffffU << (state->scale & 15), end = sequence_end(tcp, size);
	__u32 acknowledged = bpf_ntohl(tcp->acknowledgment);

	if (plain->flags & HF_PLAIN_DOWN)
		acknowledged -= state->shift;
	if (plain->flags & HF_PLAIN_EDGES &&
	    !(near_number(end, state->sequence, window) && near_number(acknowledged, state->acknowledged, window)) &&
	    state->strange + 1 < HF_STRANGE_COUNT_MAX) {
		state->strange++;
		return false;
	}
	state->sequence = end;
	state->acknowledged = acknowledged;
	if (state->strange)
		state->strange = 0;
	if (!(plain->flags & HF_PLAIN_EDGES))
		plain->flags |= HF_PLAIN_EDGES;
	return true;
}

/* What is known of the packet, beside its flow. */
struct NAME(quick_packet) {
	/* Of segment or datagram, `offset` bytes into the frame. */
	void *start;
	__u32 offset;
	__u32 parts;
	__u32 size;
	/* Of the IP packet, and of the largest one that leaves. */
	__u32 bytes;
	__u32 largest;
	__u8 hop_limit;
};

/* The next hop for a packet that needs nothing but to be passed on, which is counted; none: nothing has
 * happened. `news`: its source is worth a note.
 */
static __always_inline struct hf_nexthop *NAME(quick_take_plain)(CONTEXT *ctx, const struct NAME(quick_packet) *packet,
								 struct hf_quick_plain *plain, struct hf_quick_tcp *tcp,
								 struct hf_quick_counts *counts, bool *news)
{
	__u32 now = coarse_now(), since = counts->last_seen ^ now;
	bool known = plain->flags & HF_PLAIN_EDGES, believed = true;
	struct hf_nexthop *nexthop;

	if (tcp->stopped || packet->hop_limit <= 1 || NAME(quick_is_due)(counts, now))
		return 0;
	nexthop = NAME(quick_nexthop)(ctx, plain->nexthop, 0);
	if (!nexthop || packet->largest > nexthop->mtu)
		return 0;
	if (packet->parts & PLAIN_TCP)
		believed = NAME(quick_note_tcp)(plain, tcp, packet->start, packet->size);
	*news = believed && (packet->parts & PLAIN_TCP ? known : plain->flags & HF_PLAIN_ASSURED) &&
		(!counts->packets || since >> HF_SOURCE_NOTE_SHIFT);
	if (believed && since)
		counts->last_seen = now;
	use_nexthop(nexthop, now);
	counts->packets++;
	counts->bytes += packet->bytes;
	return nexthop;
}

static __always_inline void NAME(quick_rewrite_plain)(CONTEXT *ctx, const struct NAME(quick_packet) *packet,
						      const struct hf_quick_plain *plain, const struct hf_quick_tcp *tcp)
{
	struct plain_change change = {
		.ports = *(const __u32 *)&plain->new_source_port,
		.address_delta = plain->address_delta,
		.transport_delta = plain->transport_delta,
		.shift = tcp->shift,
		.flags = plain->flags,
	};

	NAME(rewrite_plain)(ctx, &change, packet->start, packet->parts, packet->offset);
}

/* Bytes of IP and upper header. */
static __always_inline __u32 NAME(headers_of)(const struct tcp_header *tcp, __u32 parts, __u32 ip_header)
{
	return ip_header + (parts & PLAIN_TCP ? (tcp->offset >> 4) * 4 : sizeof(struct udp_header));
}

/* As quick_return6. */
__noinline int NAME(quick_return_plain4)(__u32 number, __u32 protocol)
{
	struct hf_quick_plain4 *quick = bpf_map_lookup_elem(&hf_quick_lines, &number);
	struct hf_flow4_key key = {};
	struct hf_plain4 *flow;

	if (!quick)
		return 0;
	key.source = quick->source;
	key.destination = quick->destination;
	key.source_port = quick->source_port;
	key.destination_port = quick->destination_port;
	set_protocol(key, protocol);
	flow = bpf_map_lookup_elem(&hf_plain4, &key);
	if (flow)
		NAME(quick_fold_plain)(&quick->plain, &quick->tcp, &quick->counts, &flow->head);
	return 0;
}

__noinline int NAME(quick_return_plain6)(__u32 number, __u32 protocol)
{
	__u32 next = number + 1;
	struct hf_quick_plain6_rest *rest = bpf_map_lookup_elem(&hf_quick_lines, &next);
	struct hf_quick_plain6 *quick = bpf_map_lookup_elem(&hf_quick_lines, &number);
	struct hf_flow6_key key = {};
	struct hf_plain6 *flow;

	if (!quick || !rest)
		return 0;
	__builtin_memcpy(key.source, quick->source, 16);
	__builtin_memcpy(key.destination, quick->destination, 16);
	key.source_port = quick->source_port;
	key.destination_port = quick->destination_port;
	set_protocol(key, protocol);
	flow = bpf_map_lookup_elem(&hf_plain6, &key);
	if (flow)
		NAME(quick_fold_plain)(&quick->plain, &rest->tcp, &quick->counts, &flow->head);
	return 0;
}

/* As quick6. */
__noinline int NAME(quick_plain4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct iphdr *ip = data + IP_OFFSET;
	struct NAME(quick_packet) packet;
	struct hf_quick_plain4 *flow;
	struct hf_nexthop *nexthop;
	__u32 header, number = 0;
	struct tcp_header *tcp;
	bool news = false;
	__u64 sum;

	if ((void *)(ip + 1) > end)
		return VERDICT_OTHER;
	header = (*(__u8 *)ip & 15) * 4;
	packet.bytes = bpf_ntohs(ip->tot_len);
	packet.size = packet.bytes - header;
	tcp = data + IP_OFFSET + header;
	packet.parts = NAME(read_plain)(ctx, tcp, end, ip->protocol, packet.size);
	if (packet.parts >> 16 || packet.parts & (TCP_SYN | TCP_FIN | TCP_RST))
		return VERDICT_OTHER;
	if ((void *)tcp + sizeof(struct udp_header) > end || (packet.parts & PLAIN_TCP && (void *)(tcp + 1) > end))
		return VERDICT_OTHER;
	sum = (__u64)ip->saddr + ip->daddr + NAME(pseudo_upper)(ip->protocol, packet.size);
	if (NAME(plain_partial)(ctx, sum,
				packet.parts & PLAIN_TCP ? tcp->checksum : ((struct udp_header *)tcp)->checksum)) {
		if (HF_XDP)
			return VERDICT_OTHER;
		packet.parts |= PLAIN_PARTIAL;
	}
	flow = (void *)NAME(quick_find4)(ip->saddr, ip->daddr, *(__u32 *)tcp,
					 packet.parts & PLAIN_TCP ? HF_QUICK_KIND_TCP4 : HF_QUICK_KIND_UDP4, &number);
	if (!flow)
		return VERDICT_OTHER;
	packet.start = tcp;
	packet.offset = IP_OFFSET + header;
	packet.largest = NAME(part_size)(ctx, packet.bytes, NAME(headers_of)(tcp, packet.parts, header));
	packet.hop_limit = ip->ttl;
	nexthop = NAME(quick_take_plain)(ctx, &packet, &flow->plain, &flow->tcp, &flow->counts, &news);
	if (!nexthop)
		return VERDICT_OTHER | number | (packet.parts & PLAIN_TCP ? QUICK_TCP : 0);
	if (news)
		note_source(mark4(ip->saddr), coarse_now());
	ip->check = apply_delta(ip->check, (__u32)flow->plain.address_delta + TTL_DELTA);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = flow->new_destination;
	NAME(quick_rewrite_plain)(ctx, &packet, &flow->plain, &flow->tcp);
	return NAME(leave)(ctx, data, nexthop);
}

static __always_inline __u64 NAME(words6)(const struct ipv6hdr *ip)
{
	const __u32 *words = (const void *)&ip->saddr;
	__u64 sum = 0;

	for (int i = 0; i < 8; i++)
		sum += words[i];
	return sum;
}

/* Behind extension headers nothing is quick. */
__noinline int NAME(quick_plain6)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct tcp_header *tcp = (void *)(ip + 1);
	struct hf_quick_plain6_rest *rest;
	struct NAME(quick_packet) packet;
	struct hf_quick_plain6 *flow;
	struct hf_nexthop *nexthop;
	__u32 number, next;
	bool news = false;
	__u64 sum;

	if ((void *)(ip + 1) > end || !is_plain(ip->nexthdr))
		return VERDICT_OTHER;
	packet.size = bpf_ntohs(ip->payload_len);
	packet.bytes = sizeof(*ip) + packet.size;
	packet.parts = NAME(read_plain)(ctx, tcp, end, ip->nexthdr, packet.size);
	if (packet.parts >> 16 || packet.parts & (TCP_SYN | TCP_FIN | TCP_RST))
		return VERDICT_OTHER;
	if ((void *)tcp + sizeof(struct udp_header) > end || (packet.parts & PLAIN_TCP && (void *)(tcp + 1) > end))
		return VERDICT_OTHER;
	sum = NAME(words6)(ip) + NAME(pseudo_upper)(ip->nexthdr, packet.size);
	if (NAME(plain_partial)(ctx, sum,
				packet.parts & PLAIN_TCP ? tcp->checksum : ((struct udp_header *)tcp)->checksum)) {
		if (HF_XDP)
			return VERDICT_OTHER;
		packet.parts |= PLAIN_PARTIAL;
	}
	number = NAME(quick_find6)(&ip->saddr, &ip->daddr, *(__u32 *)tcp,
				   packet.parts & PLAIN_TCP ? HF_QUICK_KIND_TCP6 : HF_QUICK_KIND_UDP6);
	next = number + 1;
	flow = bpf_map_lookup_elem(&hf_quick_lines, &number);
	rest = bpf_map_lookup_elem(&hf_quick_lines, &next);
	if (!number || !flow || !rest)
		return VERDICT_OTHER;
	packet.start = tcp;
	packet.offset = IP_OFFSET + sizeof(*ip);
	packet.largest = NAME(part_size)(ctx, packet.bytes, NAME(headers_of)(tcp, packet.parts, sizeof(*ip)));
	packet.hop_limit = ip->hop_limit;
	nexthop = NAME(quick_take_plain)(ctx, &packet, &flow->plain, &rest->tcp, &flow->counts, &news);
	if (!nexthop)
		return VERDICT_OTHER | number | (packet.parts & PLAIN_TCP ? QUICK_TCP : 0);
	if (news)
		note_source(mark6(&ip->saddr), coarse_now());
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, rest->new_source, 16);
	__builtin_memcpy(&ip->daddr, rest->new_destination, 16);
	NAME(quick_rewrite_plain)(ctx, &packet, &flow->plain, &rest->tcp);
	return NAME(leave)(ctx, data, nexthop);
}
