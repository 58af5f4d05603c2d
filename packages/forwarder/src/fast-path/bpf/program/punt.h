/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways out other than forwarding: drop, punt, divert, defer. Included once per hook.
 */

static __always_inline int NAME(drop)(__u32 reason)
{
	count(HF_COUNTER_DROP + reason);
	return ACTION_DROP;
}

#if HF_XDP
/* What XDP cannot do, the TC program behind it does. */
static __always_inline int NAME(defer)(void)
{
	count(HF_COUNTER_EVENT + HF_EVENT_DEFER_PACKETS);
	return XDP_PASS;
}
#endif

/* Size of the IP packet, without link-layer padding; 0 when it cannot be read. */
static __always_inline __u32 NAME(packet_length)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	__u32 room = NAME(frame_length)(ctx) - IP_OFFSET, length;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + IP_OFFSET;
	struct ipv6hdr *ip6 = data + IP_OFFSET;

	if ((void *)(ip + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		length = bpf_ntohs(ip->tot_len);
	} else {
		if ((void *)(ip6 + 1) > end)
			return 0;
		length = sizeof(*ip6) + bpf_ntohs(ip6->payload_len);
	}
	return length < room ? length : room;
}

/* The source's /24 or /64, mixed to a bucket's number. */
static __always_inline __u32 NAME(prefix)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ethhdr *eth = data;
	struct iphdr *ip = data + IP_OFFSET;
	struct ipv6hdr *ip6 = data + IP_OFFSET;
	__u32 mixed = 0;

	if ((void *)(ip6 + 1) > end) {
		if ((void *)(ip + 1) > end)
			return 0;
		mixed = ip->saddr & bpf_htonl(0xffffff00);
	} else if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		mixed = ip->saddr & bpf_htonl(0xffffff00);
	} else {
		mixed = ip6->saddr.in6_u.u6_addr32[0] * 0x9e3779b1 ^ ip6->saddr.in6_u.u6_addr32[1];
	}
	mixed *= 0x85ebca6b;
	return mixed >> 13 ^ mixed;
}

/* An INIT or SYN beyond the budget: whether it was refused before, not just now and not long ago. A client
 * sends its INIT again, a flood sends others: so a client gets in, with its second INIT, whatever the
 * flood.
 */
__noinline bool NAME(knocks_again)(CONTEXT *ctx, __u64 time_ns, __u32 reason)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ethhdr *eth = data;
	struct iphdr *ip = data + IP_OFFSET;
	struct ipv6hdr *ip6 = data + IP_OFFSET;
	__u32 offset, mark, slot, age, now = time_ns >> HF_KNOCK_SHIFT, zero = 0;
	/* Not on the stack, which all nested calls share. */
	struct hf_scratch *scratch = bpf_map_lookup_elem(&hf_scratch, &zero);
	struct hf_init_head *head;
	struct hf_knock *knock;

	if (!scratch || (void *)(ip + 1) > end)
		return false;
	head = (struct hf_init_head *)scratch->packet;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		offset = IP_OFFSET + (*(__u8 *)ip & 15) * 4;
		mark = ip->saddr;
	} else {
		/* Behind extension headers it is nobody's. */
		if ((void *)(ip6 + 1) > end ||
		    ip6->nexthdr != (reason == HF_PUNT_SYN ? IPPROTO_TCP : IPPROTO_SCTP_NUMBER))
			return false;
		offset = IP_OFFSET + sizeof(*ip6);
		mark = ip6->saddr.in6_u.u6_addr32[0] * 0x9e3779b1 ^ ip6->saddr.in6_u.u6_addr32[1];
		mark = mark * 0x9e3779b1 ^ ip6->saddr.in6_u.u6_addr32[2];
		mark = mark * 0x9e3779b1 ^ ip6->saddr.in6_u.u6_addr32[3];
	}
	if (load_bytes(ctx, offset, head, sizeof(*head)))
		return false;
	mark = (mark ^ head->sctp.source_port) * 0x85ebca6b;
	/* A SYN that comes again has the same sequence number, where SCTP has its tag. */
	mark = (mark >> 15 ^ mark ^ (reason == HF_PUNT_SYN ? head->sctp.tag : head->initiate_tag)) * 0xc2b2ae35;
	mark = (mark >> 13 ^ mark) | 1;
	slot = (mark >> 1) & (HF_KNOCK_COUNT - 1);
	knock = bpf_map_lookup_elem(&hf_knocks, &slot);
	if (!knock)
		return false;
	age = now - knock->at;
	if (knock->mark == mark && age < HF_KNOCK_AGE_MIN)
		return false;
	/* The next time counts from this one, so that repeating one INIT for ever gains nothing. */
	knock->at = now;
	if (knock->mark == mark)
		return age <= HF_KNOCK_AGE_MAX;
	knock->mark = mark;
	return false;
}

/* A function of its own for its stack. */
__noinline bool NAME(take_again)(CONTEXT *ctx, __u64 now, __u32 reason)
{
	__u32 zero = 0, budget = reason == HF_PUNT_INIT ? HF_BUDGET_INIT_AGAIN : HF_BUDGET_SYN_AGAIN;
	struct hf_state *state = bpf_map_lookup_elem(&hf_state, &zero);

	return state && take_prefix(state, now, NAME(prefix)(ctx), budget) && take(state, now, budget);
}

/* Not an action: nobody else could take the packet. */
#define NO_SUCCESSOR 256

/* Where two daemons stand still each one's data plane has the other for the VIP's successor. What comes from
 * there was diverted, or looks like it: it is not sent back, and waits in the ring as what has no successor.
 */
static __always_inline bool NAME(came_from)(struct hf_local *local, struct ethhdr *eth)
{
	__u16 *source = (__u16 *)eth->h_source, *mac = (__u16 *)local->successor_macs;

	if (source[0] != mac[0] || source[1] != mac[1] || source[2] != mac[2])
		return false;
	count(HF_COUNTER_EVENT + HF_EVENT_DIVERT_RETURNED);
	return true;
}

/* The daemon is dead: the packet goes to the VIP's successor as it came, one hop older, so that no circle of
 * dead members can loop it for ever. NO_SUCCESSOR when there is none, or when the packet came from it.
 */
__noinline int NAME(divert)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ethhdr *eth = data;
	struct iphdr *ip = data + IP_OFFSET;
	struct ipv6hdr *ip6 = data + IP_OFFSET;
	struct hf_address address = {};
	struct hf_local *local;

	if ((void *)(ip + 1) > end)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		map_address4(&address, ip->daddr);
		local = bpf_map_lookup_elem(&hf_local, &address);
		if (!local || !(local->flags & HF_LOCAL_SUCCESSOR) || NAME(came_from)(local, eth))
			return NO_SUCCESSOR;
#if HF_XDP
		if (!(local->flags & HF_LOCAL_SUCCESSOR_XDP))
			return NAME(defer)();
#endif
		if (ip->ttl <= 1)
			return NAME(drop)(HF_DROP_TTL_EXPIRED);
		ip->check = apply_delta(ip->check, TTL_DELTA);
		ip->ttl--;
	} else {
		if ((void *)(ip6 + 1) > end)
			return NAME(drop)(HF_DROP_UNREADABLE);
		__builtin_memcpy(&address, &ip6->daddr, 16);
		local = bpf_map_lookup_elem(&hf_local, &address);
		if (!local || !(local->flags & HF_LOCAL_SUCCESSOR) || NAME(came_from)(local, eth))
			return NO_SUCCESSOR;
#if HF_XDP
		if (!(local->flags & HF_LOCAL_SUCCESSOR_XDP))
			return NAME(defer)();
#endif
		if (ip6->hop_limit <= 1)
			return NAME(drop)(HF_DROP_TTL_EXPIRED);
		ip6->hop_limit--;
	}
	__builtin_memcpy(data, local->successor_macs, 12);
	count(HF_COUNTER_EVENT + HF_EVENT_DIVERT_PACKETS);
	return bpf_redirect(local->successor_ifindex, 0);
}

/* A flood as large as the budget of INITs would fill the ring when the slow path is short of processor, and
 * COOKIE-ECHOs wait behind a second's worth of it: INITs get no more than this share, some 5,000 of them;
 * so do the small budgets, whose packets may be large.
 */
#define FLOOD_RING_SHARE 8

__noinline bool NAME(has_room_for)(__u32 budget)
{
	/* Copies that nobody reads leave room for what somebody waits for. */
	if (budget == HF_BUDGET_END)
		return bpf_ringbuf_query(&hf_proven, BPF_RB_AVAIL_DATA) * 2 <
		       bpf_ringbuf_query(&hf_proven, BPF_RB_RING_SIZE);
	return (budget != HF_BUDGET_INIT && budget < HF_BUDGET_SYN && !is_small(budget)) ||
	       bpf_ringbuf_query(&hf_unproven, BPF_RB_AVAIL_DATA) * FLOOD_RING_SHARE <
		       bpf_ringbuf_query(&hf_unproven, BPF_RB_RING_SIZE);
}

/* Writes the record, if the budgets allow. `detail`: the reason, and flags of enum hf_punt_flag from bit 16
 * on. Returns 0, or a refusal.
 */
__noinline __u32 NAME(deliver)(CONTEXT *ctx, __u32 detail, __u32 session, __u32 mtu)
{
	__u32 reason = detail & 0xffff, flags = detail >> 16, zero = 0, budget;
	struct hf_state *state = bpf_map_lookup_elem(&hf_state, &zero);
	struct hf_scratch *scratch = bpf_map_lookup_elem(&hf_scratch, &zero);
	__u64 now = bpf_ktime_get_ns(), length;
	long full;

	if (!state || !scratch)
		return refusal(HF_DROP_UNREADABLE);
	budget = budget_of(reason, flags);
	/* The prefix first: what is beyond its share takes nothing of what all have. */
	if ((!(flags & HF_PUNT_PROVEN) && !take_prefix(state, now, NAME(prefix)(ctx), budget)) ||
	    !NAME(has_room_for)(budget) || !take(state, now, budget)) {
		if ((reason != HF_PUNT_INIT && reason != HF_PUNT_SYN) || !NAME(knocks_again)(ctx, now, reason) ||
		    !NAME(take_again)(ctx, now, reason))
			return refusal(HF_DROP_PUNT_RATE);
		flags |= HF_PUNT_AGAIN;
	}
	length = NAME(packet_length)(ctx);
	/* One less and one comparison: an older verifier (Linux 6.1) learns nothing from a comparison with 0. The
	 * barriers keep clang from comparing a copy that the verifier does not follow.
	 */
	length--;
	asm volatile("" : "+r"(length));
	if (length >= HF_PUNT_SIZE_MAX)
		return refusal(length + 1 ? HF_DROP_PUNT_SIZE : HF_DROP_UNREADABLE);
	length++;
	asm volatile("" : "+r"(length));
	if (load_bytes(ctx, IP_OFFSET, scratch->packet, length))
		return refusal(HF_DROP_UNREADABLE);
	scratch->head.time_ns = now;
	scratch->head.interface_index = NAME(ingress)(ctx);
	scratch->head.session = session;
	scratch->head.length = length;
	scratch->head.reason = reason;
	scratch->head.flags = flags;
	scratch->head.mtu = mtu;
#if HF_XDP
	scratch->head.segment_size = 0;
#else
	scratch->head.segment_size = ctx->gso_segs > 1 ? ctx->gso_size : 0;
#endif
	if (flags & (HF_PUNT_PROVEN | HF_PUNT_AGAIN))
		full = bpf_ringbuf_output(&hf_proven, scratch, sizeof(struct hf_punt) + length, 0);
	else
		full = bpf_ringbuf_output(&hf_unproven, scratch, sizeof(struct hf_punt) + length, 0);
	if (full)
		return refusal(HF_DROP_PUNT_QUEUE);
	count(HF_COUNTER_PUNT + (reason & 31));
	return 0;
}

/* Gives the packet to the slow path, or to the successor when nobody would read it. A daemon that is silent
 * may be starved of its processor and not dead: what nobody else could take waits for it in the ring.
 */
__noinline int NAME(punt_with_mtu)(CONTEXT *ctx, __u32 detail, __u32 session, __u32 mtu)
{
	__u32 zero = 0, refused;
	struct hf_state *state = bpf_map_lookup_elem(&hf_state, &zero);

	if (!state)
		return NAME(drop)(HF_DROP_UNREADABLE);
	if (!alive(state, bpf_ktime_get_ns())) {
		int action = NAME(divert)(ctx);

		if (action != NO_SUCCESSOR)
			return action;
	}
	refused = NAME(deliver)(ctx, detail, session, mtu);
	if (refused)
		return NAME(drop)((refused >> 16) - 1);
	return ACTION_DROP;
}

static __always_inline int NAME(punt)(CONTEXT *ctx, __u32 detail, __u32 session)
{
	return NAME(punt_with_mtu)(ctx, detail, session, 0);
}

static __always_inline int NAME(fragment)(CONTEXT *ctx, __u32 mark)
{
	__u32 detail = fragment_detail(mark);

	if (detail & REFUSED)
		return NAME(drop)(HF_DROP_PUNT_RATE);
	return NAME(punt)(ctx, detail, 0);
}
