/* SPDX-License-Identifier: Apache-2.0
 *
 * SYNs and SYN-ACKs of TCP: docs/decisions/0540. What needs more than to be passed on is punted, as `syn`
 * or `synAck`. Included once per hook.
 */

/* What is known of the packet, beside its flow. */
struct NAME(syn_packet) {
	__u32 parts;
	/* Of the segment in the frame. */
	__u32 offset;
	/* The number behind the SYN, and what it acknowledges. */
	__u32 first;
	__u32 acknowledged;
	/* Of the IP packet; of IP and TCP header without options. */
	__u32 bytes;
	__u32 headers;
	__u8 hop_limit;
};

/* Forwarded where a next hop was found, as with decide_plain(). */
static __always_inline int NAME(decide_syn)(CONTEXT *ctx, struct hf_plain_head *flow, struct hf_plain_head *other,
					    const struct NAME(syn_packet) *packet, struct hf_nexthop **found)
{
	__u32 detail = NAME(plain_reason)(packet->parts) | NAME(plain_detail)(packet->parts), said;
	struct hf_nexthop *nexthop, *back;

	if (other && packet->hop_limit > 1 &&
	    continues_handshake(flow, other, packet->parts, packet->first, packet->acknowledged)) {
		said = NAME(syn_options)(ctx, packet->offset);
		nexthop = nexthop_at(flow->nexthop);
		back = nexthop_at(other->nexthop);
#if HF_XDP
		if (!nexthop || (nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
			return NAME(defer)();
#endif
		if (nexthop && back && ways_take(nexthop, back, said, packet->bytes, packet->headers)) {
			use_nexthop(nexthop, coarse_now());
			note_handshake(flow, other, packet->parts, packet->first, said, packet->bytes);
			*found = nexthop;
			return ACTION_PASS;
		}
	}
	if (packet->parts & TCP_ACK && take_flow(&flow->punt_at))
		detail |= HF_PUNT_PROVEN << 16;
	return NAME(punt)(ctx, detail, flow->session);
}

/* As plain4, of what plain4 has left: its header is fine. */
__noinline int NAME(syn4)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct NAME(syn_packet) packet = {};
	struct iphdr *ip = data + IP_OFFSET;
	struct hf_nexthop *nexthop = 0;
	struct hf_flow4_key key = {};
	struct hf_plain4 *flow, *other;
	struct plain_change change;
	struct tcp_header *tcp;
	__u32 header, size;
	int verdict;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	header = (*(__u8 *)ip & 15) * 4;
	size = bpf_ntohs(ip->tot_len) - header;
	tcp = data + IP_OFFSET + header;
	if ((void *)(tcp + 1) > end)
		return ACTION_PASS;
	packet.parts = PLAIN_TCP | tcp->flags;
	if (NAME(plain_partial)(ctx, (__u64)ip->saddr + ip->daddr + NAME(pseudo_upper)(IPPROTO_TCP, size),
				tcp->checksum)) {
#if HF_XDP
		return NAME(defer)();
#else
		packet.parts |= PLAIN_PARTIAL;
#endif
	}
	key.source = ip->saddr;
	key.destination = ip->daddr;
	key.source_port = tcp->source_port;
	key.destination_port = tcp->destination_port;
	set_protocol(key, IPPROTO_TCP);
	flow = bpf_map_lookup_elem(&hf_plain4, &key);
	if (!(packet.parts & TCP_ACK) && (!flow || may_give_way(&flow->head))) {
		verdict = NAME(take_offer4)(ctx, IP_OFFSET + header);
#if HF_XDP
		if (verdict == NAME(TAKES_BY_TC))
			return NAME(defer)();
#endif
		if (verdict == NAME(TAKES_ONE))
			flow = bpf_map_lookup_elem(&hf_plain4, &key);
	}
	if (!flow)
		return VERDICT_OTHER | packet.parts;
	key.source = flow->new_destination;
	key.destination = flow->new_source;
	key.source_port = flow->head.new_destination_port;
	key.destination_port = flow->head.new_source_port;
	other = bpf_map_lookup_elem(&hf_plain4, &key);
	packet.offset = IP_OFFSET + header;
	packet.first = bpf_ntohl(tcp->sequence) + 1;
	packet.acknowledged = bpf_ntohl(tcp->acknowledgment);
	packet.bytes = size + header;
	packet.headers = sizeof(*ip) + sizeof(*tcp);
	packet.hop_limit = ip->ttl;
	verdict = NAME(decide_syn)(ctx, &flow->head, other ? &other->head : 0, &packet, &nexthop);
	if (!nexthop)
		return verdict;
	ip->check = apply_delta(ip->check, (__u32)flow->head.address_delta + TTL_DELTA);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = flow->new_destination;
	change = change_of(&flow->head);
	NAME(rewrite_plain)(ctx, &change, tcp, packet.parts, packet.offset);
	return NAME(leave)(ctx, data, nexthop);
}

/* As plain6. */
__noinline int NAME(syn6)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct NAME(syn_packet) packet = {};
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct hf_nexthop *nexthop = 0;
	struct hf_flow6_key key = {};
	struct hf_plain6 *flow, *other;
	struct plain_change change;
	struct tcp_header *tcp;
	__u32 size;
	int verdict;

	if ((void *)(ip + 1) > end)
		return ACTION_PASS;
	packet.offset = IP_OFFSET + sizeof(*ip);
	if (ip->nexthdr != IPPROTO_TCP)
		packet.offset = NAME(upper6)(ctx) & 0x3fff;
	packet.bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	size = IP_OFFSET + packet.bytes - packet.offset;
	tcp = data + packet.offset;
	if ((void *)(tcp + 1) > end)
		return ACTION_PASS;
	packet.parts = PLAIN_TCP | tcp->flags;
	if (NAME(plain_partial)(ctx, NAME(words6)(ip) + NAME(pseudo_upper)(IPPROTO_TCP, size), tcp->checksum)) {
#if HF_XDP
		return NAME(defer)();
#else
		packet.parts |= PLAIN_PARTIAL;
#endif
	}
	__builtin_memcpy(key.source, &ip->saddr, 16);
	__builtin_memcpy(key.destination, &ip->daddr, 16);
	key.source_port = tcp->source_port;
	key.destination_port = tcp->destination_port;
	set_protocol(key, IPPROTO_TCP);
	flow = bpf_map_lookup_elem(&hf_plain6, &key);
	if (!(packet.parts & TCP_ACK) && (!flow || may_give_way(&flow->head))) {
		verdict = NAME(take_offer6)(ctx, packet.offset);
#if HF_XDP
		if (verdict == NAME(TAKES_BY_TC))
			return NAME(defer)();
#endif
		if (verdict == NAME(TAKES_ONE))
			flow = bpf_map_lookup_elem(&hf_plain6, &key);
	}
	if (!flow)
		return VERDICT_OTHER | packet.parts;
	__builtin_memcpy(key.source, flow->new_destination, 16);
	__builtin_memcpy(key.destination, flow->new_source, 16);
	key.source_port = flow->head.new_destination_port;
	key.destination_port = flow->head.new_source_port;
	other = bpf_map_lookup_elem(&hf_plain6, &key);
	packet.first = bpf_ntohl(tcp->sequence) + 1;
	packet.acknowledged = bpf_ntohl(tcp->acknowledgment);
	packet.headers = sizeof(*ip) + sizeof(*tcp);
	packet.hop_limit = ip->hop_limit;
	verdict = NAME(decide_syn)(ctx, &flow->head, other ? &other->head : 0, &packet, &nexthop);
	if (!nexthop)
		return verdict;
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, flow->new_source, 16);
	__builtin_memcpy(&ip->daddr, flow->new_destination, 16);
	change = change_of(&flow->head);
	NAME(rewrite_plain)(ctx, &change, tcp, packet.parts, packet.offset);
	return NAME(leave)(ctx, data, nexthop);
}
