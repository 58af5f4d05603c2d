/* SPDX-License-Identifier: Apache-2.0
 *
 * What most packets need, of established flows: the cache line of a bucket and that of a flow (two, of IPv6)
 * instead of the hash table's three or four, and no call. What is not found, or needs more, goes the usual way.
 * Included once per hook.
 */

/* Of a verdict with VERDICT_OTHER: the number of the flow's line that was found, and what it is of. */
#define QUICK_NUMBER ((1 << HF_QUICK_NUMBER_BITS) - 1)
#define QUICK_TCP (1 << HF_QUICK_NUMBER_BITS)

/* As hashOf in ../quick-flows.ts. */
static __always_inline __u32 NAME(quick_hash)(__u32 source, __u32 destination, __u32 ports)
{
	__u32 hash = (source ^ hf_quick_seed) * 0x9e3779b1;

	hash ^= destination * 0x85ebca6b ^ (ports ^ hf_quick_seed) * 0xc2b2ae35;
	hash = (hash >> 15 ^ hash) * 0x2c1b3c6d;
	return hash >> 13 ^ hash;
}

/* As digestOf in ../quick-flows.ts: what stands for an IPv6 address in the hash. */
static __always_inline __u32 NAME(quick_digest)(const struct in6_addr *address)
{
	const __u32 *words = address->in6_u.u6_addr32;

	return (words[0] ^ hf_quick_seed) * 0x9e3779b1 ^ words[1] * 0x85ebca6b ^ words[2] * 0xc2b2ae35 ^
	       (words[3] ^ hf_quick_seed) * 0x2c1b3c6d;
}

/* What a slot has beside a number. */
static __always_inline __u32 NAME(quick_tag)(__u32 hash, __u32 kind)
{
	return hash >> (32 - HF_QUICK_HASH_BITS) | kind << HF_QUICK_HASH_BITS;
}

/* `number`: of the line that is found; 0: nobody asks. */
static __always_inline struct hf_quick4 *NAME(quick_find4)(__be32 source, __be32 destination, __u32 ports, __u32 kind,
							   __u32 *number)
{
	__u32 hash = NAME(quick_hash)(source, destination, ports), at = hash & hf_quick_mask;
	__u32 tag = NAME(quick_tag)(hash, kind);
	struct hf_quick_bucket *bucket = bpf_map_lookup_elem(&hf_quick_buckets, &at);

	if (!bucket)
		return 0;
	for (__u32 i = 0; i < HF_QUICK_SLOT_COUNT; i++) {
		__u32 slot = *(volatile __u32 *)&bucket->slots[(tag + i) & (HF_QUICK_SLOT_COUNT - 1)];
		struct hf_quick4 *flow;

		if (slot >> HF_QUICK_NUMBER_BITS != tag)
			continue;
		slot &= QUICK_NUMBER;
		flow = bpf_map_lookup_elem(&hf_quick_lines, &slot);
		if (flow && *(__u32 *)&flow->source_port == ports && flow->source == source &&
		    flow->destination == destination) {
			if (number)
				*number = slot;
			return flow;
		}
	}
	return 0;
}

/* The number of the first line; 0: there is none. */
static __always_inline __u32 NAME(quick_find6)(const void *source, const void *destination, __u32 ports, __u32 kind)
{
	__u32 hash = NAME(quick_hash)(NAME(quick_digest)(source), NAME(quick_digest)(destination), ports);
	__u32 at = hash & hf_quick_mask, tag = NAME(quick_tag)(hash, kind);
	struct hf_quick_bucket *bucket = bpf_map_lookup_elem(&hf_quick_buckets, &at);

	if (!bucket)
		return 0;
	for (__u32 i = 0; i < HF_QUICK_SLOT_COUNT; i++) {
		__u32 slot = *(volatile __u32 *)&bucket->slots[(tag + i) & (HF_QUICK_SLOT_COUNT - 1)];
		struct hf_quick6 *flow;

		if (slot >> HF_QUICK_NUMBER_BITS != tag)
			continue;
		slot &= QUICK_NUMBER;
		flow = bpf_map_lookup_elem(&hf_quick_lines, &slot);
		if (flow && *(__u32 *)&flow->source_port == ports && equal6(flow->source, source) &&
		    equal6(flow->destination, destination))
			return slot;
	}
	return 0;
}

/* The next hop, when the packet needs nothing but to be passed on. `size`: of the IP packet. */
static __always_inline struct hf_nexthop *NAME(quick_nexthop)(CONTEXT *ctx, __u32 slot, __u32 size)
{
	struct hf_nexthop *nexthop = nexthop_at(slot);

#if HF_XDP
	if (!nexthop || (nexthop->flags & NEXTHOP_FOR_XDP) != NEXTHOP_FOR_XDP)
		return 0;
#else
	if (!nexthop || !(nexthop->flags & HF_NEXTHOP_RESOLVED))
		return 0;
#endif
	return size > nexthop->mtu && !NAME(segmented)(ctx) ? 0 : nexthop;
}

/* What was counted is to be known to the table of all flows. The daemon's jiffies may be one ahead. */
static __always_inline bool NAME(quick_is_due)(const struct hf_quick_counts *counts, __u32 now)
{
	__s32 age = now - counts->folded;

	/* Before either overflows. */
	if (counts->bytes >> 31)
		return true;
	return age > HF_QUICK_FOLD_PERIOD &&
	       (counts->packets >= HF_QUICK_FOLD_COUNT || age > HF_QUICK_FOLD_PERIOD_MAX);
}

/* As note_packet(). `size`: of the IP packet. */
static __always_inline bool NAME(quick_note)(struct hf_quick_counts *counts, struct hf_nexthop *nexthop, __u32 now,
					     __u32 size)
{
	__u32 since = counts->last_seen ^ now;
	bool is_news = !counts->packets || since >> HF_SOURCE_NOTE_SHIFT;

	if (since)
		counts->last_seen = now;
	use_nexthop(nexthop, now);
	counts->packets++;
	counts->bytes += size;
	return is_news;
}

/* What a quick flow of TCP or UDP counted and learned goes to the table of all flows. */
static __always_inline void NAME(quick_fold_plain)(struct hf_quick_plain *plain, const struct hf_quick_tcp *tcp,
						   struct hf_quick_counts *counts, struct hf_plain_head *flow)
{
	if (counts->packets)
		flow->last_seen = counts->last_seen;
	flow->packets += counts->packets;
	flow->bytes += counts->bytes;
	counts->packets = 0;
	counts->bytes = 0;
	counts->folded = coarse_now();
	if (tcp->stopped || !(plain->flags & HF_PLAIN_EDGES))
		return;
	flow->sequence = tcp->sequence;
	flow->acknowledged = tcp->acknowledged;
	flow->strange = tcp->strange;
	flow->flags |= HF_PLAIN_EDGES;
}

/* The same of a connection that ends (`stop`), or is not the packet's; under its key in the table. */
static __noinline void NAME(quick_gather4)(struct hf_plain_head *flow, __be32 source, __be32 destination, __u32 ports,
					   __u32 stop)
{
	struct hf_quick_plain4 *quick = (void *)NAME(quick_find4)(source, destination, ports, HF_QUICK_KIND_TCP4, 0);

	if (!quick)
		return;
	NAME(quick_fold_plain)(&quick->plain, &quick->tcp, &quick->counts, flow);
	if (stop)
		quick->tcp.stopped = 1;
}

static __noinline void NAME(quick_gather6)(struct hf_plain_head *flow, const struct hf_flow6_key *key, __u32 stop)
{
	__u32 number = NAME(quick_find6)(key->source, key->destination, *(const __u32 *)&key->source_port,
					 HF_QUICK_KIND_TCP6);
	__u32 next = number + 1;
	struct hf_quick_plain6 *quick = bpf_map_lookup_elem(&hf_quick_lines, &number);
	struct hf_quick_plain6_rest *rest = bpf_map_lookup_elem(&hf_quick_lines, &next);

	if (!number || !quick || !rest)
		return;
	NAME(quick_fold_plain)(&quick->plain, &rest->tcp, &quick->counts, flow);
	if (stop)
		rest->tcp.stopped = 1;
}
