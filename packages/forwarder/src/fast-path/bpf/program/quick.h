/* SPDX-License-Identifier: Apache-2.0
 *
 * What most packets need, of established IPv4 flows: two cache lines instead of the hash table's three, and no call. What
 * is not found, or needs more, goes the usual way. Included once per hook.
 */

/* As hashOf in ../quick-flows.ts. */
static __always_inline __u32 NAME(quick_hash)(__be32 source, __be32 destination, __u32 ports)
{
	__u32 hash = (source ^ hf_quick_seed) * 0x9e3779b1;

	hash ^= destination * 0x85ebca6b ^ (ports ^ hf_quick_seed) * 0xc2b2ae35;
	hash = (hash >> 15 ^ hash) * 0x2c1b3c6d;
	return hash >> 13 ^ hash;
}

static __always_inline struct hf_quick4 *NAME(quick_find)(__be32 source, __be32 destination, __u32 ports)
{
	__u32 hash = NAME(quick_hash)(source, destination, ports), at = hash & hf_quick_mask;
	__u32 first = hash >> HF_QUICK_NUMBER_BITS;
	struct hf_quick_bucket *bucket = bpf_map_lookup_elem(&hf_quick_buckets, &at);

	if (!bucket)
		return 0;
	for (__u32 i = 0; i < HF_QUICK_SLOT_COUNT; i++) {
		__u32 slot = *(volatile __u32 *)&bucket->slots[(first + i) & (HF_QUICK_SLOT_COUNT - 1)];
		struct hf_quick4 *flow;

		if (slot >> HF_QUICK_NUMBER_BITS != first)
			continue;
		slot &= (1 << HF_QUICK_NUMBER_BITS) - 1;
		flow = bpf_map_lookup_elem(&hf_quick4, &slot);
		if (flow && *(__u32 *)&flow->source_port == ports && flow->source == source &&
		    flow->destination == destination)
			return flow;
	}
	return 0;
}

/* The next hop, when the packet needs nothing but to be passed on. */
static __always_inline struct hf_nexthop *NAME(quick_nexthop)(CONTEXT *ctx, const struct hf_quick4 *flow, __u32 parts,
							      bool reply, __u32 size)
{
	__u32 slot = reply ? flow->reply_nexthop : flow->nexthop;
	struct hf_nexthop *nexthop = bpf_map_lookup_elem(&hf_nexthops, &slot);

#if HF_XDP
	if (!nexthop || (nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
		return 0;
#else
	if (!nexthop || !(nexthop->flags & HF_NEXTHOP_RESOLVED))
		return 0;
#endif
	return size > nexthop->mtu && !NAME(segmented)(ctx) ? 0 : nexthop;
}

/* `size`: of the SCTP packet. The last change is worth a place in the line: most flows have few lengths. */
static __always_inline void NAME(quick_ports)(struct hf_quick4 *flow, struct sctp_header *sctp, bool partial, __u32 size)
{
	__u32 ports = *(__u32 *)&flow->new_source_port;
	__u64 change;

	if (!partial) {
		change = *(volatile __u64 *)&flow->change;
		if (change >> 32 != size) {
			change = (__u64)size << 32 | checksum_change(*(__u32 *)&flow->source_port ^ ports, size);
			*(volatile __u64 *)&flow->change = change;
		}
		sctp->checksum ^= (__u32)change;
	}
	*(__u32 *)sctp = ports;
}

/* What was counted is to be known to the table of all flows. The daemon's jiffies may be one ahead of the kernel's. */
static __always_inline bool NAME(quick_is_due)(const struct hf_quick4 *flow, __u32 now)
{
	__s32 age = now - flow->folded;

	/* Before either overflows. */
	if (flow->bytes >> 31)
		return true;
	return age > HF_QUICK_FOLD_PERIOD &&
	       (flow->packets >= HF_QUICK_FOLD_COUNT || age > HF_QUICK_FOLD_PERIOD_MAX);
}

/* Passes the packet on and returns the next hop; or does nothing and returns none. `length`: of the IP header. */
static __always_inline struct hf_nexthop *NAME(quick4)(CONTEXT *ctx, struct hf_quick4 *flow, struct iphdr *ip,
						       struct sctp_header *sctp, __u32 length, __u32 total)
{
	__u32 parts = NAME(checksum_partial)(ctx, sctp->checksum) ? PART_PARTIAL : 0, now = coarse_now(), since;
	struct hf_nexthop *nexthop;
	bool reply;

	parts |= NAME(walk)(ctx, sctp, IP_OFFSET + length + sizeof(*sctp), IP_OFFSET + total);
	if (parts >> 16 || parts & PART_SLOW || sctp->tag != flow->tag || ip->ttl <= 1)
		return 0;
#if HF_XDP
	if (!sctp->checksum)
		return 0;
#endif
	if (NAME(quick_is_due)(flow, now))
		return 0;
	reply = flow->reply_destination && !(parts & PART_PATH);
	nexthop = NAME(quick_nexthop)(ctx, flow, parts, reply, total);
	if (!nexthop)
		return 0;
	since = flow->last_seen ^ now;
	if (!flow->packets || since >> HF_SOURCE_NOTE_SHIFT)
		note_source(mark4(ip->saddr), now);
	if (since)
		flow->last_seen = now;
	use_nexthop(nexthop, now);
	flow->packets++;
	flow->bytes += total;
	ip->check = apply_delta(ip->check, reply ? flow->reply_checksum_delta : flow->checksum_delta);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = reply ? flow->reply_destination : flow->new_destination;
	NAME(quick_ports)(flow, sctp, NAME(is_partial)(parts), total - length);
	return nexthop;
}

/* The packet goes the usual way: what the quick flow counted goes with it. */
static __always_inline void NAME(quick_fold)(struct hf_quick4 *quick, struct hf_flow_head *flow)
{
	flow->packets += quick->packets;
	flow->bytes += quick->bytes;
	quick->packets = 0;
	quick->bytes = 0;
	quick->folded = coarse_now();
}
